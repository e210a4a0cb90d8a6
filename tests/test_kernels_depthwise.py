"""Depthwise convolution: the geometries its frames have to get right, and bits for any threads.

test_kernels_conv.py runs it, like the other algorithms, over the common cases.
"""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same, by_threads, core
from numeric import assert_bound, integers, normal

from nnfast import reference as ref

GEOMETRIES = [
    cases.Conv((2, 3, h, w), (3 * m, 1, *kernel), stride, padding, dilation, 3)
    for h, w in [(5, 7), (9, 16), (12, 33)]
    for m, kernel, stride, padding, dilation in [
        (1, (3, 3), 1, 1, 1),
        (1, (3, 3), 2, 1, 1),
        (2, (3, 3), (2, 1), 0, 1),
        (1, (3, 3), 1, 2, 2),
        (3, (3, 2), (1, 2), (1, 3), (2, 3)),
        (1, (2, 2), 3, 1, 1),  # pixels in no window
        (1, (5, 5), 3, 2, 1),
        (1, (1, 1), 1, 0, 1),
        (2, (1, 7), 1, (0, 3), 1),
        (1, (3, 3), 4, 5, (1, 2)),  # windows of padding alone
    ]
]
LARGE = [
    cases.Conv((3, 33, 30, 31), (33, 1, 3, 3), padding=1, groups=33),
    cases.Conv((2, 17, 40, 41), (34, 1, 3, 3), stride=2, padding=1, groups=17),
]
# Kernels other than 3x3 on small planes of many channels: one in each lane of a vector, several
# images at a time. (3x3 ones as well where they do not fill a quarter of a vector.)
LANES = [
    cases.Conv((2, 16, 8, 8), (16, 1, 5, 5), padding=2, groups=16),
    cases.Conv((20, 37, 9, 7), (37, 1, 3, 3), stride=2, groups=37),
    cases.Conv((2, 18, 16, 16), (18, 1, 3, 3), groups=18),
    cases.Conv((2, 16, 8, 8), (16, 1, 3, 3), padding=1, groups=16),
    cases.Conv((20, 37, 9, 7), (37, 1, 3, 3), stride=2, padding=1, groups=37),
    cases.Conv((3, 33, 1, 1), (33, 1, 1, 1), groups=33),
    cases.Conv((2, 18, 16, 16), (18, 1, 3, 3), padding=1, groups=18),
    cases.Conv((2, 18, 5, 6), (18, 1, 5, 2), (3, 1), (2, 3), (1, 2), 18),
    cases.Conv((2, 18, 7, 5), (18, 1, 2, 4), (1, 4), (4, 1), (3, 1), 18),  # pixels in no window
    cases.Conv((70, 16, 4, 4), (16, 1, 3, 3), padding=1, groups=16),
    cases.Conv((2, 20, 18, 17), (20, 1, 2, 2), groups=20),  # sums in two stretches
]


def forward(module, x, weight, bias, case, **options):
    return module.conv2d(x, weight, bias, **case.options, **options)


def backward(module, dy, x, weight, case, **options):
    return module.conv2d_backward(dy, x, weight, **case.options, **options)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", GEOMETRIES + LARGE + LANES, ids=str)
def test_whole_numbers_are_exact(case: cases.Conv, dtype: type) -> None:
    x, weight = integers(case.x, dtype, 1), integers(case.weight, dtype, 2)
    bias = integers(case.weight[:1], dtype, 3)
    for activation in (None, "relu"):
        options = {"activation": activation, "algo": "depthwise"}
        y = by_threads(lambda options=options: forward(core, x, weight, bias, case, **options))
        assert_same(y, forward(ref, x, weight, bias, case, activation=activation))
    dy = integers(y.shape, dtype, 4)
    gradients = by_threads(lambda: backward(core, dy, x, weight, case, algo="depthwise"))
    assert_same(gradients, backward(ref, dy, x, weight, case))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", LARGE + LANES, ids=str)
