"""Attention and the encoder block as layers: two sequences, masks, layouts, PyTorch's weights."""

import copy

import numpy as np
import pytest
from numeric import normal

import nnfast as nn
from nnfast import functional as F
from nnfast.testing import check_gradients

OPTIONS = {"batch_first": True, "rng": 0, "dtype": np.float64}


def attention(**options):
    return nn.MultiheadAttention(6, 2, **(OPTIONS | options))


def encoder(**options):
    return nn.TransformerEncoderLayer(6, 2, 8, **(OPTIONS | {"dropout": 0.0} | options))


@pytest.mark.parametrize("bias", [True, False])
def test_attention_is_three_projections_attention_and_one_more(bias, backend):
    layer, x, source = (
        attention(bias=bias, bias_init="normal"),
        normal((2, 4, 6)),
        normal((2, 5, 6)),
    )
    weights = layer.in_proj_weight.data.reshape(3, 6, 6)
    biases = layer.in_proj_bias.data.reshape(3, 6) if bias else [None] * 3
    for other in (None, source):
        keys = x if other is None else other
        q, k, v = (
            F.linear(t, w, b) for t, w, b in zip((x, keys, keys), weights, biases, strict=True)
        )
        y = layer.out_proj(F.attention(q, k, v, 2)[0])
        np.testing.assert_allclose(layer(x, other), y, rtol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_gradients_of_both_sequences(batch_first, causal, backend):
    layer = attention(batch_first=batch_first, causal=causal, bias_init="normal")
    x, source = normal((3, 4, 6)), normal((3, 5, 6) if batch_first else (5, 4, 6), seed=1)
    mask = normal((3 if batch_first else 4, 1, 1, 5), seed=2) > -1
    check_gradients(layer, x, source, mask)

    def forward(source):
        return layer(x, source, mask)

    def backward(dout, source):
        forward(source)
        layer.backward(dout)
        return layer.dsource

    check_gradients((forward, backward), source)


def test_a_sequence_may_be_its_own_source(backend):
    layer, x, dout = attention(bias_init="normal"), normal((2, 4, 6)), normal((2, 4, 6), seed=1)
    y, dx = layer(x), layer.backward(dout)
    grads = {name: grad.copy() for name, grad in layer.grads.items()}
    assert layer.dsource is None
    np.testing.assert_allclose(layer(x, x), y, rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dout) + layer.dsource, dx, rtol=1e-10)
    for name, grad in layer.grads.items():
        np.testing.assert_allclose(grad, grads[name], rtol=1e-10, atol=1e-12)


def test_input_gradients_of_two_sequences_only_on_demand(backend):
    layer = attention()
    layer(normal((2, 4, 6)), normal((2, 5, 6)))
    assert layer.backward(normal((2, 4, 6)), needs_dx=False) is None
    assert layer.dsource is None
    assert layer.in_proj_weight.grad.shape == (18, 6)


def test_padding_does_not_matter(backend):
    x, keep = normal((2, 5, 6)), np.array([[True] * 5, [True] * 3 + [False] * 2])
    other = np.where(keep[..., np.newaxis], x, 7.0)
    for layer in (attention(), encoder(), encoder(norm_first=True)):
        y, dout = layer(x, mask=keep[:, None, None]), normal((2, 5, 6), seed=1)
        np.testing.assert_array_equal(layer(other, mask=keep[:, None, None])[keep], y[keep])
        dx = layer.backward(np.where(keep[..., np.newaxis], dout, 0))
        assert not dx[~keep].any()
        short = layer(x[1:, :3])
        np.testing.assert_allclose(short[0], y[1, :3], rtol=1e-10)


@pytest.mark.parametrize("make", [attention, encoder])
def test_layouts_differ_in_the_order_of_axes_alone(make, backend):
    first, last = make(batch_first=True), make(batch_first=False)
    x, dout = normal((2, 4, 6)), normal((2, 4, 6), seed=1)
    y, dx = first(x), first.backward(dout)
    np.testing.assert_array_equal(last(x.swapaxes(0, 1)), y.swapaxes(0, 1))
    np.testing.assert_array_equal(last.backward(dout.swapaxes(0, 1)), dx.swapaxes(0, 1))
    for name, grad in first.grads.items():
        np.testing.assert_array_equal(grad, last.grads[name])


@pytest.mark.parametrize("make", [attention, encoder])
def test_causal_layers_do_not_look_ahead(make, backend):
    layer, x = make(causal=True), normal((2, 5, 6))
    y = layer(x)
    x[:, 3:] += 1
    again = layer(x)
    np.testing.assert_array_equal(again[:, :3], y[:, :3])
    assert np.all(np.any(again[:, 3:] != y[:, 3:], axis=2))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_gradients_with_dropout_and_mask(activation, norm_first, backend):
    layer = encoder(activation=activation, norm_first=norm_first, dropout=0.4)
    check_gradients(layer, normal((2, 5, 6)), normal((5, 5), seed=1) > -0.5)


def test_dropout_acts_in_training_alone(backend):
    layer, x = encoder(dropout=0.5), normal((2, 5, 6))
    assert not np.array_equal(layer(x), layer(x))
    plain = encoder(dropout=0.0)
    np.testing.assert_array_equal(layer.eval()(x), plain(x))
    assert [p for p in (plain.dropout, plain.dropout1, plain.dropout2) if p is not None] == []


