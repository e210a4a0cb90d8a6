"""Matrix products and linear layers against their twins: exact on whole numbers, bounded else."""

from itertools import product

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numeric import assert_bound, assert_gradient, integers, normal

from nnfast import _core as native
from nnfast import reference

ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh")
# More than one block in every direction: rows, columns, depth of a panel, depth packed at once.
# Operands small enough to be read where they lie, and large enough to be packed.
BLOCKS = [
    *[cases.Gemm(100, 300, 290), cases.Gemm(13, 1100, 40), cases.Gemm(4700, 5, 7)],
    *[cases.Gemm(513, 530, 600), cases.Gemm(60, 500, 700), cases.Gemm(700, 900, 130)],
    *[cases.Gemm(1601, 400, 150), cases.Gemm(601, 700, 250)],  # tasks pack their own rows of a
    cases.Gemm(401, 700, 99),  # and half as many; the last columns are narrow
    *[cases.Gemm(150, 1500, 130), cases.Gemm(120, 600, 50)],  # small results pack their columns
    cases.Gemm(2701, 200, 70),  # rows that come next are fetched
    *[cases.Gemm(100, 300, 801), cases.Gemm(200, 1700, 450)],  # tasks pack their own columns of b
    cases.Gemm(200, 1700, 300),  # more depths than are packed at once
    cases.Gemm(90, 1100, 350),  # eight tasks of columns or so
    *[cases.Gemm(1, 300, 1030), cases.Gemm(3, 7, 65), cases.Gemm(4, 650, 1201)],  # rows of b scaled
    *[cases.Gemm(5, 1100, 701), cases.Gemm(7, 330, 1700), cases.Gemm(8, 530, 2100)],
    *[cases.Gemm(9, 900, 701), cases.Gemm(31, 600, 900)],  # columns packed for few rows
]


def operands(case, dtype, transpose_a=False, transpose_b=False, make=integers):
    """Return a, b and bias of a product."""
    a = make((case.k, case.m) if transpose_a else (case.m, case.k), dtype, 1)
    b = make((case.n, case.k) if transpose_b else (case.k, case.n), dtype, 2)
    return a, b, make((case.n,), dtype, 3)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", cases.GEMM + BLOCKS, ids=str)
def test_whole_numbers_are_exact_for_every_transpose(case, dtype):
    for ta, tb in product((False, True), repeat=2):
        a, b, bias = operands(case, dtype, ta, tb)
        for options in ((None, None), (bias, None), (bias, "relu")):
            y = native.gemm(a, b, ta, tb, *options)
            expected = reference.gemm(a, b, ta, tb, *options)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, expected)


def test_result_larger_than_the_cache():
    """What is written past the cache has the bits of what is not."""
    case = cases.Gemm(2605, 4096, 5)  # rows of the last tile are fewer
    a, b, bias = operands(case, np.float32, make=normal)
    y = native.gemm(a, b, bias=bias, activation="relu")
    for part in (slice(0, 30), slice(1290, 1310), slice(2600, 2605)):
        again = native.gemm(a[part], b, bias=bias, activation="relu")
        np.testing.assert_array_equal(y[part], again)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", cases.GEMM + BLOCKS, ids=str)
def test_error_is_bounded(case, dtype):
    a, b, bias = operands(case, dtype, make=normal)
    exact = reference.gemm(*(v.astype(np.float64) for v in (a, b)), bias=bias.astype(np.float64))
    magnitude = np.abs(a) @ np.abs(b) + np.abs(bias)
    assert_bound(native.gemm(a, b, bias=bias), exact, magnitude, c=8)


def equal(shape, dtype, seed):
    return np.full(shape, 1 / 3, dtype)  # roundings that all go one way


def one_sign(shape, dtype, seed):
    return 1 + np.abs(normal(shape, dtype, seed))


def offset(shape, dtype, seed):
    return np.asarray(1e4 + normal(shape, seed=seed), dtype)


def magnitudes(shape, dtype, seed):
    exponents = np.random.default_rng(seed).integers(-4, 5, shape)
    return (normal(shape, seed=seed) * 10.0**exponents).astype(dtype)


