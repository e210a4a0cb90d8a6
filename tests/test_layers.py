"""One table of all layers, held to what every layer promises, over both backends."""

import copy
import inspect
import re

import numpy as np
import pytest

import nnfast as nn
from nnfast.testing import check_gradients

IMAGE, ROWS, SEQUENCE, TOKENS = (3, 4, 6, 7), (5, 6), (5, 2, 4), (3, 5, 6)
LAYERS = {
    "linear": (lambda: nn.Linear(6, 3, rng=0), ROWS),
    "linear-no-bias": (lambda: nn.Linear(6, 3, bias=False, rng=0), ROWS),
    "linear-axes": (lambda: nn.Linear(7, 3, activation="tanh", rng=0), IMAGE),
    "linear-relu": (lambda: nn.Linear(6, 3, activation="relu", rng=0), ROWS),
    "linear-tanh": (lambda: nn.Linear(6, 3, activation="tanh", rng=0), ROWS),
    "conv": (lambda: nn.Conv2d(4, 5, 3, rng=0), IMAGE),
    "conv-pairs": (lambda: nn.Conv2d(4, 2, (2, 3), (1, 2), (1, 0), (2, 1), rng=0), IMAGE),
    "conv-groups": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False, rng=0), IMAGE),
    "conv-depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, rng=0), IMAGE),
    "conv-relu": (lambda: nn.Conv2d(4, 3, 3, activation="relu", rng=0), IMAGE),
    "conv-leaky": (lambda: nn.Conv2d(4, 3, 3, activation="leaky_relu", rng=0), IMAGE),
    "conv-sigmoid": (lambda: nn.Conv2d(4, 3, 3, activation="sigmoid", rng=0), IMAGE),
    "conv-tanh": (lambda: nn.Conv2d(4, 3, 3, activation="tanh", rng=0), IMAGE),
    "conv-transpose": (lambda: nn.ConvTranspose2d(4, 3, 4, 2, 1, rng=0), IMAGE),
    "conv-transpose-groups": (lambda: nn.ConvTranspose2d(4, 6, 2, 3, 1, 2, 2, False, rng=0), IMAGE),
    "conv-transpose-tanh": (lambda: nn.ConvTranspose2d(4, 2, 3, activation="tanh", rng=0), IMAGE),
    "max-pool": (lambda: nn.MaxPool2d(2), IMAGE),
    "max-pool-overlap": (lambda: nn.MaxPool2d(3, 2, 1), IMAGE),
    "avg-pool": (lambda: nn.AvgPool2d((2, 3)), IMAGE),
    "avg-pool-pad": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "global-avg-pool": (lambda: nn.GlobalAvgPool2d(), IMAGE),
    "batch-norm-1d": (lambda: nn.BatchNorm1d(6), ROWS),
    "batch-norm-2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "batch-norm-plain": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "batch-norm-1d-relu": (lambda: nn.BatchNorm1d(6, activation="relu"), ROWS),
    "batch-norm-2d-relu": (lambda: nn.BatchNorm2d(4, activation="relu"), IMAGE),
    "batch-norm-relu-eval": (lambda: nn.BatchNorm2d(4, activation="relu").eval(), IMAGE),
    "batch-norm-eval": (lambda: nn.BatchNorm2d(4).eval(), IMAGE),
    "layer-norm": (lambda: nn.LayerNorm(6), ROWS),
    "layer-norm-axes": (lambda: nn.LayerNorm((6, 7), bias=False), IMAGE),
    "layer-norm-plain": (lambda: nn.LayerNorm([4, 6, 7], elementwise_affine=False), IMAGE),
    "relu": (lambda: nn.ReLU(), ROWS),
    "leaky-relu": (lambda: nn.LeakyReLU(0.2), ROWS),
    "leaky-relu-0": (lambda: nn.LeakyReLU(0.0), ROWS),
    "sigmoid": (lambda: nn.Sigmoid(), ROWS),
    "tanh": (lambda: nn.Tanh(), ROWS),
    "gelu": (lambda: nn.GELU(), ROWS),
    "gelu-tanh": (lambda: nn.GELU(approximate="tanh"), ROWS),
    "dropout": (lambda: nn.Dropout(0.4, rng=0), ROWS),
    "dropout-eval": (lambda: nn.Dropout(0.4, rng=0).eval(), ROWS),
    "flatten": (lambda: nn.Flatten(), IMAGE),
    "lstm": (lambda: nn.LSTM(4, 3, rng=0), SEQUENCE),
    "lstm-layers": (lambda: nn.LSTM(4, 3, 3, bias=False, dropout=0.3, rng=0), SEQUENCE),
    "lstm-both-ways": (lambda: nn.LSTM(4, 3, 2, bidirectional=True, rng=0), SEQUENCE),
    "lstm-batch-first": (lambda: nn.LSTM(4, 3, batch_first=True, rng=0), SEQUENCE),
    "lstm-eval": (lambda: nn.LSTM(4, 3, 2, dropout=0.3, rng=0).eval(), SEQUENCE),
    "gru": (lambda: nn.GRU(4, 3, rng=0), SEQUENCE),
    "gru-both-ways": (lambda: nn.GRU(4, 3, 2, bidirectional=True, rng=0), SEQUENCE),
    "gru-eval": (lambda: nn.GRU(4, 3, batch_first=True, rng=0).eval(), SEQUENCE),
    "rnn": (lambda: nn.RNN(4, 3, rng=0), SEQUENCE),
    "rnn-relu": (lambda: nn.RNN(4, 3, 2, "relu", bidirectional=True, rng=0), SEQUENCE),
    "softmax": (lambda: nn.Softmax(), ROWS),
    "softmax-axis": (lambda: nn.Softmax(axis=1), IMAGE),
    "log-softmax": (lambda: nn.LogSoftmax(), ROWS),
    "log-softmax-axis": (lambda: nn.LogSoftmax(axis=0), ROWS),
    "attention": (lambda: nn.MultiheadAttention(6, 3, batch_first=True, rng=0), TOKENS),
    "attention-causal": (lambda: nn.MultiheadAttention(6, 2, bias=False, causal=True), TOKENS),
    "encoder": (lambda: encoder(activation="gelu", dropout=0.3, batch_first=True), TOKENS),
    "encoder-pre": (lambda: encoder(norm_first=True, dropout=0.0, causal=True), TOKENS),
    "encoder-eval": (lambda: encoder(norm_first=True).eval(), TOKENS),
    "sequential": (lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2), rng=0), ROWS),
    "empty": (lambda: nn.Sequential(), ROWS),
}


