"""Functions, util and gradient of nnfast.compat.dlfs1 against the same written in NumPy."""

import numpy as np
import pytest
from dlfs1_check import same
from dlfs1_numpy import functions as original
from dlfs1_numpy import gradient as original_gradient
from dlfs1_numpy import util as original_util

from nnfast.compat.dlfs1 import functions, gradient, util

pytestmark = pytest.mark.usefixtures("backend")

X = np.array([[-3.0, -0.5, 0.0, 0.25], [2.0, -0.0, 30.0, -30.0]])
ELEMENTWISE = ["identity_function", "step_function", "sigmoid", "sigmoid_grad", "relu", "relu_grad"]


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax"])
@pytest.mark.parametrize("x", [X, X.astype(np.float32), X[0], X.reshape(2, 2, 2), X.T, X[:, ::2]])
def test_functions_of_an_array(name, x):
    same(getattr(functions, name)(x), getattr(original, name)(x.copy()))


@pytest.mark.parametrize("name", ["step_function", "sigmoid", "relu", "identity_function"])
def test_functions_of_numbers_and_integers(name):
    ours, theirs = getattr(functions, name), getattr(original, name)
    same(ours(np.arange(-2, 3)), theirs(np.arange(-2, 3)))
    same(ours(np.float64(0.5)), theirs(np.float64(0.5)))
    same(ours(np.array(0.5)), theirs(np.array(0.5)))
    assert functions.sigmoid(1) == original.sigmoid(1)
    assert functions.relu(-2.5) == 0


def test_identity_is_the_same_object():
    assert functions.identity_function(X) is X


def test_softmax_of_large_numbers_and_integers():
    x = np.array([1010, 1000, 990])
    for values in (x, x.astype(float), np.tile(x, (3, 1))):
        same(functions.softmax(values), original.softmax(values))
    assert functions.softmax(x).sum() == pytest.approx(1)


Y = np.array([[0.1, 0.05, 0.6, 0.25], [0.0, 1.0, 0.0, 0.0], [0.3, 0.3, 0.2, 0.2]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("t", [np.array([2, 0, 3]), np.eye(4)[[2, 0, 3]], np.eye(4, dtype=int)[:3]])
def test_losses(dtype, t):
    y = Y.astype(dtype)
    same(functions.cross_entropy_error(y, t), original.cross_entropy_error(y, t))
    same(functions.softmax_loss(y, t), original.softmax_loss(y, t))
    if t.ndim == 2:
        same(functions.sum_squared_error(y, t), original.sum_squared_error(y, t))
        same(functions.mean_squared_error(y, t), original.sum_squared_error(y, t))


def test_cross_entropy_of_one_sample():
    for t in (np.eye(4)[2], np.array([2])):
        expected = original.cross_entropy_error(Y[0], t)
        same(functions.cross_entropy_error(Y[0], t), expected)
    assert expected == pytest.approx(-np.log(0.6 + 1e-7))


UNFOLDINGS = [
    # N, C, H, W, filter_h, filter_w, stride, pad
    (2, 3, 7, 7, 3, 3, 1, 1),
    (1, 1, 5, 6, 5, 2, 1, 0),
    (3, 2, 9, 8, 3, 2, 2, 1),
    (2, 2, 8, 8, 2, 2, 2, 0),
    (1, 2, 7, 6, 2, 3, 3, 2),
    (2, 1, 4, 4, 1, 1, 2, 0),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8])
@pytest.mark.parametrize("case", UNFOLDINGS)
def test_im2col_is_exactly_the_same(case, dtype):
    n, c, h, w, *how = case
    x = (100 * np.random.default_rng(0).random((n, c, h, w))).astype(dtype)
    ours, theirs = util.im2col(x, *how), original_util.im2col(x, *how)
    assert ours.dtype == theirs.dtype == np.float64
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("case", UNFOLDINGS)
def test_col2im_is_exactly_the_same(case, dtype):
    n, c, h, w, *how = case
    shape = original_util.im2col(np.zeros((n, c, h, w)), *how).shape
    col = (100 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    for rows in (col, col.reshape(-1), np.asfortranarray(col)):
        ours, theirs = (
            util.col2im(rows, (n, c, h, w), *how),
            original_util.col2im(col, case[:4], *how),
        )
        assert ours.dtype == theirs.dtype == np.float64
        np.testing.assert_array_equal(ours, theirs)


def test_im2col_keeps_its_input():
    x = np.ones((1, 1, 4, 4))
    util.im2col(x, 2, 2)[:] = 7
    assert (x == 1).all()


def test_smooth_curve():
    x = np.random.default_rng(1).standard_normal(50)
    same(util.smooth_curve(x), original_util.smooth_curve(x))
    same(util.smooth_curve(list(x)), original_util.smooth_curve(list(x)))
    assert util.smooth_curve(x).shape == x.shape


@pytest.mark.parametrize("shape", [(20, 3), (20, 1, 4, 4)])
def test_shuffle_dataset_draws_from_the_global_generator(shape):
    x, t = np.arange(np.prod(shape)).reshape(shape), np.arange(20)
    results = []
    for shuffle in (util.shuffle_dataset, original_util.shuffle_dataset):
        np.random.seed(4)
        results.append((*shuffle(x, t), np.random.rand()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_conv_output_size():
    assert util.conv_output_size(28, 5) == 24.0
    assert util.conv_output_size(28, 3, stride=2, pad=1) == 14.5


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 1, 3), ()])
def test_numerical_gradient(shape):
    x = np.random.default_rng(2).standard_normal(shape)
    kept = x.copy()
    got = gradient.numerical_gradient(lambda v: np.sum(v**3), x)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(
        got, original_gradient.numerical_gradient(lambda v: np.sum(v**3), x)
    )
    np.testing.assert_allclose(got, 3 * x**2, atol=1e-7)


def test_numerical_gradient_works_on_views():
    storage = np.arange(12.0).reshape(3, 4)
    grad = gradient.numerical_gradient(lambda v: np.sum(v**2), storage[:, ::2])
    np.testing.assert_allclose(grad, 2 * storage[:, ::2], atol=1e-6)


def test_numerical_gradient_2d_calls_f_with_rows():
    X = np.random.default_rng(2).standard_normal((3, 2))
    seen = []

    def f(row):
        seen.append(row.shape)
        return np.sum(row**2)

    same(
        gradient.numerical_gradient_2d(f, X), original_gradient.numerical_gradient_2d(f, X), rtol=0
    )
    assert set(seen) == {(2,)}
    same(gradient.numerical_gradient_2d(f, X[0]), 2 * X[0], rtol=1e-7)
