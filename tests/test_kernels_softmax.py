"""Softmax and log-softmax against their twins: one bound for every width, NumPy's edge cases."""

import warnings

import cases
import numpy as np
import pytest
from kernel_checks import assert_same_bits, by_threads, core
from numeric import Array, assert_bound, normal

from nnfast import reference as ref

FORWARD = ("softmax", "log_softmax")
# One row a lane, rows with and without tails, one chunk, several chunks, rows of several threads.
WIDTHS = [(300, cols) for cols in (*range(1, 18), 31, 32, 33, 63, 64, 65)]
WIDE = [(9, 1000), (2, 16384), (2, 16385), (1, 100_003), (5, 40_000)]
SHAPES = cases.SOFTMAX + WIDTHS + WIDE


def magnitudes(name: str, x: Array) -> Array:
    """Return what the error is relative to: x - max is rounded, and e^ carries that on."""
    if not x.size:
        return x
    distance = 1 + np.max(x, axis=-1, keepdims=True) - x
    return distance * ref.softmax(x) if name == "softmax" else distance + np.log(x.shape[-1])


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FORWARD)
def test_forward_is_bounded(name: str, shape: tuple[int, ...], dtype: type) -> None:
    x = 5 * normal(shape, dtype)
    y = by_threads(lambda: getattr(core, name)(x))
    assert y.dtype == dtype
    wide = x.astype(np.float64)
    assert_bound(y, getattr(ref, name)(wide), magnitudes(name, wide), c=10)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FORWARD)
def test_backward_is_bounded(name: str, shape: tuple[int, ...], dtype: type) -> None:
    x, dy = 5 * normal(shape, dtype), normal(shape, dtype, seed=1)
    y = getattr(ref, name)(x)
    backward = getattr(core, name + "_backward")
    dx = by_threads(lambda: backward(dy, y))
    assert dx.dtype == dtype
    wide_dy, wide_y = dy.astype(np.float64), y.astype(np.float64)
    exact = getattr(ref, name + "_backward")(wide_dy, wide_y)
    terms = np.abs(wide_dy * wide_y if name == "softmax" else wide_dy)
    total = np.sum(terms, axis=-1, keepdims=True)
    size = np.abs(wide_dy)
    if name == "softmax":
        magnitude = np.abs(wide_y) * (size + total)
    else:
        magnitude = size + np.exp(wide_y) * total
    assert_bound(dx, exact, magnitude, c=10)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("cols", [1, 3, 7, 8, 10, 40, 100, 20_000])
@pytest.mark.parametrize("name", FORWARD)
def test_not_finite_as_in_numpy(name: str, cols: int, dtype: type) -> None:
    """-inf counts nothing; NaN, +inf, or nothing but -inf make the row NaN, and that row alone."""
    rows = np.tile(normal(cols, dtype), (9, 1))
    rows[1, 0] = -np.inf
    rows[2, :] = -np.inf
    rows[3, cols // 2] = np.nan
    rows[4, -1] = np.inf
    rows[5, : cols - 1] = -np.inf
    rows[6, :] = np.inf
    rows[7, 0], rows[7, -1] = np.nan, -np.inf
    if cols > 16384:
        rows[8, :16384] = -np.inf  # a whole chunk
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(ref, name)(rows)
    y = by_threads(lambda: getattr(core, name)(rows))
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("cols", [5, 500, 20_000])
def test_large_scores_do_not_overflow(cols: int, dtype: type) -> None:
    x = np.full((3, cols), 1e30, dtype)
    np.testing.assert_allclose(core.softmax(x), 1 / cols, rtol=1e-5)
    np.testing.assert_allclose(core.log_softmax(x), -np.log(cols), rtol=1e-5)
    x[:, 0] = -1e30
    assert np.all(core.softmax(x)[:, 0] == 0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("cols", [1, 3, 10, 33, 100])
@pytest.mark.parametrize("name", FORWARD)
def test_row_does_not_depend_on_its_place(name: str, cols: int, dtype: type) -> None:
    x = 3 * normal((40, cols), dtype)
    y = getattr(core, name)(x)
    for start in range(9):
        for stop in range(31, 40):
            assert_same_bits(getattr(core, name)(x[start:stop]), y[start:stop])


@pytest.mark.parametrize("axis", [0, -2])
def test_only_the_last_axis(axis: int) -> None:
    with pytest.raises(ValueError, match="axis"):
        core.softmax(np.zeros((2, 3)), axis)
    assert core.softmax(np.zeros((2, 3)), 1).shape == (2, 3)
