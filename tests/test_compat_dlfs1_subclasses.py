"""Subclasses of nnfast.compat.dlfs1's layers, which set by hand what the book's layers keep."""

import numpy as np
import pytest
from dlfs1_check import same
from dlfs1_numpy import layers as original

from nnfast.compat.dlfs1 import layers

pytestmark = pytest.mark.usefixtures("backend")

IMAGES = (3, 2, 6, 6)
LAYERS = {
    # the arguments of the constructor, the shape of the input
    "Relu": ((), (4, 6)),
    "Sigmoid": ((), (4, 6)),
    "Affine": (((72, 5), (5,)), IMAGES),
    "Dropout": ((0.3,), (4, 6)),
    "BatchNormalization": (((72,), (72,)), IMAGES),
    "Convolution": (((4, 2, 3, 3), (4,), 1, 1), IMAGES),
    "Pooling": ((2, 2), IMAGES),
}


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def arguments(rng, name):
    """Give those of the constructor, with arrays for shapes, and an input."""
    given, shape = LAYERS[name]
    args = [rng.standard_normal(a) if isinstance(a, tuple) else a for a in given]
    return args, rng.standard_normal(shape)


def with_its_own_forward(name):
    """Derive from our layer; what forward keeps is what the book's keeps."""

    class Mine(getattr(layers, name)):
        def forward(self, *args):
            return getattr(original, name).forward(self, *args)

        def backward(self, *args):
            return super().backward(*args) * 2

    return Mine


@pytest.mark.parametrize("name", LAYERS)
def test_backward_goes_by_what_a_forward_of_one_s_own_keeps(rng, name):
    args, x = arguments(rng, name)
    mine, theirs = with_its_own_forward(name)(*args), getattr(original, name)(*args)
    for factor in (1.0, -0.5):  # another input: nothing of the first may be left
        results = []
        for layer in (mine, theirs):
            np.random.seed(2)
            results.append(layer.forward(factor * x))
        np.testing.assert_array_equal(*results)
        dout = rng.standard_normal(results[0].shape)
        same(mine.backward(dout.copy()), 2 * theirs.backward(dout.copy()), 1e-11)
        for grad in ("dW", "db", "dgamma", "dbeta"):
            if hasattr(theirs, grad):
                same(getattr(mine, grad), getattr(theirs, grad), 1e-11)


@pytest.mark.parametrize("t", [np.array([2, 0, 1]), np.eye(4)[[2, 0, 1]]])
def test_loss_goes_by_what_a_forward_of_one_s_own_keeps(rng, t):
    x = rng.standard_normal((3, 4))
    mine, theirs = with_its_own_forward("SoftmaxWithLoss")(), original.SoftmaxWithLoss()
    same(mine.forward(x, t), theirs.forward(x, t))
    same(mine.backward(), 2 * theirs.backward())


@pytest.mark.parametrize("name", LAYERS)
def test_our_forward_comes_back_into_force(rng, name):
    """What was set by hand or read for an earlier input says nothing about the next one."""
    args, x = arguments(rng, name)
    mine, ours = with_its_own_forward(name)(*args), getattr(layers, name)(*args)
    mine.forward(x)
    results = []
    for layer in (mine, ours):
        np.random.seed(2)
        results.append(getattr(layers, name).forward(layer, -x))
    dout = rng.standard_normal(results[0].shape)
    np.testing.assert_array_equal(mine.backward(dout.copy()), 2 * ours.backward(dout.copy()))


READ = {
    "Relu": "mask",
    "BatchNormalization": "xn",
    "Convolution": "col",
    "Pooling": "arg_max",
}


@pytest.mark.parametrize("name", [n for n in READ if n != "BatchNormalization"])
def test_backward_goes_by_what_was_changed_after_reading(rng, name):
    args, x = arguments(rng, name)
    both = [getattr(module, name)(*args) for module in (layers, original)]
    for layer in both:
        y = layer.forward(x)
        getattr(layer, READ[name])[:2] = 1
    dout = rng.standard_normal(y.shape)
    same(*(layer.backward(dout.copy()) for layer in both), 1e-11)
    if name == "Convolution":
        same(*(layer.dW for layer in both), 1e-11)


@pytest.mark.parametrize("name", READ)
def test_backward_wants_forward_first(rng, name):
    layer = getattr(layers, name)(*arguments(rng, name)[0])
    assert getattr(layer, READ[name]) is None
    with pytest.raises(RuntimeError, match=f"{name}.backward was called before forward"):
        layer.backward(np.ones((3, 2)))
