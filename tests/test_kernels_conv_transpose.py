"""Transposed convolutions against their twin, and against the convolution that they transpose."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import by_threads, core
from numeric import Array, assert_bound, assert_gradient, integers, normal

from nnfast import reference

every_case = pytest.mark.parametrize("case", cases.CONV_TRANSPOSE, ids=str)


def operands(case, dtype, make=integers):
    """Return x, weight, bias and dy."""
    x, weight = make(case.x, dtype, 1), make(case.weight, dtype, 2)
    bias = make((case.weight[1] * case.groups,), dtype, 3)
    y = reference.conv_transpose2d(x, weight, None, **case.options)
    return x, weight, bias, make(y.shape, dtype, 4)


def by_winograd(case):
    """Whether the sums are not those of the definition, and whole numbers are rounded."""
    return min(case.weight[0] // case.groups, case.weight[1]) >= 8 and case.weight[2] == 3


def results(module, values, case):
    """Return the result and all gradients."""
    x, weight, bias, dy = values
    y = module.conv_transpose2d(x, weight, bias, **case.options)
    return y, *module.conv_transpose2d_backward(dy, x, weight, **case.options)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", [c for c in cases.CONV_TRANSPOSE if not by_winograd(c)], ids=str)
def test_whole_numbers_are_exact(case, dtype):
    values = operands(case, dtype)
    ours = by_threads(lambda: results(core, values, case))
    for a, b in zip(ours, results(reference, values, case), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == dtype


@pytest.mark.parametrize("dtype", cases.DTYPES)
@every_case
def test_error_is_bounded(case, dtype):
    values = operands(case, dtype, normal)
    exact = [v.astype(np.float64) for v in values]
    magnitudes = results(reference, [np.abs(v) for v in exact], case)
    if by_winograd(case):  # which adds and subtracts neighbours: the largest counts
        magnitudes = [
            np.broadcast_to(m.max(axis=(2, 3), keepdims=True), m.shape) if m.ndim == 4 else m
            for m in magnitudes
        ]
    ours = by_threads(lambda: results(core, values, case))
    expected = results(reference, exact, case)
    for y, y64, magnitude in zip(ours, expected, magnitudes, strict=True):
        assert_bound(y, y64, magnitude, c=64 if by_winograd(case) else 8)


@pytest.mark.parametrize("case", cases.CONV_TRANSPOSE[:11], ids=str)
def test_gradients_agree_with_finite_differences(case):
    x, weight, bias, dy = operands(case, np.float64, normal)

    def forward(x: Array = x, weight: Array = weight, bias: Array = bias) -> Array:
        return core.conv_transpose2d(x, weight, bias, **case.options)

    dx, dweight, dbias = core.conv_transpose2d_backward(dy, x, weight, **case.options)
    assert_gradient(dx, lambda v: forward(x=v), x, dy)
    assert_gradient(dweight, lambda v: forward(weight=v), weight, dy)
    assert_gradient(dbias, lambda v: forward(bias=v), bias, dy)


@pytest.mark.parametrize("module", [core, reference])
def test_what_is_not_needed_is_not_computed(module):
    case = cases.CONV_TRANSPOSE[2]
    x, weight, _, dy = operands(case, np.float64)
    dx, dweight, dbias = module.conv_transpose2d_backward(dy, x, weight, **case.options)
    without = {"needs_dx": False, "needs_dbias": False}
    some = module.conv_transpose2d_backward(dy, x, weight, **case.options, **without)
    assert some[0] is None
    assert some[2] is None
    assert dx is not None
    assert dbias is not None
    np.testing.assert_array_equal(some[1], dweight)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("biased", [False, True])
def test_activations(activation, biased, dtype):
    case = cases.CONV_TRANSPOSE[5]  # has pixels that no kernel reaches
    x, weight, bias, _ = operands(case, dtype, normal)
    arguments = (x, weight, bias if biased else None)
    options = {**case.options, "activation": activation}
    y = by_threads(lambda: core.conv_transpose2d(*arguments, **options))
    eps = np.finfo(dtype).eps
    expected = reference.conv_transpose2d(*arguments, **options)
    np.testing.assert_allclose(y, expected, rtol=8 * eps, atol=8 * eps)
    assert y.dtype == dtype


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_it_is_the_transpose_of_a_convolution(data):
    """The products <conv(y), x> and <y, transpose(x)> of whole numbers are equal, bit by bit."""
    kernel, stride, dilation = data.draw(pairs), data.draw(pairs), data.draw(pairs)
    groups, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    n, h, w = (data.draw(st.integers(1, 6)) for _ in range(3))
    more = tuple(data.draw(st.integers(0, s - 1)) for s in stride)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(data.draw(st.integers(0, (r - 1) // 2)) for r in reach)
    x = integers((n, inputs * groups, h, w), seed=1)
    weight = integers((inputs * groups, outputs, *kernel), seed=2)
    options = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}
    back = core.conv_transpose2d(x, weight, output_padding=more, **options)
    y = integers(back.shape, seed=3)
    there = core.conv2d(y, weight, **options)
    assert there.shape == x.shape
    assert np.sum(there * x) == np.sum(y * back)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": normal((5, 2, 3, 3))}, "weight must have shape"),
        ({"weight": normal((4, 2, 0, 3))}, "weight"),
        ({"x": normal((2, 4, 0, 5))}, "x must have a height and width"),
        ({"bias": normal(3)}, "bias must have shape"),
        ({"groups": 3}, "groups must divide"),
        ({"output_padding": 2}, "output_padding must be smaller than stride"),
        ({"output_padding": (0, 2)}, "output_padding must be smaller than stride"),
        ({"padding": 9}, "padding .* leaves nothing of a result"),
        ({"padding": (9, 0)}, "padding .* leaves nothing of a result"),
        ({"stride": 2**29, "output_padding": 0}, "stride"),
        ({"dilation": 2**29}, "stride"),
        ({"x": normal((0, 4, 5, 6)), "stride": 2**30}, "stride"),
        ({"activation": "gelu"}, "activation"),
    ],
)
@pytest.mark.parametrize("module", [core, reference])
def test_bad_arguments_are_named(module, change, message):
    good = {"x": normal((2, 4, 5, 6)), "weight": normal((4, 2, 3, 3)), "stride": 2}
    module.conv_transpose2d(**good)
    with pytest.raises(ValueError, match=message):
        module.conv_transpose2d(**{**good, **change})
