"""Activations against their twins: equal where only products are rounded, a few ulp else."""

import cases
import numpy as np
import pytest
from kernel_checks import assert_same, assert_same_bits, by_threads, core, wide
from numeric import Array, normal

from nnfast import reference as ref

RECTIFIERS = ("relu", "leaky_relu")
CURVES = ("sigmoid", "tanh")
EDGES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 100.0, -100.0]


def close(actual: Array, expected: Array, ulps: int) -> None:
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    rtol = ulps * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
@pytest.mark.parametrize("name", RECTIFIERS)
def test_rectifier_equals_twin(name: str, shape: tuple[int, ...], dtype: type) -> None:
    x, dy = normal(shape, dtype), normal(shape, dtype, seed=1)
    forward, backward = getattr(core, name), getattr(core, name + "_backward")
    assert_same(by_threads(lambda: forward(x)), getattr(ref, name)(x))
    assert_same(by_threads(lambda: backward(dy, x)), getattr(ref, name + "_backward")(dy, x))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("slope", [0.0, 0.2, -1.5])
def test_slope(slope: float, dtype: type) -> None:
    x, dy = normal(1000, dtype), normal(1000, dtype, seed=1)
    assert_same(core.leaky_relu(x, slope), ref.leaky_relu(x, slope))
    assert_same(core.leaky_relu_backward(dy, x, slope), ref.leaky_relu_backward(dy, x, slope))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
@pytest.mark.parametrize("name", CURVES)
def test_curve_is_close_to_twin(name: str, shape: tuple[int, ...], dtype: type) -> None:
    x, dy = np.asarray(4 * normal(shape), dtype), normal(shape, dtype, seed=1)
    forward, backward = getattr(core, name), getattr(core, name + "_backward")
    y = by_threads(lambda: forward(x))
    close(y, np.asarray(getattr(ref, name)(x)), 6)  # both err: see test_vecmath
    dx = by_threads(lambda: backward(dy, y))
    exact = getattr(ref, name + "_backward")(wide(dy), wide(y))
    # 1 - y and 1 - y^2 cancel: the error is relative to dy.
    assert dx.dtype == dtype
    assert np.all(np.abs(dx - exact) <= 4 * np.finfo(dtype).eps * np.abs(dy))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", RECTIFIERS + CURVES)
def test_edges_as_in_twin(name: str, dtype: type) -> None:
    x = np.array(EDGES, dtype)
    with np.errstate(all="ignore"):
        expected = getattr(ref, name)(x)
    np.testing.assert_allclose(
        getattr(core, name)(x), expected, rtol=1e-5 if dtype is np.float32 else 1e-14
    )
    dy = np.arange(1, x.size + 1).astype(dtype)
    with np.errstate(all="ignore"):
        expected = getattr(ref, name + "_backward")(dy, x)
    np.testing.assert_allclose(getattr(core, name + "_backward")(dy, x), expected, rtol=1e-5)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("name", RECTIFIERS + CURVES)
def test_result_larger_than_the_cache(name: str, offset: int) -> None:
    """What is written past the cache has the bits of what is not, wherever the input begins."""
    x, dy = (normal(12_000_011, np.float32, seed=s)[offset:] for s in (0, 1))
    y = by_threads(lambda: getattr(core, name)(x))
    dx = by_threads(lambda: getattr(core, name + "_backward")(dy, x))
    for start in (0, 5_000_016, x.size - 1000):
        part = slice(start, start + 1000)
        assert_same_bits(y[part], getattr(core, name)(x[part]))
        assert_same_bits(dx[part], getattr(core, name + "_backward")(dy[part], x[part]))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", RECTIFIERS + CURVES)
def test_result_does_not_depend_on_position(name: str, dtype: type) -> None:
    """The same numbers anywhere in an array, at any alignment, give the same bits."""
    x, dy = 4 * normal(100, dtype), normal(100, dtype, seed=1)
    forward, backward = getattr(core, name), getattr(core, name + "_backward")
    y, dx = forward(x), backward(dy, x)
    for start in range(18):
        for stop in range(82, 100):
            part = slice(start, stop)
            assert_same_bits(forward(x[part]), y[part])
            assert_same_bits(backward(dy[part], x[part]), dx[part])
