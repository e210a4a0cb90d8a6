"""Batch normalisation against the twins in float64, exact invariants, and bad calls."""

import cases
import numpy as np
import pytest
from kernel_checks import assert_same_bits, by_threads, core
from numeric import assert_bound, integers, normal

from nnfast import reference as ref

SHAPES = [
    *cases.NORM,
    (300, 70),  # several chunks of rows
    (65, 300),  # several blocks of features
    (70, 20, 4, 4),  # many images in a chunk
    (5, 3, 1, 40000),  # a plane of several chunks
    (3, 37, 30, 30),
    (9, 5, 3, 3),  # small planes, which are rows of features
    (40, 70, 4, 4),
    (33, 30, 7, 7),
    (600, 2, 2, 3),
    (8, 700, 1, 2),
]
# Rows that begin at whole vectors, larger than the cache: these are streamed.
STREAMED = [(4, 64, 128, 128), (300_000, 64)]


def rectified(function: str, *arguments: object, **options: object) -> object:
    """Call a batch norm function with a ReLU, for any thread count."""
    call = getattr(core, function)
    return by_threads(lambda: call(*arguments, **options, activation="relu"))


def wide(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_against_the_twin(shape: tuple, dtype: type, affine: bool) -> None:
    x, dy = normal(shape, dtype), normal(shape, dtype, seed=1)
    weight, bias = (normal(shape[1], dtype, seed=s) for s in (2, 3))
    if not affine:
        weight = bias = None
    y, mean, var = by_threads(lambda: core.batch_norm(x, weight, bias))
    assert y.dtype == mean.dtype == var.dtype == dtype
    exact = ref.batch_norm(*wide(x), *(wide(weight, bias) if affine else ()))
    axes = (0, *range(2, x.ndim))
    size = 1 + np.abs(exact[0]).max(axis=axes, keepdims=True, initial=0)
    assert_bound(y, exact[0], np.broadcast_to(size, shape), c=16)
    assert_bound(mean, exact[1], np.abs(x).mean(axis=axes), c=16)
    assert_bound(var, exact[2], exact[2], c=32)

    got = by_threads(lambda: core.batch_norm_backward(dy, x, mean, var, weight))
    exact = ref.batch_norm_backward(*wide(dy, x, mean, var), *(wide(weight) if affine else ()))
    dx, dweight, dbias = got
    assert dx.dtype == dweight.dtype == dbias.dtype == dtype
    scale = (1 if weight is None else np.abs(weight)) / np.sqrt(var + 1e-5)
    count = x.size // max(1, shape[1])
    size = (scale * count * 4).reshape(-1, *(1,) * (x.ndim - 2))
    assert_bound(dx, exact[0], np.broadcast_to(size / count * 4, shape), c=8)
    xhat = np.abs(exact[0]) * 0 + np.abs(ref.batch_norm_inference(*wide(x, mean, var)))
    assert_bound(dweight, exact[1], np.sum(np.abs(dy) * xhat, axis=axes), c=16)
    assert_bound(dbias, exact[2], np.sum(np.abs(dy), axis=axes), c=4)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s], ids=str)
def test_training_is_inference_with_its_statistics(shape: tuple, dtype: type) -> None:
    x, weight, bias = normal(shape, dtype), normal(shape[1], dtype), normal(shape[1], dtype)
    y, mean, var = core.batch_norm(x, weight, bias, 1e-3)
    again = by_threads(lambda: core.batch_norm_inference(x, mean, var, weight, bias, 1e-3))
    assert_same_bits(again, y)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if np.prod(s) > 100], ids=str)
def test_statistics_far_from_zero(shape: tuple, dtype: type) -> None:
    """A mean much larger than the deviation takes no digits from the variance."""
    x = (normal(shape) + 1e4).astype(dtype)
    _, mean, var = core.batch_norm(x)
    axes = (0, *range(2, x.ndim))
    exact = x.astype(np.float64)
    centred = exact - exact.mean(axis=axes, keepdims=True)
    assert_bound(mean, exact.mean(axis=axes), exact.mean(axis=axes), c=16)
    tolerance = 2e-7 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(var, np.mean(centred * centred, axis=axes), rtol=tolerance)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_whole_numbers(dtype: type) -> None:
    """Statistics without rounding error: 2 and -2 in equal parts."""
    x = np.full((4, 5, 8, 8), 2, dtype)
    x[::2] = -2
    y, mean, var = core.batch_norm(x, eps=0.0)
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(var, 4)
    np.testing.assert_array_equal(y, x / 2)
    dy = integers(x.shape, dtype)
    _, dweight, dbias = core.batch_norm_backward(dy, x, mean, var, eps=0.0)
    np.testing.assert_array_equal(dbias, dy.sum(axis=(0, 2, 3)))
    np.testing.assert_array_equal(dweight, (dy * x).sum(axis=(0, 2, 3)) / 2)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s], ids=str)