def encoder(**options):
    return nn.TransformerEncoderLayer(6, 2, 8, **options, rng=0)


every_layer = pytest.mark.parametrize("name", LAYERS)


def build(name, dtype=np.float32):
    make, shape = LAYERS[name]
    return make().astype(dtype), np.random.default_rng(1).standard_normal(shape).astype(dtype)


@every_layer
def test_gradients(name, backend):
    layer, x = build(name, np.float64)
    if "eval" in name and hasattr(layer, "running_var"):
        layer.running_mean += 0.3
        layer.running_var *= 1.7
    check_gradients(layer, x)


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_inputs_are_not_changed(name, dtype, backend):
    layer, x = build(name, dtype)
    before = x.copy()
    y = layer(x)
    dout = np.ones_like(y)
    dx = layer.backward(dout, needs_dx=True)
    assert y.dtype == dx.dtype == dtype and dx.shape == x.shape
    assert all(a.dtype == dtype for a in (*layer.params.values(), *layer.grads.values()))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(dout, np.ones_like(y))


@every_layer
def test_one_backward_for_each_forward(name, backend):
    layer, x = build(name)
    message = f"{type(layer).__name__}.backward: call forward first"
    with pytest.raises(RuntimeError, match=message):
        layer.backward(x)
    y = layer(x)
    layer.backward(y, needs_dx=True)
    with pytest.raises(RuntimeError, match=message):
        layer.backward(y)


@every_layer
def test_input_gradient_only_on_demand(name, backend):
    layer, x = build(name)
    other = copy.deepcopy(layer)
    y = layer(x)
    assert layer.backward(y, needs_dx=False) is None
    other(x)
    assert other.backward(y, needs_dx=True).shape == x.shape
    for key, grad in layer.grads.items():
        np.testing.assert_array_equal(grad, other.grads[key])


