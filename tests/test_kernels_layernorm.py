"""Layer normalisation against the twins in float64, exact invariants, NaN and infinity."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same_bits, by_threads, core
from numeric import Array, assert_bound, integers, normal

from nnfast import reference as ref

SHAPES = [
    *cases.LAYER_NORM,
    (2, 70001),  # many blocks of terms
    (5000, 3),  # many chunks of rows
    (300, 257),
    (2, 4096),
]
every_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def eps(dtype: type) -> float:
    return float(np.finfo(dtype).eps)


def wide(*arrays: Array) -> list[Array]:
    return [array.astype(np.float64) for array in arrays]


def assert_forward(
    x: Array, weight: Array | None, bias: Array | None, c: float = 8
) -> tuple[Array, ...]:
    """Assert the bounds of the forward pass; return its result."""
    y, mean, rstd = result = by_threads(lambda: core.layer_norm(x, weight, bias))
    assert y.dtype == mean.dtype == rstd.dtype == x.dtype
    affine = [None if a is None else a.astype(np.float64) for a in (weight, bias)]
    exact = ref.layer_norm(*wide(x), *affine)
    level = np.abs(wide(x)[0]).mean(axis=-1)
    condition = 1 + level * exact[2]  # values large beside their deviation cost the twin digits
    normalised = 1 + np.abs(ref.layer_norm(*wide(x))[0])
    size = normalised * condition[..., None] * (1 if weight is None else np.abs(weight))
    assert_bound(y, exact[0], size + np.abs(exact[0]), c)
    assert_bound(mean, exact[1], level + 1 / exact[2], c)
    assert_bound(rstd, exact[2], exact[2] * condition, c=8)
    return result


@every_dtype
@every_shape
@pytest.mark.parametrize("affine", [True, False])
def test_against_the_twin(shape: tuple[int, ...], dtype: type, affine: bool) -> None:
    x, dy = normal(shape, dtype), normal(shape, dtype, seed=1)
    weight, bias = (normal(shape[-1], dtype, seed=s) for s in (2, 3))
    if not affine:
        weight = bias = None
    _, mean, rstd = assert_forward(x, weight, bias)

    got = by_threads(lambda: core.layer_norm_backward(dy, x, mean, rstd, weight))
    assert all(gradient.dtype == dtype for gradient in got)
    exact = ref.layer_norm_backward(*wide(dy, x, mean, rstd), *(wide(weight) if affine else ()))
    rows = tuple(range(x.ndim - 1))
    xhat = np.abs((x - mean[..., None]) * rstd[..., None]).astype(np.float64)
    g = np.abs(dy if weight is None else dy * weight)
    size = g + g.mean(axis=-1, keepdims=True) + xhat * (g * xhat).mean(axis=-1, keepdims=True)
    assert_bound(got[0], exact[0], size * rstd[..., None], c=16)
    count = 1 + len(str(x.size))  # sums of many rows round more
    assert_bound(got[1], exact[1], np.sum(np.abs(dy) * xhat, axis=rows), c=4 * count)
    assert_bound(got[2], exact[2], np.sum(np.abs(dy), axis=rows), c=4 * count)


@every_dtype
@pytest.mark.parametrize("which", ["weight", "bias"])
def test_one_of_weight_and_bias(which: str, dtype: type) -> None:
    x, vector = normal((9, 37), dtype), normal(37, dtype, seed=1)
    y = core.layer_norm(x, **{which: vector})[0]
    expected = ref.layer_norm(x, **{which: vector})[0]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@every_dtype
@pytest.mark.parametrize("cols", [4, 64, 300, 5000])
def test_mean_far_from_zero(cols: int, dtype: type) -> None:
    """A mean much larger than the deviation takes no digits from the result."""
    x = (normal((20, cols)) + 1e4).astype(dtype)
    y, mean, rstd = core.layer_norm(x)
    centred = x.astype(np.longdouble)  # of which the twin's mean would take as many digits
    centred -= centred.mean(axis=-1, keepdims=True)
    exact = 1 / np.sqrt(np.mean(centred**2, axis=-1) + np.longdouble(1e-5))
    np.testing.assert_allclose(mean, x.mean(axis=-1, dtype=np.longdouble), rtol=2 * eps(dtype))
    np.testing.assert_allclose(rstd, exact, rtol=10 * eps(dtype))
    y_exact = centred * exact[:, None]
    np.testing.assert_allclose(y, y_exact, rtol=10 * eps(dtype), atol=10 * eps(dtype))


@every_dtype
@pytest.mark.parametrize("cols", [40, 300, 5000])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_an_outlier_takes_no_digits(cols: int, place: int, dtype: type) -> None:
    x = normal((20, cols), dtype)
    x[:, place] = 1000
    assert_forward(x, None, None, c=16)


@every_dtype
@pytest.mark.parametrize("cols", [8, 24, 256, 1000])
def test_whole_numbers(cols: int, dtype: type) -> None:
    """Statistics without rounding error: 2 and -2 in equal parts, a variance of 4."""
    x = np.full((9, cols), 2, dtype)
    x[:, ::2] = -2
    weight, bias = integers(cols, dtype), integers(cols, dtype, seed=1)
    y, mean, rstd = core.layer_norm(x, weight, bias, eps=0.0)
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(rstd, 0.5)
    np.testing.assert_array_equal(y, x / 2 * weight + bias)
    dy = integers(x.shape, dtype, seed=2)
    _, dweight, dbias = core.layer_norm_backward(dy, x, mean, rstd, weight)
    np.testing.assert_array_equal(dweight, (dy * x / 2).sum(axis=0))
    np.testing.assert_array_equal(dbias, dy.sum(axis=0))


@every_dtype
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
@pytest.mark.parametrize("cols", [1, 7, 256, 3000])
def test_equal_values_become_zero(cols: int, value: float, dtype: type) -> None:
    x = np.full((5, cols), value, dtype)
    y, mean, rstd = core.layer_norm(x)
    np.testing.assert_allclose(y, 0, atol=1e-4)
    np.testing.assert_allclose(mean, value, rtol=1e-6)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(1e-5), rtol=1e-5)


@every_dtype
@pytest.mark.parametrize("cols", [1, 3, 16, 33, 300, 3000])
def test_row_does_not_depend_on_its_place(cols: int, dtype: type) -> None:
    x, dy, weight = normal((40, cols), dtype), normal((40, cols), dtype, 1), normal(cols, dtype, 2)
    result = core.layer_norm(x, weight)
    dx = core.layer_norm_backward(dy, x, *result[1:], weight)[0]
    for start in range(5):
        for stop in range(36, 40):
            part = slice(start, stop)
            again = core.layer_norm(x[part], weight)
            assert_same_bits(again, tuple(array[part] for array in result))
            gradient = core.layer_norm_backward(dy[part], x[part], *again[1:], weight)[0]
            assert_same_bits(gradient, dx[part])


@every_dtype
@pytest.mark.parametrize("cols", [3, 40, 700])
@pytest.mark.parametrize("place", [0, 2, -1])
def test_not_finite_stays_in_its_row(cols: int, place: int, dtype: type) -> None:
    x = normal((6, cols), dtype)
    x[1, place], x[2, place], x[3, place] = np.nan, np.inf, -np.inf
    x[4, 0], x[4, -1] = np.inf, -np.inf
    y, mean, rstd = core.layer_norm(x)
    np.testing.assert_array_equal(mean[1:5], [np.nan, np.inf, -np.inf, np.nan])
    assert np.isnan(y).all(axis=1).tolist() == [False, True, True, True, True, False]
    assert np.isnan(rstd).tolist() == np.isnan(y).any(axis=1).tolist()
    assert_same_bits(y[[0, 5]], core.layer_norm(x[[0, 5]])[0])


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("cols", "place"), [(33, 32), (64, 63), (200, 150), (5000, 4500)])
def test_a_variance_that_overflows_is_infinite(cols: int, place: int, dtype: type) -> None:
    x = normal((2, cols), dtype)
    x[0, place] = 1e25 if dtype == np.float32 else 1e160
    y, _, rstd = core.layer_norm(x)
    assert rstd[0] == 0 and not y[0].any() and rstd[1] > 0


def test_leading_axes() -> None:
    x = normal((2, 3, 4, 5), np.float32)
    y, mean, rstd = core.layer_norm(x)
    assert mean.shape == rstd.shape == (2, 3, 4)
    assert_same_bits(y.reshape(-1, 5), core.layer_norm(x.reshape(-1, 5))[0])
    assert core.layer_norm(x[0, 0, 0])[1].shape == ()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 70),
    cols=st.integers(1, 1200),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-2, 1e3),
)
def test_any_geometry(rows: int, cols: int, shift: float, scale: float) -> None:
    x = (normal((rows, cols)) * scale + shift).astype(np.float32)
    y, mean, rstd = core.layer_norm(x)
    exact = ref.layer_norm(*wide(x))
    np.testing.assert_allclose(y, exact[0], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(mean, exact[1], rtol=1e-6, atol=1e-6 * scale)
    np.testing.assert_allclose(rstd, exact[2], rtol=2e-5)