def test_relu_has_the_bits_of_a_pass_of_its_own(shape: tuple, dtype: type, affine: bool) -> None:
    x, dy = normal(shape, dtype), normal(shape, dtype, seed=1)
    x.flat[0] = np.nan if len(shape) == 4 else 0
    weight, bias = (normal(shape[1], dtype, seed=s) for s in (2, 3))
    if not affine:
        weight = bias = None
    y, mean, var = core.batch_norm(x, weight, bias)
    apart = core.relu(y)
    assert_same_bits(rectified("batch_norm", x, weight, bias), (apart, mean, var))
    assert_same_bits(rectified("batch_norm_inference", x, mean, var, weight, bias), apart)
    masked = core.relu_backward(dy, y)
    expected = core.batch_norm_backward(masked, x, mean, var, weight)
    got = rectified("batch_norm_backward", dy, x, mean, var, weight, bias=bias)
    assert_same_bits(got, expected)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [(7, 5), (4, 6, 7, 9), (40, 7, 4, 4)], ids=str)
def test_relu_against_the_twin(shape: tuple, dtype: type) -> None:
    x, dy = normal(shape, dtype), normal(shape, dtype, seed=1)
    weight, bias = (normal(shape[1], dtype, seed=s) for s in (2, 3))
    y, mean, var = core.batch_norm(x, weight, bias, activation="relu")
    exact = ref.batch_norm(*wide(x, weight, bias), activation="relu")
    np.testing.assert_allclose(y, exact[0], rtol=1e-4, atol=1e-5)
    plain = ref.batch_norm_inference(*wide(x, mean, var, weight, bias))
    dy[np.abs(plain) < 1e-4] = 0  # which side of zero these are on is a matter of rounding
    got = core.batch_norm_backward(dy, x, mean, var, weight, bias=bias, activation="relu")
    arrays = wide(dy, x, mean, var, weight)
    expected = ref.batch_norm_backward(*arrays, bias=bias.astype(float), activation="relu")
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", STREAMED, ids=str)
def test_streamed_results(shape: tuple) -> None:
    """A result that outgrows the cache has the numbers of a small one, whatever the row."""
    x, dy = normal(shape, np.float32), normal(shape, np.float32, seed=1)
    weight, bias = normal(shape[1], np.float32), normal(shape[1], np.float32, seed=1)
    y, mean, var = by_threads(lambda: core.batch_norm(x, weight, bias))
    part = slice(shape[0] // 2, shape[0] // 2 + 1)
    again = core.batch_norm_inference(x[part], mean, var, weight, bias)
    assert_same_bits(y[part], again)
    dx, dweight, dbias = core.batch_norm_backward(dy, x, mean, var, weight)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(dbias, dy.sum(axis=axes, dtype=float), rtol=1e-5, atol=1e-2)
    wide_shape = (-1, *(1,) * (x.ndim - 2))
    count = x.size // shape[1]
    deviation = np.sqrt(var.astype(float) + 1e-5)
    inner = (x[part].astype(float) - mean.reshape(wide_shape)) / deviation.reshape(wide_shape)
    rest = (dbias / count).reshape(wide_shape) + inner * (dweight / count).reshape(wide_shape)
    expected = (dy[part] - rest) * (weight / deviation).reshape(wide_shape)
    np.testing.assert_allclose(dx[part], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 5), (4, 6, 7, 9), (40, 7, 4, 4)], ids=str)
