"""Layers with a state of their own (batch norm, dropout) and losses."""

import numpy as np
import pytest

import nnfast as nn

RNG = np.random.default_rng(0)


def test_batch_norm_running_statistics(backend):
    norm = nn.BatchNorm2d(3, momentum=0.25, dtype=np.float64)
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = RNG.normal(2.0, 3.0, (4, 3, 5, 6))
        norm(x)
        mean = 0.75 * mean + 0.25 * x.mean(axis=(0, 2, 3))
        var = 0.75 * var + 0.25 * x.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_var, var, rtol=1e-12)
    assert norm.num_batches_tracked == 3
    norm.eval()
    x = RNG.standard_normal((2, 3, 4, 4))
    expected = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    np.testing.assert_allclose(norm(x), expected, rtol=1e-12)
    np.testing.assert_array_equal(norm.running_mean, norm.state_dict()["running_mean"])
    assert norm.num_batches_tracked == 3  # inference moves nothing


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_torch(training, shape, backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, ours = torch.nn.BatchNorm1d(5), nn.BatchNorm1d(5)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for _ in range(2):
        x = RNG.normal(1.0, 2.0, shape).astype(np.float32)
        dy = np.arange(shape[-1], dtype=np.float32) * np.ones_like(x)
        theirs.train(training)
        ours.train(training)
        tx = torch.tensor(x, requires_grad=True)
        ty = theirs(tx)
        ty.backward(torch.tensor(dy))
        y = ours(x)
        dx = ours.backward(dy)
        np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(dx, tx.grad.numpy(), rtol=1e-4, atol=1e-5)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-5, atol=1e-7)


def test_dropout_masks(backend):
    layer, x = nn.Dropout(0.25, rng=0), np.ones((100, 100), np.float32)
    first, second = layer(x), layer(x)
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
    assert np.mean(first == 0) == pytest.approx(0.25, abs=0.02)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layer.backward(x), second)  # the mask of the latest pass
    assert layer.eval()(x) is x
    seed = int(layer.dropout_state[0])
    third = nn.functional.dropout(x, 0.25, seed, 2)  # inference has counted nothing
    np.testing.assert_array_equal(layer.train()(x), third)


def test_dropout_without_a_seed_draws_one(backend):
    x = np.ones(1000, np.float32)
    first, second = nn.Dropout(), nn.Dropout()
    assert not np.array_equal(first(x), second(x))
    seed = first.dropout_state[0]
    first(x)
    assert seed >= 0 and first.dropout_state.tolist() == [seed, 2]  # once and for all
    other = nn.functional.dropout(x, 0.5, int(seed), 1)
    np.testing.assert_array_equal(first.backward(x), other)


def test_dropout_resumes_from_its_state(backend):
    layer, x = nn.Dropout(rng=0), np.ones(1000, np.float32)
    layer(x)
    other = nn.Dropout()
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(layer(x), other(x))


def test_cross_entropy_options_against_plain_numpy(backend):
    x = RNG.standard_normal((6, 4))
    t = np.array([0, 3, 7, 1, 1, 2])
    sample, classes = RNG.uniform(1, 2, 6), np.array([1.0, 2.0, 0.5, 3.0])
    p = np.log(np.exp(x) / np.exp(x).sum(1, keepdims=True))
    kept = t != 7
    label = np.where(kept, t, 0)
    for class_weight in (None, classes):
        c = np.ones(4) if class_weight is None else classes
        each = -(0.9 * c[label] * p[np.arange(6), label] + 0.1 * (c * p).mean(1)) * sample * kept
        w = sample * kept * c[label]
        options = {"class_weight": class_weight, "ignore_index": 7, "label_smoothing": 0.1}
        for reduction, expected in (
            *(("mean", each.sum() / w.sum()), ("sum", each.sum())),
            ("none", each),
        ):
            loss = nn.CrossEntropyLoss(reduction=reduction, **options)
            np.testing.assert_allclose(loss(x, t, sample), expected, rtol=1e-12)
    nn.testing.check_gradients(loss, x, t, sample)
    nn.testing.check_gradients(nn.CrossEntropyLoss(**options), x, t, sample)
    soft = np.exp(p)
    nn.testing.check_gradients(nn.CrossEntropyLoss(), x, soft[::-1])


def test_ignored_samples_count_nothing_whatever_their_scores(backend):
    x, t = RNG.standard_normal((4, 3)), np.array([0, -100, 2, 1])
    for options in ({}, {"class_weight": np.ones(3)}):
        loss = nn.CrossEntropyLoss(label_smoothing=0.1, **options)
        x[1] = 0.0
        expected, dx = loss(x, t), loss.backward()
        x[1] = [np.nan, np.inf, 1.0]
        assert loss(x, t) == expected
        np.testing.assert_array_equal(loss.backward(), dx)
        assert not dx[1].any()


