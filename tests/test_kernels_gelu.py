"""GELU against its twin in float64: the digits it promises on either side of zero, and the ends."""

import cases
import numpy as np
import pytest
from kernel_checks import assert_same_bits, by_threads, core, wide
from numeric import Array, normal

from nnfast import reference as ref

FORMS = ("none", "tanh")
every_form = pytest.mark.parametrize("approximate", FORMS)
every_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)
# Beyond these gelu(x) is 0 or x.
END = {np.float32: 15.0, np.float64: 39.0}


def promised(x: Array, approximate: str) -> Array:
    """Return the relative error that functional.gelu promises, in units of epsilon."""
    a = np.minimum(np.abs(x), 40)
    return np.where(x < 0, 40 + a**2 if approximate == "none" else 10 + a**3 / 2, 3.5)


def assert_close(y: Array, x: Array, approximate: str) -> None:
    """Assert the promise of the forward pass; the twin in float64 errs by as much itself."""
    exact = ref.gelu(wide(x), approximate)
    error = np.abs(y - exact)
    bound = promised(wide(x), approximate) * (1 if y.dtype == np.float32 else 2)
    limits = np.finfo(y.dtype)
    # Where Phi itself is denormal the twin loses digits before it multiplies by x.
    ulp = limits.smallest_subnormal * (1 if y.dtype == np.float32 else 40)
    allowed = bound * limits.eps * np.abs(exact) + ulp
    assert np.all(error <= allowed), x[np.argmax(error / allowed)]


@every_form
@every_dtype
@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_forward(shape: tuple[int, ...], dtype: type, approximate: str) -> None:
    x = np.asarray(3 * normal(shape), dtype)
    y = by_threads(lambda: core.gelu(x, approximate))
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert_close(y.ravel(), x.ravel(), approximate)


@every_form
@every_dtype
@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_backward(shape: tuple[int, ...], dtype: type, approximate: str) -> None:
    x, dy = np.asarray(3 * normal(shape), dtype), normal(shape, dtype, seed=1)
    dx = by_threads(lambda: core.gelu_backward(dy, x, approximate))
    assert (dx.dtype, dx.shape) == (x.dtype, x.shape)
    exact = ref.gelu_backward(wide(dy), wide(x), approximate)
    bound = (2 if dtype is np.float32 else 4) * np.finfo(dtype).eps  # the twin errs too
    assert np.all(np.abs(dx - exact) <= bound * np.abs(dy))


@every_form
@every_dtype
def test_digits_from_end_to_end(dtype: type, approximate: str) -> None:
    end = END[dtype]
    x = np.concatenate([np.linspace(-end, end, 100_000), np.linspace(-1, 1, 50_000)]).astype(dtype)
    assert_close(core.gelu(x, approximate), x, approximate)
    dx = core.gelu_backward(np.ones_like(x), x, approximate)
    exact = ref.gelu_backward(np.ones(x.shape), wide(x), approximate)
    assert np.max(np.abs(dx - exact)) <= (1.5 if dtype is np.float32 else 3) * np.finfo(dtype).eps


@every_form
@every_dtype
def test_all_exponents(dtype: type, approximate: str) -> None:
    """Denormals are halved, what is far out is 0 or itself: no exponent breaks the formula."""
    bits = np.random.default_rng(1).integers(0, 256, 100_000 * dtype().itemsize, np.uint8)
    x = bits.view(dtype)
    x = x[np.isfinite(x)]
    y, dx = core.gelu(x, approximate), core.gelu_backward(np.ones_like(x), x, approximate)
    assert_close(y, x, approximate)
    np.testing.assert_array_equal(y[x >= END[dtype]], x[x >= END[dtype]])
    assert np.all(y[x <= -END[dtype]] == 0)
    assert np.all(dx[np.abs(x) >= END[dtype]] == (x[np.abs(x) >= END[dtype]] > 0))


@every_form
def test_underflows_gradually(approximate: str) -> None:
    x = np.linspace(-14.3, -9, 10_000, dtype=np.float32)
    y = core.gelu(x, approximate)
    assert np.any((y < 0) & (y > -np.finfo(np.float32).tiny))
    assert_close(y, x, approximate)


@every_form
@every_dtype
def test_edges(dtype: type, approximate: str) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan], dtype)
    y = core.gelu(x, approximate)
    np.testing.assert_array_equal(y, np.array([0, 0, np.inf, 0, np.nan, np.nan], dtype))
    assert np.signbit(y[:2]).tolist() == [False, True]
    dx = core.gelu_backward(np.full_like(x, 2), x, approximate)
    np.testing.assert_array_equal(dx, np.array([1, 1, 2, 0, np.nan, np.nan], dtype))


@every_form
@every_dtype
def test_result_does_not_depend_on_position(dtype: type, approximate: str) -> None:
    x, dy = 3 * normal(100, dtype), normal(100, dtype, seed=1)
    y, dx = core.gelu(x, approximate), core.gelu_backward(dy, x, approximate)
    for start in range(18):
        for stop in range(82, 100):
            part = slice(start, stop)
            assert_same_bits(core.gelu(x[part], approximate), y[part])
            assert_same_bits(core.gelu_backward(dy[part], x[part], approximate), dx[part])