def test_gradient_without_dx(shape: tuple) -> None:
    x, dy = normal(shape), normal(shape, seed=1)
    _, mean, var = core.batch_norm(x)
    _, dweight, dbias = core.batch_norm_backward(dy, x, mean, var)
    for module in (core, ref):
        got = module.batch_norm_backward(dy, x, mean, var, needs_dx=False)
        assert got[0] is None
        np.testing.assert_allclose(got[1], dweight, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got[2], dbias, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("channels", [1, 7, 16, 33, 1000])
@pytest.mark.parametrize("count", [1, 2, 100])
def test_running_statistics(count: int, channels: int, dtype: type) -> None:
    new = normal(channels, dtype), np.abs(normal(channels, dtype, seed=1))
    ours, twins = ((np.zeros(channels, dtype), np.ones(channels, dtype)) for _ in range(2))
    for _ in range(3):
        assert core.batch_norm_update(*ours, *new, count, 0.3) is None
        ref.batch_norm_update(*twins, *new, count, 0.3)
    for one, other in zip(ours, twins, strict=True):
        np.testing.assert_allclose(one, other, rtol=4 * np.finfo(dtype).eps, atol=1e-7)
    core.batch_norm_update(*ours, *new, count, 1)
    np.testing.assert_array_equal(ours[0], new[0])


@pytest.mark.parametrize("shape", [(9, 4), (2, 4, 5, 5)], ids=str)
def test_nan_stays_in_its_channel(shape: tuple) -> None:
    x = normal(shape, np.float32)
    x[1, 2] = np.nan
    y, mean, var = core.batch_norm(x)
    assert np.isnan(mean).tolist() == np.isnan(var).tolist() == [False, False, True, False]
    assert np.isnan(y[:, 2]).all()
    assert not np.isnan(np.delete(y, 2, axis=1)).any()


@pytest.mark.parametrize("shape", [(40, 4), (20, 4, 1, 1000)])
@pytest.mark.parametrize("row", [0, -1])
def test_infinity_is_the_mean_of_its_channel(shape: tuple, row: int) -> None:
    x = normal(shape)
    x[row, 1], x[row, 2], x[0, 3], x[-1, 3] = np.inf, -np.inf, np.inf, -np.inf
    y, mean, var = core.batch_norm(x)
    np.testing.assert_array_equal(mean[1:], [np.inf, -np.inf, np.nan])
    assert np.isnan(var).tolist() == [False, True, True, True]
    with np.errstate(invalid="ignore"):
        expected = ref.batch_norm(x)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 1), (40, 3), (1, 1, 1, 33), (2, 3, 20, 20)])
def test_a_variance_that_overflows_is_infinite(shape: tuple) -> None:
    x = normal(shape)
    x.reshape(-1)[-2] = 1e160
    with np.errstate(over="ignore"):
        expected, got = ref.batch_norm(x), core.batch_norm(x)
    assert np.isinf(expected[2]).sum() == 1
    np.testing.assert_allclose(got[2], expected[2], rtol=1e-12)
    np.testing.assert_array_equal(np.isfinite(got[0]), np.isfinite(expected[0]))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_empty_inference(dtype: type) -> None:
    one = np.ones(3, dtype)
    assert core.batch_norm_inference(np.zeros((0, 3), dtype), one, one).shape == (0, 3)
    assert core.batch_norm_inference(np.zeros((2, 3, 0, 4), dtype), one, one).shape == (2, 3, 0, 4)


X, C = np.ones((2, 3, 4, 4)), np.ones(3)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "word"),
    [
        ("batch_norm", (X[0],), ValueError, "x"),
        ("batch_norm", (X[:0],), ValueError, "at least one value"),
        ("batch_norm", (X, np.ones(4)), ValueError, "weight"),
        ("batch_norm", (X, C, C.astype(np.float32)), TypeError, "bias"),
        ("batch_norm", (X, C, C, -1.0), ValueError, "eps"),
        ("batch_norm", (X, C, C, float("nan")), ValueError, "eps"),
        ("batch_norm", (X, C, C, "0"), TypeError, "eps"),
        ("batch_norm", (X, C, C, 0.1, "tanh"), ValueError, "activation"),
        ("batch_norm", (X, C, C, 0.1, 1), TypeError, "activation"),
        ("batch_norm_backward", (X, X, C, C, C, 0.1, C[:2]), ValueError, "bias"),
        ("batch_norm_update", (C, C, C, C, 4), ValueError, "memory"),
        ("batch_norm_update", (C, C.copy(), C + 1, C + 2, 0), ValueError, "count"),
        ("batch_norm_update", (C, C.copy(), C + 1, C + 2, 4, 1.5), ValueError, "momentum"),
        ("batch_norm_inference", (X, None, C), TypeError, "mean"),
        ("batch_norm_inference", (X, C, C[:2]), ValueError, "var"),
        ("batch_norm_backward", (X[:1], X, C, C), ValueError, "dy"),
        ("batch_norm_backward", (X[:0], X[:0], C, C), ValueError, "at least one value"),
        ("batch_norm_backward", (X, X, C, C, C[None]), ValueError, "weight"),
    ],
)
def test_bad_calls(name: str, arguments: tuple, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        getattr(core, name)(*arguments)