def test_class_weight_is_that_of_torch(backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, t = RNG.standard_normal((6, 4)).astype(np.float32), np.array([0, 3, 2, 1, 1, -100])
    w = np.array([1, 2, 0, 3], np.float32)
    for smoothing in (0.0, 0.2):
        theirs = torch.nn.CrossEntropyLoss(torch.tensor(w), label_smoothing=smoothing)
        x_theirs = torch.tensor(x, requires_grad=True)
        expected = theirs(x_theirs, torch.tensor(t))
        expected.backward()
        loss = nn.CrossEntropyLoss(w, label_smoothing=smoothing)
        assert loss(x, t) == pytest.approx(expected.item(), rel=1e-5)
        np.testing.assert_allclose(loss.backward(), x_theirs.grad.numpy(), atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_squared_error(reduction, backend):
    x, t = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((2, 3, 4))
    square = (x - t) ** 2
    expected = {"mean": square.mean(), "sum": square.sum(), "none": square}[reduction]
    loss = nn.MSELoss(reduction)
    np.testing.assert_allclose(loss(x, t), expected, rtol=1e-12)
    nn.testing.check_gradients(loss, x, t)
    loss(x, t)
    whole = loss.backward()
    loss(x, t)
    np.testing.assert_allclose(loss.backward(0.5), 0.5 * whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(), np.eye(3)),
        (nn.CrossEntropyLoss(np.ones(3)), np.arange(3)),
        (nn.MSELoss(), np.eye(3)),
    ],
)
def test_losses_keep_the_precision_of_the_predictions(loss, target, backend):
    x = np.ones((3, 3), np.float32)
    assert loss(x, target).dtype == np.float32
    assert loss.backward().dtype == np.float32
    with pytest.raises(RuntimeError, match=f"{type(loss).__name__}.backward: call forward first"):
        loss.backward()


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.float16])
def test_losses_of_numbers_that_count_as_float32(dtype, backend):
    x, soft = np.array([[1, 0], [1, 1]], dtype), np.array([[0.5, 0.5], [0.25, 0.75]])
    weight, labels = [0.5, 0.2], [0, 1]
    same = x.astype(np.float32)
    for loss, *args in (
        (nn.MSELoss(), soft),
        (nn.CrossEntropyLoss(), soft, weight),
        (nn.CrossEntropyLoss(weight), np.array(labels)),
    ):
        expected = loss(same, *args)
        assert loss(x, *args) == expected and expected.dtype == np.float32
        assert loss.backward().dtype == np.float32
    assert nn.MSELoss()([1.0, 2.0], [0.5, 0.5]) == 1.25


def test_float64_gradient_from_outside_is_refused(backend):
    layer = nn.Linear(3, 2, rng=0)
    layer(np.ones((1, 3), np.float32))
    with pytest.raises(TypeError, match="gradient of weight must be float32, got float64"):
        layer.backward(np.ones((1, 2)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, "reduction must be one of"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, "label_smoothing must be"),
        (lambda: nn.CrossEntropyLoss(ignore_index=1.5), TypeError, "ignore_index must be an int"),
        (lambda: nn.MSELoss()(None, [1.0]), TypeError, "x must be an array, got None"),
        (
            lambda: _weighted(np.ones(2), [0, 2], 0.1),
            ValueError,
            "0 to 1 or .* got 2 at posi",
        ),
        (lambda: nn.CrossEntropyLoss(np.eye(2)), ValueError, r"class_weight must have shape \(C,"),
        (lambda: _weighted(np.ones(3), np.arange(2)), ValueError, "class_weight must fit x"),
        (lambda: _weighted(np.ones(2), np.eye(2)), ValueError, "target must be integer labels"),
        (lambda: _weighted(np.ones(2), np.array([0, 2])), ValueError, "target"),
        (lambda: _weighted(np.ones(2), [0, 1, 1], 0.1), ValueError, "target must have shape"),
        (lambda: nn.MSELoss("max"), ValueError, "reduction must be one of"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def _weighted(weight, target, smoothing=0.0):
    nn.CrossEntropyLoss(weight, label_smoothing=smoothing)(np.ones((2, 2), np.float32), target)


def test_reprs():
    text = "CrossEntropyLoss(ignore_index=1, label_smoothing=0.1, reduction='sum')"
    assert repr(nn.CrossEntropyLoss(None, 1, 0.1, "sum")) == text
    assert repr(nn.MSELoss()) == "MSELoss()" and repr(nn.MSELoss("sum"))[8:-1] == "reduction='sum'"
    assert repr(nn.Dropout(0.3)) == "Dropout(0.3)"