@every_layer
def test_state_round_trip(name, backend):
    layer, x = build(name)
    layer(x)  # moves running statistics and counters
    state = layer.state_dict()
    other, _ = build(name)
    held = other._state()
    for array in held.values():
        array[...] = 7
    other.load_state_dict(state)
    assert all(other._state()[key] is array for key, array in held.items())  # in place
    np.testing.assert_array_equal(layer(x), other(x))


@every_layer
def test_repr_and_copy(name):
    layer, x = build(name)
    assert repr(layer).startswith(type(layer).__name__ + "(")
    np.testing.assert_array_equal(copy.deepcopy(layer)(x), layer(x))


@every_layer
def test_any_strides(name, backend):
    layer, x = build(name)
    other = copy.deepcopy(layer)
    y, again = layer(x), other(np.asfortranarray(x))
    np.testing.assert_allclose(again, y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        other.backward(np.asfortranarray(y), True), layer.backward(y, True), rtol=1e-5, atol=1e-6
    )


def test_reprs():
    assert repr(nn.Linear(3, 4, bias=False, activation="relu")) == (
        "Linear(3, 4, bias=False, activation='relu')"
    )
    assert repr(nn.Conv2d(2, 4, (3, 5), padding=1, groups=2)) == (
        "Conv2d(2, 4, (3, 5), padding=1, groups=2)"
    )
    assert repr(nn.LSTM(3, 4, 2, bias=False, dropout=0.5)) == (
        "LSTM(3, 4, num_layers=2, bias=False, dropout=0.5)"
    )
    assert repr(nn.RNN(3, 4, 1, "relu", stateful=True)) == (
        "RNN(3, 4, stateful=True, nonlinearity='relu')"
    )
    assert repr(nn.Conv2d(2, 4, 3)) == "Conv2d(2, 4, 3)"
    assert repr(nn.Softmax()) == "Softmax()" and repr(nn.Softmax(0)) == "Softmax(axis=0)"
    assert (
        repr(nn.LogSoftmax()) == "LogSoftmax()" and repr(nn.LogSoftmax(1)) == "LogSoftmax(axis=1)"
    )
    assert repr(nn.MaxPool2d(3, 2)) == "MaxPool2d(3, stride=2)"
    assert repr(nn.GELU()) == "GELU()" and "tanh" in repr(nn.GELU("tanh"))
    assert repr(nn.BatchNorm1d(3, eps=0.1)) == "BatchNorm1d(3, eps=0.1)"
    assert repr(nn.BatchNorm2d(3, affine=False, activation="relu")) == (
        "BatchNorm2d(3, affine=False, activation='relu')"
    )
    assert repr(nn.LayerNorm(3, eps=0.1, bias=False)) == "LayerNorm(3, eps=0.1, bias=False)"
    assert repr(nn.LayerNorm((2, 3), elementwise_affine=False)) == (
        "LayerNorm((2, 3), elementwise_affine=False)"
    )
    assert repr(nn.Sequential(nn.ReLU())) == "Sequential(\n  (0): ReLU()\n)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(0, 3), ValueError, "in_features must be at least 1, got 0"),
        (lambda: nn.Linear(3, 2.5), TypeError, "out_features must be an integer, got 2.5"),
        (lambda: nn.Linear(3, 3, activation="gelu"), ValueError, "activation must be one of"),
        (lambda: nn.Linear(3, 3, init="he"), ValueError, "init must be one of"),
        (lambda: nn.Linear(3, 3, dtype=np.int64), TypeError, "dtype must be float32 or float64"),
        (lambda: nn.Conv2d(3, 3, 0), ValueError, "kernel_size must be at least 1"),
        (lambda: nn.Conv2d(3, 3, (1, 2, 3)), ValueError, "kernel_size must be an integer or a"),
        (lambda: nn.Conv2d(3, 3, 3, padding=-1), ValueError, "padding must be at least 0"),
        (lambda: nn.Conv2d(3, 3, 3, stride="2"), TypeError, "stride must be an integer"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "groups must divide in_channels=3"),
        (lambda: nn.MaxPool2d(3, padding=2), ValueError, "padding must be at most half"),
        (lambda: nn.MaxPool2d(3, padding=-1), ValueError, "padding must be at least 0"),
        (lambda: nn.AvgPool2d(2, stride=0), ValueError, "stride must be at least 1"),
        (lambda: nn.BatchNorm2d(-1), ValueError, "num_features must be at least 1"),
        (lambda: nn.BatchNorm1d(3, momentum=1.5), ValueError, "momentum must be finite"),
        (lambda: nn.BatchNorm1d(3, eps="x"), TypeError, "eps must be a number"),
        (lambda: nn.BatchNorm1d(3, activation="tanh"), ValueError, "activation must be one of"),
        (
            lambda: nn.BatchNorm1d(3)(np.ones((2, 4), "f")),
            ValueError,
            r"x must have shape \(N, 3\)",
        ),
        (
            lambda: nn.BatchNorm2d(3)(np.ones((2, 3), "f")),
            ValueError,
            r"x must have shape \(N, 3, H",
        ),
        (lambda: nn.LayerNorm(0), ValueError, "normalized_shape must be at least 1"),
        (lambda: nn.LayerNorm((3, 2.5)), TypeError, "normalized_shape must be an integer"),
        (lambda: nn.LayerNorm(()), ValueError, "normalized_shape must have at least one"),
        (lambda: nn.LayerNorm(3, eps=-1), ValueError, "eps must be finite, at least 0"),
        (
            lambda: nn.LayerNorm((2, 3))(np.ones((4, 3, 2), "f")),
            ValueError,
            r"x must have shape \(..., 2, 3\) for LayerNorm, got \(4, 3, 2\)",
        ),
        (lambda: nn.LSTM(0, 3), ValueError, "input_size must be at least 1, got 0"),
        (lambda: nn.GRU(3, 2.5), TypeError, "hidden_size must be an integer, got 2.5"),
        (lambda: nn.LSTM(3, 3, num_layers=0), ValueError, "num_layers must be at least 1"),
        (lambda: nn.LSTM(3, 3, dropout=1), ValueError, "dropout must be finite, at least 0 and"),
        (lambda: nn.LSTM(3, 3, init="he"), ValueError, "init must be one of"),
        (lambda: nn.RNN(3, 3, nonlinearity="gelu"), ValueError, "nonlinearity must be one of"),
        (lambda: nn.Dropout(1.0), ValueError, "p must be finite, at least 0 and below 1"),
        (lambda: nn.Dropout(-0.1), ValueError, "p must be finite, at least 0"),
        (lambda: nn.Dropout(float("nan")), ValueError, "p must be finite"),
        (lambda: nn.LeakyReLU(-1), ValueError, "negative_slope must be finite, at least 0"),
        (lambda: nn.GELU("erf"), ValueError, "approximate must be one of 'none', 'tanh'"),
        (lambda: nn.Softmax(axis=0.5), TypeError, "integer"),
        (lambda: nn.Flatten()(np.float32(1)), ValueError, "x must have at least 1 dimension"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, "layer must be an nnfast Layer, got type"),
        (lambda: nn.Layer().forward(1), NotImplementedError, "Layer defines no forward"),
        (lambda: nn.Layer().backward(1), NotImplementedError, "Layer defines no backward"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "name",
    ["linear", "conv", "batch-norm-1d", "batch-norm-eval", "layer-norm", "lstm", "gru", "rnn"],
)
def test_a_float64_input_does_not_turn_a_float32_layer_into_float64(name, backend):
    layer, x = build(name)
    with pytest.raises(TypeError, match="x must be float32, as the weights of"):
        layer(x.astype(np.float64))
    assert layer(x.astype(np.float16)).dtype == np.float32
    assert layer.astype(np.float64)(x).dtype == np.float64  # nothing is lost this way


