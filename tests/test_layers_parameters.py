"""Parameters, and what a layer does with them: names, seeds, precision, state."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nnfast as nn


class Residual(nn.Layer):
    """A composite layer with a list of layers and a branch."""

    def __init__(self):
        self.blocks = [nn.Linear(3, 3, activation="tanh"), nn.Linear(3, 3)]
        self.norm = nn.BatchNorm1d(3)
        self.scale = nn.Parameter(np.ones(3, np.float32), name="scale")

    def forward(self, x):
        y = self.norm(self.blocks[1](self.blocks[0](x)))
        self._saved = y
        return x + self.scale.expect() * y

    def backward(self, dout, needs_dx=True):
        y = self._take()
        self.scale.collect(np.sum(dout * y, axis=0))
        dy = self.norm.backward(dout * self.scale.data)
        return dout + self.blocks[0].backward(self.blocks[1].backward(dy))


NAMES = ["scale", "blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias"]


def test_composite_layer_finds_its_parameters_and_has_right_gradients():
    layer = Residual().seed(0)
    assert [name for name, _ in layer.named_parameters()] == [*NAMES, "norm.weight", "norm.bias"]
    assert len(list(layer.parameters())) == 7
    nn.testing.check_gradients(layer, np.random.default_rng(0).standard_normal((4, 3)))
    assert "(blocks.1): Linear(3, 3)" in repr(layer)


def test_train_and_eval_reach_every_layer():
    model = nn.Sequential(Residual(), nn.Sequential(nn.Dropout()))
    assert model.eval() is model
    assert not any(layer.training for _, layer in model.named_layers())
    model.train()
    assert all(layer.training for _, layer in model.named_layers())


def test_params_and_grads_are_views():
    layer = nn.Linear(2, 2, rng=0)
    assert layer.grads == {"weight": None, "bias": None}
    assert layer.params["weight"] is layer.weight.data
    layer.backward(layer(np.ones((1, 2), np.float32)))
    assert layer.grads["weight"] is layer.weight.grad is not None
    layer.zero_grad()
    assert layer.grads == {"weight": None, "bias": None}


def test_gradient_is_that_of_the_latest_pass():
    layer, x = nn.Linear(2, 3, rng=0), np.ones((4, 2), np.float32)
    layer(x)
    layer.backward(np.ones((4, 3), np.float32))
    first = layer.weight.grad.copy()
    layer(x)
    layer.backward(np.ones((4, 3), np.float32))
    np.testing.assert_array_equal(layer.weight.grad, first)


def test_shared_parameter_gets_the_sum_of_its_gradients():
    first, second = nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1)
    second.weight = first.weight
    model = nn.Sequential(first, nn.Tanh(), second)
    nn.testing.check_gradients(model[2], np.ones((1, 3)))  # alone it is an ordinary layer
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)

    def objective(weight):
        first.astype(np.float64)
        second.astype(np.float64)
        first.weight.data = weight
        return np.sum(model(x.astype(np.float64)))

    for _ in range(2):  # the second pass must not add to the first
        y = model(x)
        model.backward(np.ones_like(y))
    got = first.weight.grad
    expected = nn.testing.numerical_gradient(objective, first.weight.data)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_frozen_parameter_keeps_no_gradient():
    layer = nn.Linear(2, 2, rng=0)
    layer.weight.requires_grad = False
    layer.backward(layer(np.ones((1, 2), np.float32)))
    assert layer.weight.grad is None and layer.bias.grad is not None
    assert "frozen" in repr(layer.weight)


def test_weights_are_drawn_in_order_from_one_generator():
    rng = np.random.default_rng(5)
    by_hand = [nn.Linear(4, 3, rng=rng), nn.Linear(3, 2, rng=rng)]
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 2)), rng=5)
    np.testing.assert_array_equal(model[0].weight.data, by_hand[0].weight.data)
    np.testing.assert_array_equal(model[1][0].weight.data, by_hand[1].weight.data)


def test_looking_draws_and_what_is_drawn_stays():
    layer = nn.Linear(4, 3)
    weight = layer.weight.data
    assert weight.std() > 0
    nn.Sequential(layer, rng=0)
    assert layer.weight.data is weight
    assert not np.array_equal(weight, nn.Linear(4, 3).weight.data)  # fresh generator each


def test_shape_and_dtype_are_known_before_the_weights_are_drawn():
    drawn = []

    def init(shape, rng, dtype):
        drawn.append(shape)
        return np.ones(shape, dtype)

    layer = nn.Linear(3, 2, init=init)
    assert repr(layer.weight) == "Parameter(weight, shape=(2, 3), dtype=float32)"
    layer.astype(np.float64)
    assert layer.weight.dtype == np.float64 and not drawn
    assert layer(np.ones((1, 3))).dtype == np.float64 and drawn == [(2, 3)]


def test_assigned_weights_are_not_drawn_over():
    layer = nn.Linear(2, 2)
    layer.weight.data = mine = np.eye(2, dtype=np.float32)
    nn.Sequential(layer, rng=0)
    assert layer.weight.data is mine and layer.weight.shape == (2, 2)


def test_own_initialiser():
    layer = nn.Linear(3, 2, init=lambda shape, rng, dtype: np.full(shape, 7), rng=0)
    assert layer.weight.data.dtype == np.float32 and layer.weight.data.min() == 7
    layer = nn.Linear(3, 2, init=lambda shape, rng, dtype: np.ones(3))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"init must return shape \(2, 3\), got \(3,\)"):
            _ = layer.weight.data


def test_both_precisions_get_the_same_weights():
    single, double = (
        nn.Sequential(nn.Linear(4, 3), rng=0, dtype=dtype) for dtype in (np.float32, np.float64)
    )
    assert double[0].weight.data.dtype == np.float64
    np.testing.assert_array_equal(single[0].weight.data, double[0].weight.data.astype(np.float32))


def test_parameter():
    p = nn.Parameter(np.arange(3.0), name="p")
    assert np.asarray(p) is p.data and np.array(p, copy=True) is not p.data
    assert np.sum(p) == 3.0
    assert repr(p) == "Parameter(p, shape=(3,), dtype=float64)"
    with pytest.raises(AttributeError, match="no attribute 'size'"):
        _ = p.size
    for bad in ([1.0], np.arange(3)):
        with pytest.raises(TypeError, match="data must be an array of float32 or float64"):
            nn.Parameter(bad)


def test_state_dict_is_a_copy_with_buffers():
    layer = nn.BatchNorm1d(3)
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    state["weight"][...] = 9
    assert layer.weight.data.tolist() == [1, 1, 1]


def test_load_state_dict_says_what_is_wrong_and_changes_nothing():
    layer = nn.Linear(3, 2, rng=0)
    before = layer.state_dict()
    state = {"weight": np.zeros((3, 2)), "kernel": np.zeros(3)}
    with pytest.raises(ValueError) as error:
        layer.load_state_dict(state)
    assert str(error.value) == (
        "state does not fit Linear: missing: bias; unexpected: kernel; "
        "weight must have shape (2, 3), got (3, 2)"
    )
    with pytest.raises(ValueError, match=r"Linear: weight must have shape \(2, 3\)"):
        layer.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match=r"state\['bias'\] must fit float32, got complex128"):
        layer.load_state_dict({"weight": np.zeros((2, 3)), "bias": np.zeros(2, complex)})
    with pytest.raises(TypeError, match="state must map names to arrays, got list"):
        layer.load_state_dict([("weight", np.zeros((2, 3)))])
    for name, array in before.items():
        np.testing.assert_array_equal(layer.params[name], array)


def test_load_state_dict_not_strict():
    layer = nn.Linear(3, 2, rng=0)
    weight = layer.weight.data
    result = layer.load_state_dict({"weight": np.ones((2, 3)), "other": 1}, strict=False)
    assert result.missing == ["bias"] and result.unexpected == ["other"]
    assert layer.weight.data is weight and weight.dtype == np.float32 and weight.min() == 1


def test_parameters_and_layers_in_containers_are_found():
    class Net(nn.Layer):
        def __init__(self):
            self.layers = {"first": nn.Linear(2, 3), "second": nn.Linear(3, 4)}
            self.scales = [nn.Parameter(np.ones(3, np.float32)), None]
            self.shift = {"b": nn.Parameter(np.zeros(4, np.float32))}

    net = Net().seed(0).eval()
    names = ["scales.0", "shift.b", "layers.first.weight", "layers.first.bias"]
    assert list(net.state_dict()) == [*names, "layers.second.weight", "layers.second.bias"]
    assert not net.layers["second"].training
    assert net.astype(np.float64).shift["b"].dtype == np.float64


def test_threads_that_share_a_new_layer_draw_the_same_weights():
    x = np.ones((1, 50), np.float32)
    for _ in range(20):
        layer, start = nn.Linear(50, 50), threading.Barrier(4)

        def call(layer=layer, start=start):
            start.wait()
            return layer.forward_fused(x, None)

        with ThreadPoolExecutor(4) as pool:
            first, *others = [future.result() for future in [pool.submit(call) for _ in range(4)]]
        for other in others:
            np.testing.assert_array_equal(other, first)


def test_weights_that_cannot_be_changed_in_place_are_refused():
    with pytest.raises(ValueError, match="data must be C-contiguous"):
        nn.Parameter(np.ones((2, 3), np.float32).T)


def test_a_state_that_is_no_array_is_named():
    layer = nn.Linear(2, 2, rng=0)
    with pytest.raises(ValueError, match=r"state\['weight'\] cannot be made an array"):
        layer.load_state_dict({"weight": [[1.0, 2.0], [3.0]], "bias": np.ones(2)})
    assert not layer.bias.data.any()


def test_a_gradient_that_is_a_number_becomes_an_array():
    p = nn.Parameter(np.ones((), np.float32))
    p.collect(np.sum(np.ones(3, np.float32)))
    assert type(p.grad) is np.ndarray and p.grad.shape == ()
    nn.optim.clip_grad_norm_([p], 1.0)
    assert p.grad == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (lambda: nn.LayerNorm(3), ["weight", "bias"]),
        (lambda: nn.LayerNorm(3, bias=False), ["weight"]),
        (lambda: nn.LayerNorm(3, elementwise_affine=False), []),
        (lambda: nn.BatchNorm1d(3, affine=False), []),
        (lambda: nn.Linear(3, 2, bias=False), ["weight"]),
        (lambda: nn.Conv2d(3, 2, 1, bias=False), ["weight"]),
        (lambda: nn.LSTM(3, 2, bias=False), ["weight_ih_l0", "weight_hh_l0"]),
        (lambda: nn.MultiheadAttention(2, 1, bias=False), ["in_proj_weight", "out_proj.weight"]),
        (
            lambda: nn.TransformerEncoderLayer(2, 1, 3, bias=False),
            [
                *("self_attn.in_proj_weight", "self_attn.out_proj.weight"),
                *("linear1.weight", "linear2.weight", "norm1.weight", "norm2.weight"),
            ],
        ),
    ],
)
def test_what_is_left_out_is_no_parameter(layer, names):
    assert list(layer().params) == names


SEEDED = {
    "linear": lambda **options: nn.Linear(3, 2, bias_init="normal", **options),
    "conv": lambda **options: nn.Conv2d(3, 2, 3, bias_init="normal", **options),
    "embedding": lambda **options: nn.Embedding(5, 3, padding_idx=1, **options),
    "lstm": lambda **options: nn.LSTM(3, 2, 2, dropout=0.5, **options),
    "attention": lambda **options: nn.MultiheadAttention(4, 2, bias_init="normal", **options),
    "encoder": lambda **options: nn.TransformerEncoderLayer(4, 2, 4, **options),
    "dropout": lambda **options: nn.Dropout(**options),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_decides_everything_that_is_drawn(name):
    make = SEEDED[name]
    alone, by_generator = make(rng=5).state_dict(), make(rng=np.random.default_rng(5)).state_dict()
    within = nn.Sequential(make(), rng=5)[0].state_dict()
    again = nn.Sequential(make(), rng=5)[0].state_dict()
    kept = nn.Sequential(make(rng=5), rng=6)[0].state_dict()  # what is drawn stays
    other = make(rng=6).state_dict()
    for key, array in alone.items():
        for same in (by_generator[key], kept[key]):
            np.testing.assert_array_equal(same, array)
        np.testing.assert_array_equal(within[key], again[key])
    assert any(not np.array_equal(other[key], array) for key, array in alone.items())
    drawn = [array.tobytes() for array in alone.values() if array.std() > 0]
    assert len(set(drawn)) == len(drawn)  # one generator draws all, not each the same