@pytest.mark.parametrize("make", [equal, one_sign, offset, magnitudes])
@pytest.mark.parametrize(
    "case",
    [
        *[cases.Gemm(9, 256, 18), cases.Gemm(60, 2300, 20), cases.Gemm(200, 900, 300)],
        *[cases.Gemm(3, 2300, 20), cases.Gemm(3, 50000, 5), cases.Gemm(7, 20000, 5)],
    ],
    ids=str,
)
def test_error_of_hard_numbers_is_bounded(case, make):
    a, b, _ = operands(case, np.float32, transpose_b=True, make=make)
    exact = a.astype(np.float64) @ b.astype(np.float64).T
    chain = min(case.k, 320) + np.ceil(case.k / 320)  # additions one after the other
    assert_bound(native.gemm(a, b, transpose_b=True), exact, np.abs(a) @ np.abs(b).T, c=chain / 2)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_agrees_with_its_twin(activation, dtype):
    x, weight, bias = normal((9, 33), dtype, 1), normal((18, 33), dtype, 2), normal((18,), dtype, 3)
    y = native.linear(x, weight, bias, activation)
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        y, reference.linear(x, weight, bias, activation), rtol=tolerance, atol=tolerance
    )
    dy = normal(y.shape, dtype, 4)
    gradients = native.linear_backward(dy, x, weight, y, activation)
    for ours, twin in zip(
        gradients, reference.linear_backward(dy, x, weight, y, activation), strict=True
    ):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=5 * tolerance)
    assert native.linear_backward(dy, x, weight, y, activation, needs_dx=False)[0] is None


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [(700, 150, 1601), (700, 120, 1601), (1100, 3, 5), (30, 40, 50), (9, 0, 4), (9, 4, 0)],
)
def test_bias_gradient_is_the_sum_of_rows_wherever_it_is_taken(rows, inputs, outputs, dtype):
    dy, x = normal((rows, outputs), dtype, 1), normal((rows, inputs), dtype, 2)
    dbias = native.linear_backward(dy, x, normal((outputs, inputs), dtype, 3))[2]
    np.testing.assert_array_equal(dbias, native.reduce_sum(dy, 0))


@pytest.mark.parametrize("backend", [native, reference])
@pytest.mark.parametrize("axes", [(), (0,), (4,), (2, 3), (2, 0, 3), (2, 1, 3, 2)])
def test_linear_takes_any_leading_axes(axes, backend):
    x, weight, bias = normal((*axes, 5)), normal((3, 5), seed=1), normal((3,), seed=2)
    rows = x.reshape(-1, 5)
    y = backend.linear(x, weight, bias, "tanh")
    assert y.shape == (*axes, 3)
    np.testing.assert_array_equal(y.reshape(-1, 3), backend.linear(rows, weight, bias, "tanh"))
    dy = normal(y.shape, seed=3)
    got = backend.linear_backward(dy, x, weight, y, "tanh")
    assert got[0].shape == x.shape
    flat = backend.linear_backward(dy.reshape(-1, 3), rows, weight, y.reshape(-1, 3), "tanh")
    for one, other in zip(got, flat, strict=True):
        np.testing.assert_array_equal(one.reshape(other.shape), other)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_gradients_agree_with_finite_differences(activation):
    x, weight, bias = normal((4, 5), seed=1), normal((3, 5), seed=2), normal((3,), seed=3)
    y, dy = native.linear(x, weight, bias, activation), normal((4, 3), seed=4)
    dx, dweight, dbias = native.linear_backward(dy, x, weight, y, activation)
    assert_gradient(dx, lambda v: native.linear(v, weight, bias, activation), x, dy)
    assert_gradient(dweight, lambda v: native.linear(x, v, bias, activation), weight, dy)
    assert_gradient(dbias, lambda v: native.linear(x, weight, v, activation), bias, dy)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values_reach_their_row_and_no_other(special, dtype):
    for rows, row, depth in ((13, 0, 0), (13, 12, 36), (13, 6, 17), (3, 2, 36), (4, 1, 5)):
        for columns in (21, 18):
            a, b, _ = operands(cases.Gemm(rows, 37, columns), dtype)
            a[row, depth] = special
            with np.errstate(invalid="ignore"):
                expected = a @ b
            np.testing.assert_array_equal(native.gemm(a, b), expected)
            np.testing.assert_array_equal(native.gemm(a.T.copy(), b, True), expected)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        cases.Gemm(150, 1500, 130),  # packed by tasks, or for all if these are many
        *[cases.Gemm(150, 1100, 310), cases.Gemm(7, 1100, 700), cases.Gemm(30, 900, 700)],
        *[cases.Gemm(100, 784, 100), cases.Gemm(90, 300, 36), cases.Gemm(61, 500, 162)],
    ],
    ids=str,
)
def test_bits_do_not_depend_on_the_thread_count(case, transpose_b, transpose_a, dtype, threads):
    a, b, bias = operands(case, dtype, transpose_a, transpose_b, make=normal)
    results = []
    for n in (1, 2, 3, 8):
        threads(n)
        results.append(native.gemm(a, b, transpose_a, transpose_b, bias, "tanh").tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 8])
def test_few_rows_have_the_bits_they_have_among_many(rows, dtype):
    a, b, bias = operands(cases.Gemm(20, 900, 1030), dtype, make=normal)
    among_many = native.gemm(a, b, bias=bias, activation="leaky_relu")
    few = native.gemm(a[:rows], b, bias=bias, activation="leaky_relu")
    np.testing.assert_array_equal(few, among_many[:rows])


@settings(deadline=None, max_examples=60)
@given(
    m=st.integers(0, 40),
    k=st.integers(0, 600),
    n=st.integers(0, 70),
    ta=st.booleans(),
    tb=st.booleans(),
    dtype=st.sampled_from(cases.DTYPES),
)
def test_any_shape(m, k, n, ta, tb, dtype):
    a, b, bias = operands(cases.Gemm(m, k, n), dtype, ta, tb)
    np.testing.assert_array_equal(
        native.gemm(a, b, ta, tb, bias), reference.gemm(a, b, ta, tb, bias)
    )