@pytest.mark.parametrize(
    ("layer", "shape", "wrong"),
    [
        (lambda: nn.LayerNorm(4), (5, 4), (4, 5)),
        (lambda: nn.LayerNorm((2, 2)), (3, 2, 2), (3, 4)),
        (lambda: nn.Flatten(), (6, 2, 3), (4, 9)),
        (lambda: nn.BatchNorm1d(2), (6, 2, 3), (6, 2, 2)),
        (lambda: nn.Dropout(rng=0), (2, 3), (3, 2)),
        (lambda: nn.Dropout().eval(), (2, 3), ()),
        (lambda: nn.MultiheadAttention(4, 2, rng=0), (3, 2, 4), (2, 3, 4)),
        (lambda: nn.MultiheadAttention(4, 2, rng=0), (3, 2, 4), ()),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8, rng=0), (3, 2, 4), (4,)),
    ],
)
def test_a_gradient_of_another_shape_is_refused(layer, shape, wrong, backend):
    layer = layer()
    y = layer(np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=f"dout must have shape {re.escape(str(y.shape))}, as y"):
        layer.backward(np.ones(wrong, np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(10, 3)(np.ones((2, 11))), "x must have shape (..., 10) for Linear"),
        (lambda: nn.Conv2d(3, 4, 3)(np.ones((1, 8, 8, 3))), "x must have shape (N, 3, H, W) for C"),
        (lambda: nn.Conv2d(3, 4, 5)(np.ones((1, 3, 4, 9))), "weight"),  # larger than the image
        (lambda: nn.Conv2d(3, 4, 5)(np.ones(3)), "x must have"),
        (
            lambda: nn.TransformerEncoderLayer(8, 2)(np.ones((5, 3, 7))),
            "x must have shape (T, N, 8) for TransformerEncoderLayer, got (5, 3, 7)",
        ),
        (
            lambda: nn.TransformerEncoderLayer(8, 2)(np.ones(8)),
            "x must have shape (T, N, 8) for TransformerEncoderLayer, got (8,)",
        ),
    ],
)
def test_an_input_of_another_shape_is_named(call, message, backend):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.LayerNorm(2),
        lambda: nn.BatchNorm1d(2),
        lambda: nn.Flatten(),
        lambda: nn.LSTM(2, 3),
        lambda: nn.MultiheadAttention(2, 1),
        lambda: nn.TransformerEncoderLayer(2, 1),
        lambda: nn.Linear(2, 3),
    ],
)
def test_what_is_no_array_is_named(layer, backend):
    with pytest.raises(ValueError, match="x cannot be made an array"):
        layer()([[1.0, 2.0], [1.0]])
    with pytest.raises(TypeError, match=r"x must be an? (NumPy )?array.*, got None"):
        layer()(None)


