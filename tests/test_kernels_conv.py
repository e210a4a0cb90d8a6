"""Convolutions against their twin, for every algorithm: exact on whole numbers, bounded else."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numeric import assert_bound, assert_gradient, integers, normal

from nnfast import _core as native
from nnfast import reference

# The bound of each algorithm on |error| / (eps |A|.|B|).
BOUND = {"gemm": 8, "depthwise": 8, "fold": 8, "winograd": 64, "auto": 64}
EXACT = ("gemm", "depthwise", "fold")
# More than one block of pixels, of channels, of rows, of images.
BLOCKS = [
    cases.Conv((1, 2, 40, 50), (3, 2, 3, 3), padding=1),
    cases.Conv((2, 61, 6, 6), (4, 61, 3, 3)),
    cases.Conv((1, 3, 6, 6), (210, 3, 3, 3), padding=1),
    cases.Conv((37, 4, 4, 4), (5, 4, 3, 3), padding=1),
    cases.Conv((1, 1, 20, 20), (1, 1, 17, 18)),
    cases.Conv((2, 3, 1, 700), (2, 3, 1, 3)),
    cases.Conv((40, 40, 9, 9), (20, 40, 3, 3), padding=1),
    cases.Conv((3, 9, 13, 10), (17, 9, 5, 5), padding=2),
    cases.Conv((2, 24, 8, 8), (8, 24, 5, 5)),
    cases.Conv((9, 150, 5, 6), (140, 150, 3, 3), padding=1),  # the weights outgrow the cache
    cases.Conv((3, 18, 17, 12), (20, 9, 3, 3), stride=2, padding=1, groups=2),
    cases.Conv((9, 130, 7, 9), (110, 130, 3, 3), stride=2, padding=1),
    cases.Conv((1, 9, 40, 81), (11, 9, 3, 3), stride=2, padding=1),  # rows of several vectors,
    cases.Conv((2, 5, 6, 76), (3, 5, 1, 1), stride=2),  # strided, and pixels that no tap reaches
    cases.Conv((2, 40, 7, 45), (12, 40, 1, 1)),  # many panels of pixels side by side
    cases.Conv((3, 3, 18, 31), (13, 3, 3, 3), padding=1),  # few channels: pixels are lanes,
    cases.Conv((19, 1, 51, 50), (6, 1, 5, 5)),  # of several blocks and parts,
    cases.Conv((2, 7, 31, 63), (8, 7, 3, 4), stride=2, padding=1, dilation=(1, 2)),
    cases.Conv((2, 4, 3, 1100), (9, 4, 2, 2)),  # and of rows too long for that
    cases.Conv((2, 300, 13, 21), (9, 300, 1, 1)),  # more channels than a block, pixels cut
    cases.Conv((1, 70, 14, 13), (150, 70, 3, 3), stride=2, padding=1),  # few pixels of many rows,
    cases.Conv((1, 180, 7, 7), (190, 90, 3, 3), padding=1, groups=2),  # packed for all tasks,
    cases.Conv((2, 520, 9, 11), (140, 520, 1, 1), stride=2),  # in deep chunks
    cases.Conv((23, 130, 7, 7), (270, 130, 1, 1)),  # small planes side by side,
    cases.Conv((5, 260, 6, 7), (260, 130, 1, 1), stride=(1, 2), groups=2),  # strided,
    cases.Conv((7, 150, 13, 11), (140, 150, 1, 1), stride=(3, 4)),  # by more than two columns
    cases.Conv((2, 9, 33, 70), (20, 9, 1, 1), stride=2),  # one tap of large planes
    cases.Conv((11, 12, 14, 14), (32, 12, 4, 4), stride=2, padding=1),  # rows of results as lanes,
    cases.Conv((5, 66, 11, 27), (62, 33, 3, 4), stride=(1, 2), groups=2),  # incomplete ones,
    cases.Conv((3, 90, 20, 18), (29, 90, 5, 5), padding=2, dilation=2),  # in chunks of channels
    cases.Conv((2, 9, 1, 1900), (11, 9, 1, 9), padding=(0, 40)),  # parts of a single row of pixels,
    cases.Conv((1, 9, 3, 1500), (10, 9, 2, 7), stride=(1, 2), padding=(1, 3)),  # of some rows,
    cases.Conv((1, 5, 2, 2500), (6, 5, 2, 4), stride=3, padding=(0, 2), dilation=(1, 4)),
    cases.Conv((2, 9, 5, 6), (8, 9, 3, 3), stride=2**26, padding=1),  # strides to nowhere
]
CASES = cases.CONV + BLOCKS


def supports(algo, case):
    """Whether an algorithm can compute a case."""
    if algo == "depthwise":
        return case.groups == case.x[1]
    if algo == "fold":
        return case.groups == 1
    square = case.weight[2:] in ((3, 3), (5, 5)) and case.stride == case.dilation == 1
    second = (case.weight[2:], *case[2:5]) == ((3, 3), 2, 1, 1)
    return algo != "winograd" or square or second


def operands(case, dtype, make=integers):
    """Return x, weight, bias and dy."""
    x, weight = make(case.x, dtype, 1), make(case.weight, dtype, 2)
    bias = make((case.weight[0],), dtype, 3)
    dy = make(reference.conv2d(x, weight, None, **case.options).shape, dtype, 4)
    return x, weight, bias, dy


def with_algorithm(*algorithms):
    """Parametrise a test over all cases that each algorithm can compute."""
    return pytest.mark.parametrize(
        ("case", "algo"),
        [
            pytest.param(case, algo, id=f"{case}-{algo}")
            for case in CASES
            for algo in algorithms
            if supports(algo, case)
        ],
    )


@pytest.mark.parametrize("dtype", cases.DTYPES)
@with_algorithm(*EXACT)
def test_whole_numbers_are_exact(case, algo, dtype):
    x, weight, bias, dy = operands(case, dtype)
    for act in (None, "relu"):
        y = native.conv2d(x, weight, bias, **case.options, activation=act, algo=algo)
        assert y.dtype == dtype
        expected = reference.conv2d(x, weight, bias, **case.options, activation=act)
        np.testing.assert_array_equal(y, expected)
    ours = native.conv2d_backward(dy, x, weight, **case.options, algo=algo)
    twin = reference.conv2d_backward(dy, x, weight, **case.options)
    for name, a, b in zip(("dx", "dweight", "dbias"), ours, twin, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
        assert a.dtype == dtype
    without = native.conv2d_backward(dy, x, weight, **case.options, algo=algo, needs_dbias=False)
    np.testing.assert_array_equal(without[1], twin[1])


@pytest.mark.parametrize("dtype", cases.DTYPES)
@with_algorithm(*BOUND)
def test_error_is_bounded(case, algo, dtype):
    operand = operands(case, dtype, normal)
    exact = [v.astype(np.float64) for v in operand]

    def results(module, values, **options):
        x, weight, bias, dy = values
        y = module.conv2d(x, weight, bias, **case.options, **options)
        return y, *module.conv2d_backward(dy, x, weight, **case.options, **options)

    magnitudes = results(reference, [np.abs(v) for v in exact])
    if algo in ("winograd", "auto"):
        # It adds and subtracts the sums of neighbouring pixels and taps: the largest counts.
        magnitudes = [
            np.broadcast_to(v.max(axis=(2, 3), keepdims=True, initial=0), v.shape)
            if v.ndim == 4
            else v
            for v in magnitudes
        ]
    for ours, expected, magnitude in zip(
        results(native, operand, algo=algo), results(reference, exact), magnitudes, strict=True
    ):
        assert_bound(ours, expected, magnitude, c=BOUND[algo])


@pytest.mark.parametrize("dtype", cases.DTYPES)
@with_algorithm("gemm", "depthwise", "winograd")
def test_channels_are_scaled(case, algo, dtype):
    x, weight, bias, _ = operands(case, dtype)
    scale = integers(weight.shape[0], dtype, 5)
    options = {**case.options, "activation": "relu", "scale": scale}
    y = native.conv2d(x, weight, bias, **options, algo=algo)
    expected = reference.conv2d(x, weight, bias, **options)
    if algo == "winograd":
        most = 64 * np.finfo(dtype).eps * np.abs(expected).max(initial=1) * 10
        np.testing.assert_allclose(y, expected, rtol=0, atol=most)
    else:
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "sigmoid", "tanh"])
def test_activations_are_fused(activation):
    x, weight, bias, _ = operands(cases.CONV[2], np.float64, normal)
    y = native.conv2d(x, weight, bias, 1, 1, activation=activation)
    expected = reference.conv2d(x, weight, bias, 1, 1, activation=activation)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", [cases.CONV[5], cases.CONV[9], cases.CONV[11]], ids=str)
def test_gradients_agree_with_finite_differences(case):
    x, weight, bias, dy = operands(case, np.float64, normal)

    def forward(x=x, weight=weight, bias=bias):
        return native.conv2d(x, weight, bias, **case.options)

    dx, dweight, dbias = native.conv2d_backward(dy, x, weight, **case.options)
    assert_gradient(dx, lambda v: forward(x=v), x, dy)
    assert_gradient(dweight, lambda v: forward(weight=v), weight, dy)
    assert_gradient(dbias, lambda v: forward(bias=v), bias, dy)
    assert native.conv2d_backward(dy, x, weight, **case.options, needs_dx=False)[0] is None
    for module in (native, reference):
        gradients = module.conv2d_backward(dy, x, weight, **case.options, needs_dbias=False)
        assert gradients[2] is None
        np.testing.assert_allclose(gradients[1], dweight, rtol=1e-12)


@pytest.mark.parametrize(
    ("algo", "case"),
    [
        ("depthwise", cases.CONV[8]),
        ("fold", cases.CONV[8]),
        ("winograd", cases.CONV[5]),
        ("winograd", cases.CONV[6]),
        ("winograd", cases.CONV[9]),
        ("winograd", cases.Conv((1, 2, 9, 9), (3, 2, 3, 3), stride=2)),
        ("winograd", cases.Conv((1, 2, 9, 9), (3, 2, 5, 5), stride=2, padding=1)),
        ("winograd", cases.Conv((1, 2, 9, 9), (3, 2, 3, 3), stride=(1, 2), padding=1)),
    ],
)
def test_an_algorithm_that_cannot_is_refused(algo, case):
    x, weight, _, dy = operands(case, np.float32)
    for module in (native, reference):
        with pytest.raises(ValueError, match=f"algo '{algo}' needs"):
            module.conv2d(x, weight, None, **case.options, algo=algo)
        with pytest.raises(ValueError, match=f"algo '{algo}' needs"):
            module.conv2d_backward(dy, x, weight, **case.options, algo=algo)


@pytest.mark.parametrize("algo", BOUND)
def test_the_twin_takes_the_algorithms_that_can(algo):
    able = [case for case in cases.CONV if supports(algo, case)]
    assert able
    for case in able:
        x, weight, _, dy = operands(case, np.float32)
        y = reference.conv2d(x, weight, None, **case.options)
        np.testing.assert_array_equal(
            reference.conv2d(x, weight, None, **case.options, algo=algo), y
        )
        reference.conv2d_backward(dy, x, weight, **case.options, algo=algo)


def test_a_signal_of_millions_of_samples():
    x, weight = np.ones((1, 1, 1, 2**24 + 64), np.float32), np.arange(5, dtype=np.float32)
    y = native.conv2d(x, weight.reshape(1, 1, 1, 5))
    assert y.shape[3] == 2**24 + 60 and y.min() == y.max() == weight.sum()
    wide = x[..., : 2**22]
    y = native.conv2d(wide, weight.reshape(1, 1, 1, 5), algo="gemm")  # linear in its width
    assert y.min() == y.max() == weight.sum()


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_nan_reaches_the_windows_that_see_it_and_no_other(dtype):
    for case in (cases.CONV[2], cases.CONV[4], cases.CONV[21]):
        x, weight, bias, dy = operands(case, dtype)
        x[-1, 0, -1, -1] = np.nan
        y = native.conv2d(x, weight, bias, **case.options, algo="gemm")
        np.testing.assert_array_equal(y, reference.conv2d(x, weight, bias, **case.options))
        dy[0, 0, 0, 0] = np.inf
        dx = native.conv2d_backward(dy, x, weight, **case.options, algo="gemm")[0]
        touched = reference.conv2d_backward(dy, x, weight, **case.options)[0]
        np.testing.assert_array_equal(np.isfinite(dx), np.isfinite(touched))


def test_winograd_keeps_nan_within_its_tiles():
    x, weight, _, _ = operands(cases.Conv((2, 3, 12, 16), (5, 3, 3, 3), padding=1), np.float32)
    x[0, 1, 5, 6] = np.nan  # seen by the windows around it, all in tile (1, 1)
    y = native.conv2d(x, weight, None, 1, 1, algo="winograd")
    assert np.isnan(y[0, :, 4:7, 5:8]).all()
    y[0, :, 4:8, 4:8] = 0
    assert np.isfinite(y).all()
    y = native.conv2d(x, weight, None, 2, 1, algo="winograd")
    assert np.isnan(y[0, :, 3, 3]).all()
    y[0, :, :4, :4] = 0
    assert np.isfinite(y).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@with_algorithm("gemm", "fold", "winograd")
def test_bits_do_not_depend_on_the_thread_count(case, algo, dtype, threads):
    x, weight, bias, dy = operands(case, dtype, normal)
    results = []
    for n in (1, 2, 3, 8):
        threads(n)
        y = native.conv2d(x, weight, bias, **case.options, algo=algo)
        gradients = native.conv2d_backward(dy, x, weight, **case.options, algo=algo)
        results.append(b"".join(v.tobytes() for v in (y, *gradients)))
    assert len(set(results)) == 1


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    groups = draw(1, 3)
    kernel, dilation = (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 3))
    padding, stride = (draw(0, 3), draw(0, 3)), (draw(1, 4), draw(1, 4))
    size = [
        max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)
    ]
    x_shape = (draw(1, 3), groups * draw(1, 3), size[0] + draw(0, 19), size[1] + draw(0, 19))
    weight_shape = (groups * draw(1, 9), x_shape[1] // groups, *kernel)
    case = cases.Conv(x_shape, weight_shape, stride, padding, dilation, groups)
    test_whole_numbers_are_exact(
        case, "fold" if groups == 1 else "gemm", data.draw(st.sampled_from(cases.DTYPES))
    )
