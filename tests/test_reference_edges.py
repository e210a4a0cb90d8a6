"""The reference where numbers end: NaN, infinity, nothing to work on; dtypes kept."""

import warnings

import cases
import numpy as np
import pytest
from bad_calls import good_calls
from numeric import normal

from nnfast import reference as ref

INF, NAN = np.inf, np.nan


@pytest.fixture(autouse=True)
def no_warnings():
    """Defined results come without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0, 0, 1, INF, NAN]),
        ("leaky_relu", [-INF, 0, 1, INF, NAN]),
        ("sigmoid", [0, 0.5, 1 / (1 + np.exp(-1)), 1, NAN]),
        ("tanh", [-1, 0, np.tanh(1), 1, NAN]),
    ],
)
def test_activations_at_the_ends(name: str, expected: list[float], dtype: type) -> None:
    y = getattr(ref, name)(np.array([-INF, 0, 1, INF, NAN], dtype))
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_at_the_ends(approximate: str, dtype: type) -> None:
    x = np.array([-INF, -1e30, 0, 1e30, INF, NAN], dtype)
    expected = np.array([0, 0, 0, 1e30, INF, NAN], dtype)
    np.testing.assert_array_equal(ref.gelu(x, approximate), expected)
    dx = ref.gelu_backward(np.full_like(x, 2), x, approximate)
    np.testing.assert_array_equal(dx, [0, 0, 1, 2, 2, NAN])
    assert ref.gelu(x, approximate).dtype == dx.dtype == dtype


def test_rectifiers_pass_gradients_through_nan() -> None:
    dy, x = np.array([1.0, 2.0, 3.0]), np.array([NAN, 0.0, 1.0])
    assert ref.relu_backward(dy, x).tolist() == [1, 0, 3]
    assert ref.leaky_relu_backward(dy, x, 0.5).tolist() == [1, 1, 3]


def test_sigmoid_does_not_overflow() -> None:
    x = np.array([-1e30, -800, -80, 80, 800, 1e30])
    np.testing.assert_allclose(ref.sigmoid(x), [0, 0, np.exp(-80), 1, 1, 1], rtol=1e-12)


def test_nan_wins_in_maxima() -> None:
    x = np.array([[[[1.0, NAN], [INF, 2.0]]]])
    y, indices = ref.max_pool2d(x, 2)
    assert np.isnan(y).all()
    assert indices.item() == 1
    assert np.isnan(ref.reduce_max(x))


def test_first_of_equal_maxima_wins() -> None:
    assert ref.max_pool2d(np.ones((1, 1, 3, 3)), 3)[1].item() == 0


def test_softmax_of_large_scores() -> None:
    x = np.array([[1e4, 0, -1e4], [-INF, 0, 0], [700, 710, 720]])
    np.testing.assert_allclose(ref.softmax(x).sum(axis=1), 1, rtol=1e-12)
    assert ref.softmax(x)[1].tolist() == [0, 0.5, 0.5]
    assert ref.log_softmax(x)[0].tolist() == [0, -1e4, -2e4]
    loss, lse = ref.cross_entropy(x, np.array([2, 1, 0]), reduction="none")
    np.testing.assert_allclose(loss[:2], [2e4, np.log(2)])
    np.testing.assert_allclose(lse[:2], [1e4, np.log(2)])


def test_softmax_of_what_has_no_answer_is_nan() -> None:
    x = np.array([[NAN, 0.0], [INF, 0.0], [-INF, -INF]])
    for name in ("softmax", "log_softmax"):
        assert np.isnan(getattr(ref, name)(x)[:, 0]).all()
    assert np.isnan(ref.cross_entropy(x, np.array([0, 0, 0]), reduction="none")[0]).all()


def test_means_of_nothing_are_nan() -> None:
    x, none = normal((3, 4)), np.full(3, -100)
    loss, lse = ref.cross_entropy(x, none)
    assert np.isnan(loss)
    assert not ref.cross_entropy_backward(x, none, lse).any()
    assert np.isnan(ref.cross_entropy(x[:0], none[:0])[0])
    assert np.isnan(ref.mse_loss(x[:0], x[:0]))
    assert np.isnan(ref.reduce_mean(x[:0]))
    assert ref.cross_entropy(x, none, reduction="sum")[0] == 0
    assert ref.mse_loss(x[:0], x[:0], "sum") == ref.reduce_sum(x[:0]) == 0


def test_ignored_samples_have_no_say_even_if_nan() -> None:
    x, target = normal((3, 4)), np.array([1, -100, 2])
    x[1] = NAN
    loss, lse = ref.cross_entropy(x, target, label_smoothing=0.1)
    expected, _ = ref.cross_entropy(x[::2], target[::2], label_smoothing=0.1)
    assert loss == expected
    dx = ref.cross_entropy_backward(x, target, lse, label_smoothing=0.1)
    assert not dx[1].any()
    assert np.isfinite(dx).all()


def test_dropped_values_are_zero_even_if_nan() -> None:
    y = ref.dropout(np.full(1000, NAN), 0.5, seed=3)
    assert (np.isnan(y) ^ (y == 0)).all()
    np.testing.assert_array_equal(ref.dropout(np.full(9, NAN), 0.0), np.full(9, NAN))


@pytest.mark.parametrize("name", ref.__all__)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_dtype_in_is_dtype_out(name: str, dtype: type) -> None:
    arguments = {
        key: value.astype(dtype) if getattr(value, "dtype", None) == np.float64 else value
        for key, value in good_calls()[name].items()
    }
    before = {key: np.copy(value) for key, value in arguments.items()}
    result = getattr(ref, name)(**arguments)
    results = result if isinstance(result, tuple) else (result,)
    for array in results:
        assert array is None or array.dtype in (dtype, np.uint8, np.int64)  # or positions
        assert not isinstance(array, np.ndarray) or array.flags.c_contiguous
    if not name.endswith("_update"):
        for key, value in arguments.items():
            np.testing.assert_array_equal(value, before[key])
            assert not any(np.shares_memory(value, array) for array in results)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh", "dropout"])
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_arrays_without_axes_stay_arrays(name: str, dtype: type) -> None:
    x = np.array(0.5, dtype)
    saved = () if name == "dropout" else (x,)
    for y in (getattr(ref, name)(x), getattr(ref, name + "_backward")(x, *saved)):
        assert isinstance(y, np.ndarray)
        assert (y.shape, y.dtype) == ((), dtype)
