"""Each layer of nnfast.compat.dlfs1 against the same layer written in NumPy."""

import copy
import pickle

import numpy as np
import pytest
from dlfs1_check import same
from dlfs1_numpy import layers as original

from nnfast.compat.dlfs1 import layers

pytestmark = pytest.mark.usefixtures("backend")

DTYPES = [(np.float64, np.float64), (np.float32, np.float64), (np.float32, np.float32)]
by_dtype = pytest.mark.parametrize(("x_dtype", "w_dtype"), DTYPES)
# float32 sums are in another order than NumPy's, and where NumPy mixes dtypes ours are exacter
LOOSE = 3e-5


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def draw(rng, shape, dtype=np.float64):
    """Normal numbers, a few exact zeros among them."""
    x = rng.standard_normal(shape).astype(dtype)
    x[rng.random(shape) < 0.1] = 0
    return x


def both(name, *args):
    """Build the layer twice, on copies of the arguments."""
    return [
        getattr(module, name)(*(a.copy() if isinstance(a, np.ndarray) else a for a in args))
        for module in (layers, original)
    ]


def run(pair, x, dout, names=(), rtol=None, **forward):
    """Forward and backward of both layers, compared, and the attributes in names."""
    ours, theirs = pair
    same(ours.forward(x.copy(), **forward), theirs.forward(x.copy(), **forward), rtol)
    same(ours.backward(dout.copy()), theirs.backward(dout.copy()), rtol)
    for name in names:
        same(getattr(ours, name), getattr(theirs, name), rtol)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4, 5), (0, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_relu(rng, shape, dtype):
    x, dout = draw(rng, shape, dtype), draw(rng, shape, dtype)
    run(both("Relu"), x, dout, ["mask"], rtol=0)
    for other in (np.float32, np.float64):
        run(both("Relu"), x, dout.astype(other), rtol=0)


def test_relu_obeys_a_mask_that_was_replaced(rng):
    layer = layers.Relu()
    layer.forward(draw(rng, (2, 3)))
    layer.mask = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(layer.backward(np.ones((2, 3))), [[0, 1, 0], [1, 1, 0]])


def test_relu_takes_integers_and_nan(rng):
    run(both("Relu"), np.array([[-2, 0, 3]]), np.array([[1, 2, 3]]), rtol=0)
    x = np.array([[np.nan, -1.0, np.inf, -np.inf, 2.0]])
    run(both("Relu"), x, np.ones_like(x), ["mask"], rtol=0)


def test_relu_backward_writes_into_dout(rng):
    layer = layers.Relu()
    assert layer.mask is None
    layer.forward(np.array([[-1.0, 2.0], [0.0, 1.0]]))
    storage = np.full((2, 4), 5.0)
    dout = storage[:, ::2]  # not contiguous
    assert layer.backward(dout) is dout
    np.testing.assert_array_equal(storage, [[0, 5, 5, 5], [0, 5, 5, 5]])
    layer.forward(np.array([[1.0, -2.0]]))
    np.testing.assert_array_equal(layer.mask, [[False, True]])


def test_relu_keeps_its_input_and_wants_forward_first(rng):
    x = draw(rng, (4, 4))
    kept = x.copy()
    layers.Relu().forward(x)
    np.testing.assert_array_equal(x, kept)
    with pytest.raises(RuntimeError, match="before forward"):
        layers.Relu().backward(x)


@by_dtype
def test_sigmoid(rng, x_dtype, w_dtype):
    rtol = LOOSE if x_dtype == np.float32 else None
    run(both("Sigmoid"), 4 * draw(rng, (5, 7), x_dtype), draw(rng, (5, 7), w_dtype), ["out"], rtol)


@by_dtype
@pytest.mark.parametrize("shape", [(6, 12), (6, 3, 2, 2), (1, 12)])
def test_affine(rng, x_dtype, w_dtype, shape):
    pair = both("Affine", draw(rng, (12, 5), w_dtype), draw(rng, 5, w_dtype))
    dout = draw(rng, (shape[0], 5), np.result_type(x_dtype, w_dtype))
    run(pair, draw(rng, shape, x_dtype), dout, ["x", "dW", "db"])
    assert pair[0].original_x_shape == shape


def test_affine_takes_byte_images_and_broadcast_biases(rng):
    x = rng.integers(0, 255, (4, 12)).astype(np.uint8)
    for bias in (draw(rng, 5), draw(rng, (1, 5)), draw(rng, 1), np.array(0.5)):
        run(both("Affine", draw(rng, (12, 5)), bias), x, draw(rng, (4, 5)), ["dW", "db"])


def test_affine_takes_transposed_weights(rng):
    W = draw(rng, (5, 12)).T
    run([layers.Affine(W, np.zeros(5)), original.Affine(W, np.zeros(5))], *_affine_data(rng))


def _affine_data(rng):
    return draw(rng, (4, 12)), draw(rng, (5, 4)).T


@pytest.mark.parametrize("kind", ["Affine", "Convolution"])
def test_weights_are_aliases(rng, kind):
    """An optimizer changes params in place, and the layer must see it."""
    shape = (12, 5) if kind == "Affine" else (4, 3, 2, 2)
    params = {"W1": draw(rng, shape), "b1": draw(rng, 5 if kind == "Affine" else 4)}
    layer = getattr(layers, kind)(params["W1"], params["b1"])
    assert layer.W is params["W1"]
    assert layer.b is params["b1"]
    x = draw(rng, (2, 3, 2, 2))
    before = layer.forward(x)
    params["W1"] -= 0.5
    params["b1"] += 1.0
    changed = getattr(original, kind)(params["W1"], params["b1"])
    same(layer.forward(x), changed.forward(x))
    assert not np.allclose(before, layer.forward(x))
    layer.W = params["W1"] * 2  # load_params of the books' networks rebinds
    changed.W = layer.W
    same(layer.forward(x), changed.forward(x))


LABELS = {
    "labels": np.array([2, 0, 1, 1, 3]),
    "bytes": np.array([2, 0, 1, 1, 3], np.uint8),
    "one-hot": np.eye(4)[[2, 0, 1, 1, 3]],
    "one-hot integers": np.eye(4, dtype=int)[[2, 0, 1, 1, 3]],
    "soft": np.full((5, 4), 0.25),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", LABELS)
def test_softmax_with_loss(rng, dtype, kind):
    ours, theirs = both("SoftmaxWithLoss")
    x, t = 3 * draw(rng, (5, 4), dtype), LABELS[kind]
    same(ours.forward(x, t), theirs.forward(x, t))
    assert ours.t is t
    rtol = LOOSE if dtype is np.float32 else None
    same(ours.backward(), theirs.backward(), rtol)
    same(ours.backward(7.0), theirs.backward(7.0), rtol)  # its value is ignored
    for name in ("y", "t", "loss"):
        same(getattr(ours, name), getattr(theirs, name))


def test_softmax_with_loss_of_a_sure_miss(rng):
    """The 1e-7 inside the logarithm bounds the loss."""
    ours, theirs = both("SoftmaxWithLoss")
    x = np.array([[1000.0, 0.0, -1000.0]])
    same(ours.forward(x, np.array([2])), theirs.forward(x, np.array([2])))
    assert ours.loss == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dropout_draws_from_the_global_generator(rng, dtype):
    x, dout = draw(rng, (30, 20), dtype), draw(rng, (30, 20), dtype)
    results = []
    for layer in both("Dropout", 0.3):
        np.random.seed(5)
        results.append([layer.forward(x), layer.mask, layer.backward(dout), np.random.rand()])
        results[-1].append(layer.forward(x, train_flg=False))
    for ours, theirs in zip(*results, strict=True):
        same(ours, theirs, rtol=0)
    assert 0.2 < np.mean(results[0][1] == 0) < 0.4


BN_STATE = ["running_mean", "running_var", "xc", "xn", "std", "dgamma", "dbeta"]


@by_dtype
@pytest.mark.parametrize("shape", [(9, 24), (9, 2, 3, 4)])
def test_batch_normalization(rng, x_dtype, w_dtype, shape):
    gamma, beta = draw(rng, 24, w_dtype), draw(rng, 24, w_dtype)
    pair = both("BatchNormalization", gamma, beta)
    dtype = np.result_type(x_dtype, w_dtype)
    rtol = 1e-11 if x_dtype == np.float64 else LOOSE
    for step in range(3):
        x = (draw(rng, shape) * (step + 1) + 0.5).astype(x_dtype)
        run(pair, x, draw(rng, shape, dtype), BN_STATE, rtol, train_flg=True)
        assert pair[0].batch_size == 9
    x = draw(rng, shape, x_dtype)
    same(pair[0].forward(x, train_flg=False), pair[1].forward(x, train_flg=False), rtol)
    assert pair[0].input_shape == shape


def test_batch_normalization_broadcasts_and_takes_running_values(rng):
    pair = both("BatchNormalization", np.array([2.0]), 0.5, 0.8, np.ones(6), np.full(6, 2.0))
    x = draw(rng, (4, 6))
    same(pair[0].forward(x, False), pair[1].forward(x, False))
    run(pair, x, draw(rng, (4, 6)), BN_STATE, 1e-11)


def test_batch_normalization_of_one_sample(rng):
    pair = both("BatchNormalization", draw(rng, 6), draw(rng, 6))
    x = draw(rng, (1, 6))
    same(pair[0].forward(x), pair[1].forward(x))  # the variance is 0, epsilon keeps it finite
    np.testing.assert_allclose(pair[0].backward(draw(rng, (1, 6))), 0, atol=1e-9)


CONVOLUTIONS = [
    # N, C, H, W, FN, FH, FW, stride, pad
    (2, 3, 8, 8, 4, 3, 3, 1, 1),
    (3, 1, 12, 10, 5, 5, 5, 1, 0),
    (2, 2, 9, 7, 3, 3, 2, 2, 1),
    (1, 2, 5, 5, 2, 1, 1, 1, 0),
    (2, 2, 7, 8, 3, 3, 3, 3, 2),  # rows and columns that no window reaches
    (1, 1, 4, 4, 1, 4, 4, 1, 0),
]


@by_dtype
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(rng, x_dtype, w_dtype, case):
    n, c, h, w, fn, fh, fw, stride, pad = case
    pair = both("Convolution", draw(rng, (fn, c, fh, fw), w_dtype), draw(rng, fn, w_dtype))
    for layer in pair:
        layer.stride, layer.pad = stride, pad
    x = draw(rng, (n, c, h, w), x_dtype)
    out = pair[1].forward(x)
    for dout_dtype in (np.float64, x_dtype):
        names = ["x", "col", "col_W", "dW", "db"]
        run(
            pair,
            x,
            draw(rng, out.shape, dout_dtype),
            names,
            LOOSE if dout_dtype is np.float32 else None,
        )
    assert pair[0].forward(x).dtype == np.float64


def test_convolution_computes_col_when_it_is_read(rng):
    layer = layers.Convolution(draw(rng, (2, 1, 3, 3)), np.zeros(2))
    assert layer.col is None
    assert layer.col_W is None
    for shape in ((2, 1, 5, 5), (1, 1, 6, 6)):
        x = draw(rng, shape)
        layer.forward(x)
        assert "col" not in vars(layer)
        np.testing.assert_array_equal(layer.col, original.im2col(x, 3, 3))
        assert layer.x is x


def test_convolution_backward_uses_the_weights_of_forward(rng):
    W, b, x = draw(rng, (3, 2, 3, 3)), draw(rng, 3), draw(rng, (2, 2, 6, 6))
    pair = both("Convolution", W, b)
    for layer in pair:
        layer.forward(x)
        layer.W = layer.W * 3
    dout = draw(rng, (2, 3, 4, 4))
    same(pair[0].backward(dout), pair[1].backward(dout))


POOLS = [((2, 3, 8, 8), (2, 2, 2)), ((2, 1, 9, 7), (3, 2, 2)), ((1, 2, 7, 7), (3, 3, 1))]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize(("shape", "window"), POOLS)
def test_pooling(rng, dtype, shape, window):
    x = rng.integers(0, 4, shape).astype(dtype)  # many ties
    pair = both("Pooling", *window)
    out = pair[1].forward(x)
    run(pair, x, draw(rng, out.shape), ["x", "arg_max"])
    run(pair, x, draw(rng, out.shape, np.float32), ["arg_max"])


def test_pooling_default_stride_and_state(rng):
    layer = layers.Pooling(2, 2)
    assert (layer.stride, layer.pad, layer.arg_max) == (2, 0, None)
    x = draw(rng, (1, 1, 4, 4))
    layer.forward(x)
    assert layer.x is x


def test_pooling_with_pad(rng):
    """The output size knows no pad: it works where both sizes agree, and is an error elsewhere."""
    pair = both("Pooling", 2, 2, 4, 1)
    x = draw(rng, (2, 3, 6, 6)) - 2  # the border of zeros wins many windows
    run(pair, x, draw(rng, (2, 3, 2, 2)), ["arg_max"])
    for layer in both("Pooling", 2, 2, 2, 1):
        with pytest.raises(ValueError, match=r"pad|reshape"):
            layer.forward(x)


def test_star_import_gives_what_the_book_s_module_gives():
    namespace = {}
    exec("from nnfast.compat.dlfs1.layers import *", namespace)
    names = {name for name in vars(original) if not name.startswith("_")}
    assert names <= set(namespace)
    assert namespace["np"] is np


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_layers_can_be_copied(rng, duplicate):
    layer = layers.Convolution(draw(rng, (2, 1, 3, 3)), np.zeros(2))
    layer.forward(draw(rng, (1, 1, 5, 5)))
    dout = draw(rng, (1, 2, 3, 3))
    same(duplicate(layer).backward(dout), layer.backward(dout))


def test_a_subclass_may_set_what_we_compute(rng):
    class Mine(layers.Pooling):
        def forward(self, x):
            out = super().forward(x)
            self.arg_max = self.arg_max * 0
            return out

    layer = Mine(2, 2)
    layer.forward(draw(rng, (1, 1, 4, 4)))
    np.testing.assert_array_equal(layer.arg_max, np.zeros(4))
