"""The demo: that it runs and learns, and that it would notice if a layer were wrong."""

import numpy as np
import pytest

import nnfast as nn
from nnfast import demo, plot
from nnfast.datasets import load_digits_sample
from nnfast.demo import distort as distort_module
from nnfast.demo import equality, learning, speed
from nnfast.demo.distort import distort
from nnfast.demo.trace import follow

BACKENDS = ("native", "reference")


@pytest.fixture
def small(monkeypatch):
    """The demo on 50 digits in batches of 20, timed once."""
    (x, t), (x_test, t_test) = load_digits_sample()
    sample = (x[:50], t[:50]), (x_test[:30], t_test[:30])
    monkeypatch.setattr(demo, "load_digits_sample", lambda: sample)
    monkeypatch.setattr(learning, "BATCH", 20)
    monkeypatch.setattr(speed, "ROUNDS", 1)
    monkeypatch.setattr(speed, "SAMPLE_SECONDS", 0.0)


@pytest.fixture
def traced():
    """A trained-a-little network in float32: its trace and its optimizer."""
    (x, t), _ = load_digits_sample()
    model, layers = learning.build(np.random.default_rng(0), "float32")
    optimizer = nn.optim.Adam(model.parameters())
    data = (x[:20], t[:20])
    list(learning.train(model, optimizer, data, data, 1, np.random.default_rng(0)))
    return follow(layers, *data), optimizer, model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_short_run(small, tmp_path, capsys, backend, dtype):
    before = nn.get_backend()
    assert demo.run(epochs=2, backend=backend, dtype=dtype, out=tmp_path / "new" / "folder")
    captured = capsys.readouterr()
    text = captured.out
    assert captured.err == "" and "\r" not in text and text.isascii()
    lines = text.splitlines()
    assert max(len(line) for line in lines if not line.startswith("Charts in")) <= 80
    for part in ("Learning", "Equality with NumPy", "harts", "training step", dtype, backend):
        assert part in text
    assert ("faster" in text) == (backend == "native")
    assert text.count("  ok\n") == 23 and "FAIL" not in text
    assert nn.get_backend() == before


def test_charts(small, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    demo.run(epochs=1, backend="native", out=tmp_path)
    for name in ("learning.png", "speed.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert f"Charts in {tmp_path}: learning.png, speed.png\n" in capsys.readouterr().out


def test_no_matplotlib(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plot, "available", lambda: False)
    demo.run(epochs=1, backend="reference", out=tmp_path / "charts")
    assert "matplotlib is not installed" in capsys.readouterr().out
    assert not (tmp_path / "charts").exists()


def test_reaches_97_percent():
    (x, t), held_out = load_digits_sample()
    rng = np.random.default_rng(1)
    with nn.use_backend("native"):
        model, _ = learning.build(rng, "float32")
        optimizer = nn.optim.Adam(model.parameters())
        history = list(learning.train(model, optimizer, (x, t), held_out, demo.EPOCHS, rng))
    assert history[-1].accuracy >= 0.97
    assert history[-1].loss < history[0].loss / 4


def test_same_seed_same_run_for_any_number_of_threads():
    (x, t), _ = load_digits_sample()

    def losses(threads):
        rng = np.random.default_rng(5)
        with nn.runtime.threads(threads), nn.use_backend("native"):
            model, _ = learning.build(rng, "float32")
            optimizer = nn.optim.Adam(model.parameters())
            data = (x[:500], t[:500])
            return [e.loss for e in learning.train(model, optimizer, data, data, 2, rng)]

    assert losses(1) == losses(2) == losses(3)


def test_out_of_bounds_is_noticed(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(equality, "SUM", 1e-6)
    assert not demo.run(epochs=1, backend="reference", out=tmp_path)
    text = capsys.readouterr().out
    assert text.count("FAIL") == 13 and "11 of 23 results within their bounds" in text


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        ("relu", "ReLU"),
        ("max_pool2d", "max pool 2x2"),
        ("linear", "linear 4320-100"),
        ("conv2d", "conv 30@5x5"),
        ("conv2d_backward", "conv 30@5x5"),
        ("cross_entropy_backward", "softmax cross-entropy"),
    ],
)
def test_a_wrong_result_is_noticed(traced, monkeypatch, function, layer):
    """One number in the twin off by a thousandth of the largest: the table must show it."""
    trace, optimizer, _ = traced
    right = getattr(nn.reference, function)

    def wrong(*args, **options):
        result = right(*args, **options)
        array = np.array(result[0] if isinstance(result, tuple) else result)
        array.flat[-1] += 1e-3 * np.abs(array).max()
        return (array, *result[1:]) if isinstance(result, tuple) else array

    assert all(row.ok for row in equality.compare(trace, optimizer, "native"))
    monkeypatch.setattr(nn.reference, function, wrong)
    rows = equality.compare(trace, optimizer, "native")
    assert layer in {row.layer for row in rows if not row.ok}


def test_nan_is_not_within_a_bound():
    assert not equality.Row("layer", "result", float("nan"), 1.0).ok


def test_speed_times_everything_and_changes_nothing(traced, monkeypatch):
    trace, optimizer, model = traced
    monkeypatch.setattr(speed, "ROUNDS", 1)
    before = model.state_dict()
    rows = speed.measure(model, optimizer, trace, ["reference"])
    assert [row.name for row in rows][-2:] == ["softmax cross-entropy", "training step"]
    assert all(row.seconds["reference"] > 0 for row in rows)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_distort_keeps_form_and_input():
    images = np.random.default_rng(0).random((5, 1, 12, 9), dtype=np.float32)
    before = images.copy()
    result = distort(images, np.random.default_rng(1))
    assert result.shape == images.shape and result.dtype == images.dtype
    np.testing.assert_array_equal(images, before)
    assert np.isin(result, [*images.ravel(), 0]).all()
    assert not np.array_equal(result, images)
    np.testing.assert_array_equal(result, distort(images, np.random.default_rng(1)))


def test_distort_by_nothing_is_the_identity(monkeypatch):
    for name in ("TURN", "SLANT", "SCALE", "SHIFT"):
        monkeypatch.setattr(distort_module, name, 0.0)
    images = np.random.default_rng(0).random((3, 1, 7, 8))
    np.testing.assert_array_equal(distort(images, np.random.default_rng(0)), images)


def test_distort_fills_the_edge_with_zeros(monkeypatch):
    for name in ("TURN", "SLANT", "SCALE"):
        monkeypatch.setattr(distort_module, name, 0.0)
    monkeypatch.setattr(distort_module, "SHIFT", 3.0)
    result = distort(np.ones((50, 1, 8, 8)), np.random.default_rng(0))
    assert set(np.unique(result)) == {0.0, 1.0}
    rows = result[:, 0].max(axis=2)
    assert ((rows[:, 0] == 0) | (rows[:, -1] == 0) | (rows.min(axis=1) == 1)).all()
