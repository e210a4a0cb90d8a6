"""Reductions: exact on whole numbers, at least as accurate as NumPy's, NaN as np.max."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same, by_threads, core
from numeric import assert_bound, integers, normal

from nnfast import reference as ref

NAMES = ("reduce_sum", "reduce_mean", "reduce_max")
LARGE = [
    ((200001,), None),
    ((3, 70001), 1),
    ((2000, 37), 0),
    ((5, 700, 11), 1),
    ((300, 1100), 0),
    ((40, 30, 50), (1, 2)),
    ((40, 30, 50), (0, 1)),
]


def side_by_side(axis: object, ndim: int) -> bool:
    if not isinstance(axis, tuple) or not axis:
        return True
    axes = sorted(a % ndim for a in axis)
    return axes[-1] - axes[0] + 1 == len(axes)


CASES = [case for case in cases.REDUCE if side_by_side(case[1], len(case[0]))] + LARGE


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("shape", "axis"), CASES, ids=str)
def test_against_the_twin(shape: tuple, axis: object, dtype: type, keepdims: bool) -> None:
    x = normal(shape, dtype)
    exact = x.astype(np.float64)
    for name in ("reduce_sum", "reduce_mean"):
        twin = getattr(ref, name)
        y = by_threads(lambda name=name: getattr(core, name)(x, axis, keepdims))
        assert type(y) is type(twin(x, axis, keepdims))
        assert y.dtype == dtype
        magnitude = twin(np.asarray(np.abs(exact)), axis, keepdims)
        assert_bound(y, twin(exact, axis, keepdims), magnitude, c=4)
    whole = integers(shape, dtype)
    assert_same(core.reduce_sum(whole, axis, keepdims), ref.reduce_sum(whole, axis, keepdims))
    try:
        greatest = ref.reduce_max(x, axis, keepdims)
    except ValueError:
        with pytest.raises(ValueError, match="maximum"):
            core.reduce_max(x, axis, keepdims)
    else:
        y = by_threads(lambda: core.reduce_max(x, axis, keepdims))
        assert type(y) is type(greatest)
        assert_same(y, greatest)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_nan_and_infinity(dtype: type, axis: int | None) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        for row, column in [(0, 0), (3, 7), (40, 99), (49, 100)]:
            x = normal((50, 101), dtype)
            x[row, column] = bad
            for name in NAMES:
                y, twin = getattr(core, name)(x, axis), getattr(ref, name)(x, axis)
                special = ~np.isfinite(twin)
                np.testing.assert_array_equal(np.isfinite(y), ~special)
                np.testing.assert_array_equal(np.asarray(y)[special], np.asarray(twin)[special])
    lowest = np.full((50, 101), -np.inf, dtype)
    assert_same(core.reduce_max(lowest, axis), ref.reduce_max(lowest, axis))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_no_less_accurate_than_numpy(dtype: type, axis: int) -> None:
    """Errors are a matter of luck: their root mean square over 300 sums has to be as good."""
    shape = (300, 10000) if axis else (10000, 300)
    x = (np.random.default_rng(0).random(shape) + 0.1).astype(dtype)
    exact = x.astype(np.longdouble).sum(axis=axis)
    ours = np.sqrt(np.mean((core.reduce_sum(x, axis) - exact) ** 2))
    numpys = np.sqrt(np.mean((x.sum(axis=axis) - exact) ** 2))
    assert ours <= 1.05 * numpys


@settings(max_examples=200, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    ends=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    keepdims=st.booleans(),
    dtype=st.sampled_from(cases.DTYPES),
)
def test_any_axes(shape: tuple, ends: tuple, keepdims: bool, dtype: type) -> None:
    first, last = sorted(min(end, len(shape)) for end in ends)
    axis = tuple(range(last - 1, first - 1, -1))
    x = integers(shape, dtype, seed=sum(shape))
    for name in ("reduce_sum", "reduce_max"):
        y = getattr(core, name)(x, axis, keepdims)
        assert_same(y, getattr(ref, name)(x, axis, keepdims))


X = np.ones((2, 3, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((X, 3), ValueError, "axis"),
        ((X, -4), ValueError, "axis"),
        ((X, 1.0), TypeError, "axis"),
        ((X, (0, 0)), ValueError, "twice"),
        ((X, (1, -2)), ValueError, "twice"),
        ((X, (0, 2)), ValueError, "side by side"),
        ((X.astype(np.int64), 0), TypeError, "x"),
        ((X.T, 0), ValueError, "contiguous"),
        ((np.float64(3), None), TypeError, "x"),
    ],
)
def test_bad_calls(name: str, arguments: tuple, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        getattr(core, name)(*arguments)