@pytest.mark.parametrize("shape", [(3,), (2, 5), (0, 2, 3), (2, 0, 3)])
def test_flatten_keeps_the_first_axis_whatever_follows(shape, backend):
    layer, x = nn.Flatten(), np.ones(shape, np.float32)
    y = layer(x)
    assert y.shape == (shape[0], int(np.prod(shape[1:])))
    assert layer.backward(y).shape == shape


TORCH_DEFAULTS = ["Linear", "Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "BatchNorm1d"]
TORCH_DEFAULTS += ["BatchNorm2d", "LayerNorm", "LeakyReLU", "GELU", "Dropout", "Embedding", "LSTM"]
TORCH_DEFAULTS += ["GRU", "RNN", "MultiheadAttention", "TransformerEncoderLayer"]
TORCH_DEFAULTS += ["CrossEntropyLoss", "MSELoss"]


@pytest.mark.parametrize("name", TORCH_DEFAULTS)
def test_defaults_are_those_of_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.nn, name)
    bases = [base for base in theirs.__mro__ if "__init__" in vars(base)]
    defaults = {}
    for base in bases[:2]:  # those of LSTM are in its base
        for p in inspect.signature(base.__init__).parameters.values():
            defaults.setdefault(p.name, p.default)
    compared = 0
    for p in inspect.signature(getattr(nn, name).__init__).parameters.values():
        if p.name in defaults.keys() - {"self", "dtype", "activation"}:
            usual = defaults[p.name]
            if usual is not inspect.Parameter.empty and p.default is not inspect.Parameter.empty:
                assert p.default == usual, p.name
                compared += 1
    assert compared