def test_stack_in_a_sequential_learns(backend):
    layers = [nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True) for _ in range(2)]
    model = nn.Sequential(*layers, nn.Linear(6, 3), rng=0)
    x, target = normal((4, 5, 6), np.float32), np.arange(20) % 3
    loss, optimizer = nn.CrossEntropyLoss(), nn.optim.Adam(model.parameters(), lr=0.01)
    values = []
    for _ in range(30):
        values.append(loss(model(x).reshape(20, 3), target))
        model.backward(loss.backward().reshape(4, 5, 3))
        optimizer.step()
    assert values[-1] < 0.5 * values[0]


def test_names_are_those_of_pytorch():
    names = ["self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight"]
    names += ["self_attn.out_proj.bias", "linear1.weight", "linear1.bias", "linear2.weight"]
    names += ["linear2.bias", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"]
    assert list(encoder().params) == names


def test_repr():
    assert repr(attention(bias=False)) == (
        "MultiheadAttention(\n  6, 2, bias=False, batch_first=True\n"
        "  (out_proj): Linear(6, 6, bias=False)\n)"
    )
    assert repr(encoder(norm_first=True)).splitlines()[1] == "  batch_first=True, norm_first=True"


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_encoder_against_pytorch(activation, norm_first, batch_first, backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    options = {"norm_first": norm_first, "batch_first": batch_first, "activation": activation}
    theirs = torch.nn.TransformerEncoderLayer(6, 2, 8, 0.0, **options, dtype=torch.float64)
    ours = encoder(**options)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    x, dout = normal((3, 4, 6)), normal((3, 4, 6), seed=1)
    keep = normal((3 if batch_first else 4, 4 if batch_first else 3), seed=2) > -1
    inputs = torch.tensor(x, requires_grad=True)
    result = theirs(inputs, src_key_padding_mask=torch.tensor(~keep))
    result.backward(torch.tensor(dout))
    np.testing.assert_allclose(ours(x, keep[:, None, None]), result.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours.backward(dout), inputs.grad.numpy(), rtol=1e-7, atol=1e-10)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(ours.grads[name], parameter.grad, rtol=1e-7, atol=1e-10)


def test_cross_attention_against_pytorch(backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    ours = attention()
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    x, source, dout = normal((2, 4, 6)), normal((2, 5, 6), seed=1), normal((2, 4, 6), seed=2)
    mask = normal((4, 5), seed=3)
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, source)]
    result, _ = theirs(inputs[0], inputs[1], inputs[1], attn_mask=torch.tensor(mask))
    result.backward(torch.tensor(dout))
    np.testing.assert_allclose(ours(x, source, mask), result.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours.backward(dout), inputs[0].grad.numpy(), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.dsource, inputs[1].grad.numpy(), rtol=1e-8, atol=1e-12)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(ours.grads[name], parameter.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "num_heads must divide embed_dim=6, got"),
        (lambda: nn.MultiheadAttention(0, 1), ValueError, "embed_dim must be at least 1"),
        (lambda: nn.MultiheadAttention(6, 0), ValueError, "num_heads must be at least 1"),
        (lambda: nn.MultiheadAttention(6, 2, init="none such"), ValueError, "init must be one of"),
        (lambda: attention()(normal((4, 6))), ValueError, r"x must have shape \(N, T, 6\)"),
        (lambda: attention()(normal((2, 4, 5))), ValueError, r"x must have shape \(N, T, 6\)"),
        (
            lambda: attention(batch_first=False)(normal((2, 4, 6)), normal((2, 4, 5))),
            ValueError,
            r"source must have shape \(T, N, 6\) for MultiheadAttention, got \(2, 4, 5\)",
        ),
        (lambda: attention()(normal((2, 4, 6)), normal((3, 4, 6))), ValueError, "must have shape"),
        (lambda: attention()(normal((2, 4, 6)), mask=np.ones(4, int)), TypeError, "mask must hold"),
        (lambda: attention()(normal((2, 4, 6)), mask=np.ones(3, bool)), ValueError, "mask must"),
        (
            lambda: encoder(activation="tanh"),
            ValueError,
            "activation must be one of 'relu', 'gelu'",
        ),
        (lambda: encoder(dropout=1.0), ValueError, "dropout must be finite, at least 0 and below"),
        (lambda: nn.TransformerEncoderLayer(6, 2, 0), ValueError, "out_features must be at least"),
        (lambda: encoder()(normal((2, 4, 5))), ValueError, "x must have shape"),
        (
            lambda: attention(dtype=np.float32)(normal((2, 4, 6))),
            TypeError,
            "x must be float32, as the weights of MultiheadAttention are",
        ),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match=message):
        call()


def test_inputs_and_gradients_are_left_alone(backend):
    for layer in (attention(), encoder(), encoder(norm_first=True), encoder(dropout=0.2).eval()):
        x, dout = normal((2, 4, 6)), normal((2, 4, 6), seed=1)
        kept = copy.deepcopy((x, dout))
        layer(x)
        layer.backward(dout)
        np.testing.assert_array_equal((x, dout), kept)


def test_the_initialiser_is_that_of_all_projections():
    layer = nn.MultiheadAttention(64, 2, rng=0)
    bounds = {"in_proj_weight": (6 / (64 + 192)) ** 0.5, "out_proj.weight": (6 / (64 + 64)) ** 0.5}
    for name, bound in bounds.items():
        assert 0.99 * bound < np.abs(layer.params[name]).max() <= bound, name
    for layer in (nn.MultiheadAttention(4, 2, init="ones"), encoder(init="ones")):
        matrices = [data for data in layer.params.values() if data.ndim == 2]
        assert len(matrices) in (2, 4) and all((data == 1).all() for data in matrices)
    layer = nn.MultiheadAttention(4, 2, bias_init="ones")
    assert layer.in_proj_bias.data.min() == layer.out_proj.bias.data.min() == 1
