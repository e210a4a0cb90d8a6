"""Pooling: maxima and their positions equal to the twins, means within rounding, and bad calls."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same, by_threads, core
from numeric import assert_bound, integers, normal

from nnfast import reference as ref

SWEEP = [
    cases.Pool((2, 3, h, w), *window)
    for h in (5, 14)
    for w in (3, 7, 8, 15, 16, 17, 33)
    for window in ((2, 2), (3, 2, 1), (3, 1, 1), (2, 2, 1), (3, 3), (1, 2))
]
QUADS = [  # rows of windows that fill half a vector, a quarter, one, more, or none of these
    cases.Pool((2, 3, h, w), 2) for h in (2, 7, 12) for w in (2, 4, 5, 8, 12, 16, 17, 24, 32, 40)
]
LARGE = [cases.Pool((3, 40, 24, 24), 2), cases.Pool((3, 40, 25, 26), 3, 2, 1)]
POOL = cases.POOL + SWEEP + QUADS + LARGE


def check_max(x: np.ndarray, window: tuple) -> None:
    def check(activation: str | None) -> tuple[np.ndarray, ...]:
        y, indices = by_threads(lambda: core.max_pool2d(x, *window, activation))
        assert_same((y, indices), ref.max_pool2d(x, *window, activation))
        dy = normal(y.shape, x.dtype, seed=1)
        dx = by_threads(lambda: core.max_pool2d_backward(dy, indices, x.shape, *window))
        assert_same(dx, ref.max_pool2d_backward(dy, indices, x.shape, *window))
        return y, indices, dy, dx

    y, indices, dy, _ = check(None)
    rectified, _, _, dx = check("relu")
    assert_same(rectified, ref.relu(y))
    dpooled = ref.relu_backward(dy, rectified)
    assert_same(dx, ref.max_pool2d_backward(dpooled, indices, x.shape, *window))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", POOL, ids=str)
def test_max_pool(case: cases.Pool, dtype: type) -> None:
    check_max(normal(case.x, dtype), case[1:])
    check_max(integers(case.x, dtype, most=1), case[1:])  # many equal values


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", POOL, ids=str)
def test_max_pool_of_nan_and_infinity(case: cases.Pool, dtype: type) -> None:
    x = normal(case.x, dtype)
    x[normal(case.x, seed=1) > 0.8] = np.nan
    x[normal(case.x, seed=2) > 0.8] = -np.inf
    check_max(x, case[1:])
    check_max(np.full(case.x, -np.inf, dtype), case[1:])  # padding is -inf, but never chosen


@pytest.mark.parametrize("count_pad", [True, False])
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", POOL, ids=str)
def test_avg_pool(case: cases.Pool, dtype: type, count_pad: bool) -> None:
    x, window = normal(case.x, dtype), (*case[1:], count_pad)
    y = by_threads(lambda: core.avg_pool2d(x, *window))
    exact = x.astype(np.float64)
    taps = np.prod(case.kernel_size) * (1 if isinstance(case.kernel_size, tuple) else 2)
    magnitude = ref.avg_pool2d(np.abs(exact), *window)
    assert_bound(y, ref.avg_pool2d(exact, *window), magnitude, c=int(taps) + 2)
    dy = normal(y.shape, dtype, seed=1)
    dx = by_threads(lambda: core.avg_pool2d_backward(dy, case.x, *window))
    assert_same(dx, ref.avg_pool2d_backward(dy, case.x, *window))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [case.x for case in cases.POOL + LARGE], ids=str)
def test_global_avg_pool(shape: tuple, dtype: type) -> None:
    x = normal(shape, dtype)
    y = by_threads(lambda: core.global_avg_pool2d(x))
    exact = x.astype(np.float64)
    assert_bound(y, ref.global_avg_pool2d(exact), ref.global_avg_pool2d(np.abs(exact)), c=2)
    dx = by_threads(lambda: core.global_avg_pool2d_backward(y, shape))
    assert_same(dx, ref.global_avg_pool2d_backward(y, shape))


windows = st.tuples(st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=200, deadline=None)
@given(
    image=st.tuples(st.integers(5, 20), st.integers(5, 20)),
    kernel=windows,
    stride=windows,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dtype=st.sampled_from(cases.DTYPES),
    seed=st.integers(0, 1000),
)
def test_against_brute_force(image, kernel, stride, padding, dtype, seed) -> None:
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    x = integers((1, 2, *image), dtype, seed)
    y, indices = core.max_pool2d(x, kernel, stride, padding)
    mean = core.avg_pool2d(x, kernel, stride, padding, False)
    dx = np.zeros_like(x)
    for n, c, oh, ow in np.ndindex(y.shape):
        top, left = oh * stride[0] - padding[0], ow * stride[1] - padding[1]
        rows = [i for i in range(top, top + kernel[0]) if 0 <= i < image[0]]
        columns = [j for j in range(left, left + kernel[1]) if 0 <= j < image[1]]
        inside = x[n, c][np.ix_(rows, columns)]
        assert y[n, c, oh, ow] == inside.max()
        np.testing.assert_allclose(mean[n, c, oh, ow], inside.mean(), rtol=1e-5, atol=1e-6)
        i, j = divmod(int(indices[n, c, oh, ow]), kernel[1])
        assert x[n, c, top + i, left + j] == inside.max()
        dx[n, c, top + i, left + j] += y[n, c, oh, ow]
    assert_same(core.max_pool2d_backward(y, indices, x.shape, kernel, stride, padding), dx)


X = np.zeros((1, 2, 6, 6))
DY = np.zeros((1, 2, 3, 3))
INDICES = np.zeros(DY.shape, np.uint8)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "word"),
    [
        ("max_pool2d", (X[0], 2), ValueError, "x"),
        ("max_pool2d", (X.astype(int), 2), TypeError, "x"),
        ("max_pool2d", (X[:, :, :0], 2), ValueError, "height"),
        ("max_pool2d", (X, 7), ValueError, "kernel_size"),
        ("max_pool2d", (X, 2, 2, 2), ValueError, "padding"),
        ("max_pool2d", (X, 2, -1), ValueError, "stride"),
        ("avg_pool2d", (X, "2"), TypeError, "kernel_size"),
        ("max_pool2d_backward", (DY, INDICES, (1, 2, 8, 8), 2), ValueError, "dy"),
        ("max_pool2d_backward", (DY, INDICES + 5, X.shape, 2), ValueError, "indices"),
        ("max_pool2d_backward", (DY, INDICES + 10, X.shape, 3, 2, 1), ValueError, "indices"),
        ("max_pool2d_backward", (DY, INDICES.astype(int), X.shape, 2), TypeError, "indices"),
        ("max_pool2d_backward", (DY, INDICES[0], X.shape, 2), ValueError, "indices"),
        ("max_pool2d_backward", (DY, None, X.shape, 2), TypeError, "indices"),
        ("avg_pool2d_backward", (DY, (2, 2, 6, 6), 2), ValueError, "dy"),
        ("global_avg_pool2d", (X[:, :, :, :0],), ValueError, "width"),
        ("global_avg_pool2d_backward", (DY[..., 0, 0], (1, 3, 6, 6)), ValueError, "dy"),
    ],
)
def test_bad_calls(name: str, arguments: tuple, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        getattr(core, name)(*arguments)