def test_error_is_bounded(case: cases.Conv, dtype: type) -> None:
    x, weight, bias = normal(case.x, dtype), normal(case.weight, dtype, 1), None
    y = by_threads(lambda: forward(core, x, weight, bias, case, algo="depthwise"))
    wide = [a.astype(np.float64) for a in (x, weight)]
    sizes = [np.abs(a) for a in wide]
    assert_bound(y, forward(ref, *wide, None, case), forward(ref, *sizes, None, case), c=9)
    dy = normal(y.shape, dtype, 2)
    got = by_threads(lambda: backward(core, dy, x, weight, case, algo="depthwise"))
    exact = backward(ref, dy.astype(np.float64), *wide, case)
    size = backward(ref, np.abs(dy.astype(np.float64)), *sizes, case)
    for mine, right, magnitude in zip(got, exact, size, strict=True):
        assert_bound(mine, right, magnitude, c=16)


@pytest.mark.parametrize("channels", [2, 17])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_infinity_stays_in_the_windows_that_see_it(dtype: type, stride: int, channels: int) -> None:
    """Columns that a vector reads beyond its row take no part, not even with weight zero."""
    case = cases.Conv((1, channels, 9, 13), (channels, 1, 3, 3), stride, 1, 1, channels)
    x, weight = normal(case.x, dtype), normal(case.weight, dtype, 1)
    for row, column in [(0, 0), (8, 12), (4, 12), (4, 11), (3, 0)]:
        bad = x.copy()
        bad[0, 1, row, column] = np.inf
        y = forward(core, bad, weight, None, case, algo="depthwise")
        finite = np.isfinite(forward(ref, bad, weight, None, case))
        np.testing.assert_array_equal(np.isfinite(y)[:, 0], True)
        # the twin's matrix product also spreads inf * 0 = NaN over no other window
        np.testing.assert_array_equal(np.isfinite(y), finite)
        dy = normal(y.shape, dtype, 2)
        _, dweight, _ = backward(core, dy, bad, weight, case, algo="depthwise")
        _, twin, _ = backward(ref, dy, bad, weight, case)
        np.testing.assert_array_equal(np.isfinite(dweight), np.isfinite(twin))


@settings(max_examples=100, deadline=None)
@given(
    image=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    images=st.integers(1, 3),
    stride=st.sampled_from([1, 2]),
    dtype=st.sampled_from(cases.DTYPES),
)
def test_three_by_three_of_any_size(image, images, stride, dtype) -> None:
    """Blocks of columns from one to several, rows enough to put sums aside; scaled and biased."""
    case = cases.Conv((images, 2, *image), (2, 1, 3, 3), stride, 1, 1, 2)
    x, weight = integers(case.x, dtype, 1), integers(case.weight, dtype, 2)
    bias, scale = integers((2,), dtype, 3), integers((2,), dtype, 4)
    options = {"activation": "leaky_relu", "scale": scale}
    y = forward(core, x, weight, bias, case, algo="depthwise", **options)
    assert_same(y, forward(ref, x, weight, bias, case, **options))
    dy = integers(y.shape, dtype, 5)
    gradients = backward(core, dy, x, weight, case, algo="depthwise")
    assert_same(gradients, backward(ref, dy, x, weight, case))


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=200, deadline=None)
@given(
    image=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    kernel=pairs,
    stride=pairs,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=pairs,
    channels=st.sampled_from([2, 17]),
    multiplier=st.integers(1, 3),
    dtype=st.sampled_from(cases.DTYPES),
)
def test_any_geometry(
    image, kernel, stride, padding, dilation, channels, multiplier, dtype
) -> None:
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(max(i, r - 2 * p) for i, r, p in zip(image, reach, padding, strict=True))
    kernels = (channels * multiplier, 1, *kernel)
    case = cases.Conv((2, channels, *image), kernels, stride, padding, dilation, channels)
    x, weight = integers(case.x, dtype, 1), integers(case.weight, dtype, 2)
    y = forward(core, x, weight, None, case, algo="depthwise")
    assert_same(y, forward(ref, x, weight, None, case))
    dy = integers(y.shape, dtype, 3)
    gradients = backward(core, dy, x, weight, case, algo="depthwise")
    assert_same(gradients, backward(ref, dy, x, weight, case))


def test_memory_that_no_machine_has() -> None:
    """A stride of millions makes frames of millions of phases; "auto" does not go there."""
    x, weight = np.ones((1, 2, 3, 3), np.float32), np.ones((2, 1, 3, 3), np.float32)
    with pytest.raises(MemoryError):
        core.conv2d(x, weight, stride=2**25, groups=2, algo="depthwise")
    np.testing.assert_array_equal(core.conv2d(x, weight, stride=2**25, groups=2), 9)
