"""LSTM, GRU and RNN as layers: those of PyTorch, and their state between calls."""

import copy

import numpy as np
import pytest
from numeric import assert_gradient, normal

import nnfast as nn

KINDS = {"LSTM": 2, "GRU": 1, "RNN": 1}  # how many arrays make up a state
every_kind = pytest.mark.parametrize("kind", KINDS)
OPTIONS = {
    "plain": {},
    "layers": {"num_layers": 3},
    "no-bias": {"bias": False},
    "both-ways": {"bidirectional": True, "num_layers": 2},
    "batch-first": {"batch_first": True, "bidirectional": True},
}


def build(kind, *sizes, **options):
    return getattr(nn, kind)(*sizes or (4, 3), **{"rng": 0, "dtype": np.float64} | options)


def state_of(kind, shape, seed=5):
    """A state, or the gradient of one."""
    parts = tuple(normal(shape, seed=seed + i) for i in range(KINDS[kind]))
    return parts if len(parts) > 1 else parts[0]


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def index(state, what):
    """The same part of every array of a state."""
    chosen = tuple(array[what] for array in parts(state))
    return chosen if len(chosen) > 1 else chosen[0]


@every_kind
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("training", [True, False])
def test_as_in_torch(kind, options, training, backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    theirs = getattr(torch.nn, kind)(5, 7, **options).double()
    ours = build(kind, 5, 7, **options).train(training)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x, batch = normal((4, 6, 5)), 4 if "batch_first" in options else 6
    first = state_of(kind, (count, batch, 7))
    tx, *tfirst = (torch.tensor(array, requires_grad=True) for array in (x, *parts(first)))
    ty, tlast = theirs(tx, tuple(tfirst) if len(tfirst) > 1 else tfirst[0])
    y = ours(x, first)
    np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-12, atol=1e-13)
    for got, expected in zip(parts(ours.state), parts(tlast), strict=True):
        np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    dy, dlast = normal(y.shape, seed=8), state_of(kind, (count, batch, 7), seed=9)
    gradients = [torch.tensor(array) for array in (dy, *parts(dlast))]
    torch.autograd.backward([ty, *parts(tlast)], gradients)
    dx = ours.backward(dy, dstate=dlast)
    for got, expected in zip((dx, *parts(ours.dstate)), (tx, *tfirst), strict=True):
        np.testing.assert_allclose(got, expected.grad.numpy(), rtol=1e-10, atol=1e-12)
    for name, parameter in theirs.named_parameters():
        got = ours.grads[name]
        np.testing.assert_allclose(got, parameter.grad.numpy(), rtol=1e-10, atol=1e-12)


@every_kind
def test_a_sequence_in_pieces(kind, backend):
    whole, by_hand, stateful = build(kind), build(kind), build(kind, stateful=True)
    x, state = normal((7, 2, 4)), None
    y = whole(x)
    for piece in (slice(0, 3), slice(3, 4), slice(4, 7)):
        np.testing.assert_array_equal(by_hand(x[piece], state), y[piece])
        np.testing.assert_array_equal(stateful(x[piece]), y[piece])
        state = by_hand.state
    for layer in (by_hand, stateful):
        for got, expected in zip(parts(layer.state), parts(whole.state), strict=True):
            np.testing.assert_array_equal(got, expected)
    stateful.state = None
    np.testing.assert_array_equal(stateful(x), y)
    np.testing.assert_array_equal(whole(x), y)  # begins anew by itself


@every_kind
def test_a_stateful_layer_within_a_model(kind, backend):
    model = nn.Sequential(build(kind, stateful=True, rng=None), nn.Tanh(), rng=0)
    x = normal((4, 2, 4))
    first, second = model(x), model(x)
    assert not np.array_equal(first, second)
    dout = np.ones_like(second)
    assert model.backward(dout, needs_dx=True).shape == x.shape
    model[0].state = None
    np.testing.assert_array_equal(model(x), first)
    with pytest.raises(ValueError, match="set state = None to begin anew"):
        model(x[:, :1])


@every_kind
def test_training_on_the_last_state_alone(kind, backend):
    """An encoder hands its state to a decoder, and gets its gradient back."""
    encoder, decoder = build(kind), build(kind, 2, 3, rng=1)
    x, target, dy = normal((5, 2, 4)), normal((3, 2, 2), seed=1), normal((3, 2, 3), seed=2)

    def decode(x):
        encoder(x)
        return decoder(target, encoder.state)

    decode(x)
    decoder.backward(dy)
    dx = encoder.backward(None, dstate=decoder.dstate)
    assert_gradient(dx, decode, x, dy)
    gradient, weight = encoder.weight_hh_l0.grad, encoder.weight_hh_l0.data

    def with_weight(value):
        encoder.weight_hh_l0.data = value
        return decode(x)

    assert_gradient(gradient, with_weight, weight, dy)


def test_a_part_of_the_state_may_have_no_gradient(backend):
    layer, x, dh = build("LSTM"), normal((3, 2, 4)), normal((1, 2, 3))
    layer(x)
    dx = layer.backward(None, dstate=(dh, None))
    y = layer(x)
    dy = np.zeros_like(y)
    dy[-1] = dh[0]
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-12)


