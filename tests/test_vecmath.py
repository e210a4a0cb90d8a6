"""The vector exp, exp2, log, tanh and logistic function, in units in the last place; the edges.

They are reached through kernels that add nothing to them, and held against long double.
"""

import cases
import numpy as np
import pytest
from kernel_checks import core
from numeric import Array

pytestmark = [
    pytest.mark.skipif(
        np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double here"
    ),
    pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:underflow:RuntimeWarning"),
]

# Largest error allowed: what csrc/vecmath.h states, and a little.
EXP, LOG, TANH, SIGMOID = 1.15, 0.9, 2.8, 2.5


def exp(x: Array) -> Array:
    """Return e^x: log-softmax's gradient dy - e^y sum(dy) for y = (x, 0) and dy = (0, -1)."""
    pairs = np.zeros((x.size, 2), x.dtype)
    pairs[:, 0] = x
    dy = np.zeros_like(pairs)
    dy[:, 1] = -1
    return core.log_softmax_backward(dy, pairs)[:, 0]


def exp_negative(x: Array) -> Array:
    """Return e^x: the gradient of values whose scores are x, for a log-sum-exp of 0."""
    one, zero = np.ones((1, 1, 1), x.dtype), np.zeros((1, 1, 1), x.dtype)
    k = x.reshape(1, -1, 1)
    return core.attention_backward(one, one, k, np.zeros_like(k), zero, zero, scale=1.0)[2].ravel()


def sigmoid_exact(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def spread(dtype: type, low: float, high: float, count: int = 200_000) -> Array:
    """Return numbers all over [low, high], as many near the ends as in the middle."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [np.linspace(low, high, count // 2), rng.uniform(low, high, count // 2)]
    ).astype(dtype)


def all_exponents(dtype: type, count: int = 200_000) -> Array:
    """Return finite numbers of random bits: every exponent, denormals too, and both signs."""
    bits = np.random.default_rng(1).integers(0, 256, count * dtype().itemsize, np.uint8)
    x = bits.view(dtype)
    return x[np.isfinite(x)]


def ulps(actual: Array, exact: Array) -> float:
    """Return the largest error in units in the last place of the exact value."""
    rounded = exact.astype(actual.dtype)
    finite = np.isfinite(rounded) & np.isfinite(actual)
    np.testing.assert_array_equal(actual[~finite], rounded[~finite])
    spacing = np.spacing(np.abs(rounded[finite])).astype(np.longdouble)
    error = np.abs(actual[finite] - exact[finite]) / spacing
    return float(np.max(error, initial=0))


def wide(x: Array) -> Array:
    return x.astype(np.longdouble)


# Beyond these e^x is infinite or zero.
RANGE = {np.float32: (-105.0, 89.0), np.float64: (-747.0, 710.0)}


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_exp(dtype: type) -> None:
    for x in (spread(dtype, *RANGE[dtype]), spread(dtype, -1, 1), all_exponents(dtype)):
        assert ulps(exp(x), np.exp(wide(x))) <= EXP


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_exp_negative(dtype: type) -> None:
    low = RANGE[dtype][0]
    for x in (spread(dtype, low, 0), spread(dtype, -1, 0.5)):
        assert ulps(exp_negative(x), np.exp(wide(x))) <= EXP
    x = np.array([0, -0.0, 20 * low, -np.inf], dtype)
    np.testing.assert_array_equal(exp_negative(x), [1, 1, 0, 0])
    assert np.isnan(exp_negative(np.array([np.nan, -np.nan], dtype))).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_exp_underflows_gradually(dtype: type) -> None:
    tiny = float(np.log(np.finfo(dtype).tiny))
    x = spread(dtype, 1.25 * tiny, tiny)
    y = exp(x)
    assert ulps(y, np.exp(wide(x))) <= EXP
    assert np.any((y > 0) & (y < np.finfo(dtype).tiny))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_log(dtype: type) -> None:
    """The log-sum-exp of k zeros is ln k."""
    for k in [*range(1, 200), 1000, 4097, 20_000, 65_537]:
        lse = core.cross_entropy(np.zeros((1, k), dtype), np.zeros(1, np.int64))[1]
        assert ulps(lse, np.log(np.full(1, k, np.longdouble))) <= LOG


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_log_between_whole_numbers(dtype: type) -> None:
    """The log-softmax of (x, 0), x >= 0, is -ln(1 + e^-x); 1 + e^-x is rounded once more."""
    x = spread(dtype, 0, 1)
    y = -core.log_softmax(np.stack([x, np.zeros_like(x)], axis=1))[:, 0]
    assert ulps(y, np.log1p(np.exp(-wide(x)))) <= LOG + 2.5


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_tanh(dtype: type) -> None:
    for x in (spread(dtype, -25, 25), spread(dtype, -1, 1), all_exponents(dtype)):
        assert ulps(core.tanh(x), np.tanh(wide(x))) <= TANH


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_sigmoid(dtype: type) -> None:
    low = RANGE[dtype][0]
    for x in (spread(dtype, low, -low), spread(dtype, -3, 3), all_exponents(dtype)):
        assert ulps(core.sigmoid(x), sigmoid_exact(wide(x))) <= SIGMOID


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_exp2_of_products(dtype: type) -> None:
    """GELU's tanh form is x e / (1 + e) with e = 2^-t, t a product whose rounding e magnifies."""
    x = spread(dtype, -9, 0)
    wide_x = wide(x)
    root = 2 * np.sqrt(2 / np.longdouble("3.14159265358979323846"))
    t = -root * (wide_x + np.longdouble("0.044715") * wide_x**3)
    exact = wide_x * np.exp(-t) / (1 + np.exp(-t))
    error = np.abs(core.gelu(x, "tanh") - exact) / np.spacing(np.abs(exact.astype(dtype)))
    assert np.all(error <= 5 + 3.5 * t)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_edges(dtype: type) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(exp(x), np.array([1, 1, np.inf, 0, np.nan], dtype))
    np.testing.assert_array_equal(core.sigmoid(x), np.array([0.5, 0.5, 1, 0, np.nan], dtype))
    y = core.tanh(x)
    np.testing.assert_array_equal(y, np.array([0, -0.0, 1, -1, np.nan], dtype))
    assert np.signbit(y[1])
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_array_equal(core.tanh(np.array([tiny, -tiny])), [tiny, -tiny])
