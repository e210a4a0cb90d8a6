"""im2col and col2im: equal to the twins, adjoint to each other, refusing what they cannot do."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same, by_threads, core
from numeric import normal

from nnfast import reference as ref

LARGE = [
    cases.Conv((4, 16, 28, 28), (1, 16, 3, 3), padding=1),
    cases.Conv((3, 19, 30, 29), (1, 19, 5, 5), stride=2, padding=2),
    cases.Conv((2, 21, 40, 40), (1, 21, 1, 1)),  # a transpose, in blocks that overlap
    cases.Conv((2, 64, 9, 11), (1, 64, 1, 1)),
    cases.Conv((2, 2, 30, 37), (1, 2, 1, 1)),  # fewer channels than a block
    cases.Conv((2, 19, 17, 23), (1, 19, 5, 7), padding=2),
    cases.Conv((2, 19, 17, 23), (1, 19, 2, 3)),
    cases.Conv((2, 3, 19, 17), (1, 3, 3, 6), (2, 3), (1, 2), (2, 1)),  # copied, windows apart
    cases.Conv((1, 2, 90, 70), (1, 2, 3, 3), padding=1),  # one image in strips
]


def window(case: cases.Conv) -> tuple:
    return case.weight[2:], case.stride, case.padding, case.dilation


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", cases.CONV + LARGE, ids=str)
def test_equal_to_the_twins(case: cases.Conv, dtype: type) -> None:
    x = normal(case.x, dtype)
    col = by_threads(lambda: core.im2col(x, *window(case)))
    assert_same(col, ref.im2col(x, *window(case)))
    col = normal(col.shape, dtype, seed=1)
    image = by_threads(lambda: core.col2im(col, case.x, *window(case)))
    assert_same(image, ref.col2im(col, case.x, *window(case)))


def test_book_layout() -> None:
    x = np.arange(2 * 2 * 3 * 3, dtype=np.float32).reshape(2, 2, 3, 3)
    col = core.im2col(x, 2)
    assert col.shape == (2 * 2 * 2, 2 * 2 * 2)
    np.testing.assert_array_equal(col[0], [0, 1, 3, 4, 9, 10, 12, 13])
    np.testing.assert_array_equal(col[7], [22, 23, 25, 26, 31, 32, 34, 35])


sizes = st.integers(1, 9)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=200, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 2), st.integers(0, 10), sizes, sizes),
    kernel=pairs,
    stride=pairs,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=pairs,
    dtype=st.sampled_from(cases.DTYPES),
)
def test_adjoint(shape, kernel, stride, padding, dilation, dtype) -> None:
    arguments = (kernel, stride, padding, dilation)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    x = np.arange(np.prod(shape), dtype=dtype).reshape(shape) % 7 - 3
    if any(r > s + 2 * p for r, s, p in zip(reach, shape[2:], padding, strict=True)):
        with pytest.raises(ValueError, match="kernel_size"):
            core.im2col(x, *arguments)
        return
    col = core.im2col(x, *arguments)
    assert_same(col, ref.im2col(x, *arguments))
    other = np.arange(col.size, dtype=dtype).reshape(col.shape) % 5 - 2
    image = core.col2im(other, shape, *arguments)
    assert_same(image, ref.col2im(other, shape, *arguments))
    assert np.sum(col * other) == np.sum(x * image)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((np.zeros((2, 3, 4), np.float32), 2), ValueError, "x"),
        ((np.zeros((1, 1, 4, 4), np.int32), 2), TypeError, "x"),
        ((np.zeros((1, 1, 4, 4)).transpose(0, 1, 3, 2)[:, :, ::2], 2), ValueError, "contiguous"),
        ((np.zeros((1, 1, 4, 4)), 0), ValueError, "kernel_size"),
        ((np.zeros((1, 1, 4, 4)), 2.0), TypeError, "kernel_size"),
        ((np.zeros((1, 1, 4, 4)), (2, 2, 2)), ValueError, "kernel_size"),
        ((np.zeros((1, 1, 4, 4)), 5), ValueError, "kernel_size"),
        ((np.zeros((1, 1, 4, 4)), 2, 0), ValueError, "stride"),
        ((np.zeros((1, 1, 4, 4)), 2, 1, -1), ValueError, "padding"),
        ((np.zeros((1, 1, 4, 4)), 2, 1, 0, 0), ValueError, "dilation"),
        ((np.zeros((1, 1, 4, 4)), 2, 2**80), ValueError, "stride"),
        ((np.zeros((1, 1, 4, 4)), 2, 1, 2**29), ValueError, "large"),
        ((np.zeros((1, 1, 4, 4)), 2**29, 1, 2**29), ValueError, "large"),
    ],
)
def test_bad_im2col(arguments: tuple, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        core.im2col(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((np.zeros((9, 4)), (1, 1, 4, 5), 2), ValueError, "col"),
        ((np.zeros((9, 4)), (1, 1, 4), 2), ValueError, "x_shape"),
        ((np.zeros((9, 4)), (1, 1, 4, -4), 2), ValueError, "x_shape"),
        ((np.zeros((9, 4)), (1, 1, 4, 4.0), 2), TypeError, "x_shape"),
        ((np.zeros((9, 4)), 4, 2), TypeError, "x_shape"),
        ((np.zeros(36), (1, 1, 4, 4), 2), ValueError, "col"),
        ((np.zeros((9, 4)), (2**40, 2**40, 4, 4), 2), ValueError, "large"),
    ],
)
def test_bad_col2im(arguments: tuple, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        core.col2im(*arguments)