@every_kind
def test_both_ways_are_two_layers(kind, backend):
    both, x = build(kind, bidirectional=True), normal((5, 2, 4))
    y = both(x)
    there, back = build(kind), build(kind)
    params = both.params
    there.load_state_dict({name: params[name] for name in there.params})
    back.load_state_dict({name: params[f"{name}_reverse"] for name in back.params})
    np.testing.assert_array_equal(y[..., :3], there(x))
    np.testing.assert_array_equal(y[..., 3:], back(x[::-1])[::-1])
    np.testing.assert_array_equal(index(both.state, slice(1)), there.state)
    np.testing.assert_array_equal(index(both.state, slice(1, 2)), back.state)


def test_dropout_between_layers_only(backend):
    layer, x = build("LSTM", 4, 50, num_layers=2, dropout=0.5), normal((5, 2, 4))
    lower, upper = build("LSTM", 4, 50), build("LSTM", 50, 50)
    lower.load_state_dict({name: layer.params[name] for name in lower.params})
    upper.load_state_dict({n: layer.params[n.replace("l0", "l1")] for n in upper.params})
    mask = copy.deepcopy(layer.dropouts[0])
    np.testing.assert_array_equal(layer(x), upper(mask(lower(x))))
    np.testing.assert_array_equal(layer.eval()(x), upper(lower(x)))
    assert not build("LSTM", dropout=0.5).dropouts


def test_gradients_of_frozen_weights_are_not_kept(backend):
    layer = build("LSTM")
    layer.weight_hh_l0.requires_grad = False
    layer.backward(layer(normal((3, 2, 4))))
    assert layer.grads["weight_hh_l0"] is None
    assert layer.grads["weight_ih_l0"] is not None


def test_the_biases_have_gradients_of_their_own(backend):
    """Equal as they are, one array for both would be clipped twice."""
    layer = build("LSTM")
    layer.backward(layer(normal((3, 2, 4))))
    grads = layer.grads
    np.testing.assert_array_equal(grads["bias_ih_l0"], grads["bias_hh_l0"])
    assert not np.shares_memory(grads["bias_ih_l0"], grads["bias_hh_l0"])


@every_kind
def test_weights_are_drawn_as_in_torch(kind):
    layer = build(kind, 10, 25, num_layers=2, bias=True)
    for name, array in layer.params.items():
        assert np.abs(array).max() <= 0.2, name
        assert np.abs(array).max() > 0.15, name
    own = build(kind, init="orthogonal", bias_init="zeros").params
    np.testing.assert_allclose(own["weight_hh_l0"].T @ own["weight_hh_l0"], np.eye(3), atol=1e-12)
    assert not own["bias_hh_l0"].any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build("LSTM")(normal((3, 4))), ValueError, r"x must have shape \(T, N, 4\)"),
        (lambda: build("LSTM")(normal((3, 2, 5))), ValueError, r"x must have shape \(T, N, 4\)"),
        (lambda: build("GRU")(normal((0, 2, 4))), ValueError, "at least one step for GRU"),
        (
            lambda: build("RNN", batch_first=True)(normal((2, 0, 4))),
            ValueError,
            r"x must have shape \(N, T, 4\) with at least one step",
        ),
        (lambda: with_state(normal((1, 2, 3))), ValueError, r"state must be \(h, c\), arrays of s"),
        (
            lambda: with_state((normal((1, 2, 3)), normal((2, 3)))),
            ValueError,
            r"state must be \(h, c\), arrays of shape \(1, 2, 3\), got \(1, 2, 3\), \(2, 3\)",
        ),
        (
            lambda: build("GRU")(normal((3, 2, 4)), normal((1, 3, 3))),
            ValueError,
            r"state must be an array of shape \(1, 2, 3\), got \(1, 3, 3\)",
        ),
        (
            lambda: build("GRU", dtype=np.float32)(normal((3, 2, 4), "f"), normal((1, 2, 3))),
            TypeError,
            "state must be float32, as the weights are, got float64",
        ),
        (lambda: back(dstate=normal((1, 2, 3))), ValueError, r"dstate must be \(h, c\)"),
        (lambda: back(dout=normal((3, 2, 4))), ValueError, r"dout must have shape \(3, 2, 3\)"),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match=message):
        call()


def with_state(state):
    return build("LSTM")(normal((3, 2, 4)), state)


def back(dout=None, dstate=None):
    layer = build("LSTM")
    layer(normal((3, 2, 4)))
    layer.backward(dout, dstate=dstate)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_carried_state_follows_its_layer_to_another_precision(kind, backend):
    layer = kind(3, 4, stateful=True, rng=0, dtype=np.float64)
    layer(np.ones((2, 1, 3)))
    y = layer.astype(np.float32)(np.ones((2, 1, 3), np.float32))
    assert y.dtype == np.float32


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_carried_state_of_higher_precision_is_refused(kind, backend):
    layer, x = kind(3, 4, stateful=True, rng=0), np.ones((2, 1, 3), np.float32)
    layer(x)
    layer.state = tuple(np.float64(layer.state)) if kind is nn.LSTM else np.float64(layer.state)
    with pytest.raises(TypeError, match="state must be float32, as the weights are, got float64"):
        layer(x)
