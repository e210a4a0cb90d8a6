"""What ConvTranspose2d promises beyond what every layer does (test_layers.py)."""

import copy
import pickle

import numpy as np
import pytest
from kernel_checks import assert_same_bits
from numeric import normal

import nnfast as nn
from nnfast import init


def test_weights_of_torch_load_by_name():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    options = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 1}
    theirs = torch.nn.ConvTranspose2d(4, 6, 3, **options, dtype=torch.float64)
    ours = nn.ConvTranspose2d(4, 6, 3, **options, dtype=np.float64)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = normal((2, 4, 5, 6))
    given = torch.tensor(x, requires_grad=True)
    expected = theirs(given)
    y = ours(x)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    expected.backward(torch.tensor(y))
    np.testing.assert_allclose(ours.backward(y), given.grad.numpy(), rtol=1e-12, atol=1e-12)
    for name, parameter in theirs.named_parameters():
        ours_grad = getattr(ours, name).grad
        np.testing.assert_allclose(ours_grad, parameter.grad.numpy(), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("groups", [1, 3])
def test_initial_weights_are_those_of_a_convolution(groups):
    conv = nn.Conv2d(6, 9, (2, 3), groups=groups, rng=7)
    layer = nn.ConvTranspose2d(6, 9, (2, 3), groups=groups, rng=7)
    assert layer.weight.shape == (6, 9 // groups, 2, 3)
    for i in range(6):
        group, channel = divmod(i, 6 // groups)
        first = group * (9 // groups)
        ours, theirs = layer.weight.data[i], conv.weight.data[first : first + 9 // groups, channel]
        np.testing.assert_array_equal(ours, theirs)


def test_initialisers_by_name_and_of_ones_own():
    inputs = init.fans((8, 5, 3, 3))[0]
    weight = nn.ConvTranspose2d(5, 8, 3, init="he_uniform", rng=0).weight.data
    assert np.abs(weight).max() == pytest.approx(np.sqrt(6 / inputs), rel=0.05)
    layer = nn.ConvTranspose2d(2, 3, 2, init=lambda shape, rng, dtype: np.full(shape, 2, dtype))
    np.testing.assert_array_equal(layer.weight.data, np.full((2, 3, 2, 2), 2, np.float32))
    with pytest.raises(ValueError, match=r"init must return shape \(3, 2, 2, 2\), got \(3, 2\)"):
        nn.ConvTranspose2d(2, 3, 2, init=lambda shape, rng, dtype: np.ones((3, 2), dtype), rng=0)


def test_it_takes_a_strided_convolution_back_to_its_size():
    down = nn.Conv2d(1, 4, 3, stride=2, padding=1, rng=0)
    for size in (13, 14):
        up = nn.ConvTranspose2d(4, 1, 3, 2, 1, output_padding=(size + 1) % 2, rng=0)
        x = np.ones((1, 1, size, size), np.float32)
        assert up(down(x)).shape == x.shape


def test_in_a_sequential_its_relu_is_computed_with_it():
    layers = [nn.ConvTranspose2d(3, 4, 2, 2, rng=0), nn.ReLU(), nn.ConvTranspose2d(4, 2, 3, rng=1)]
    alone, x = copy.deepcopy(layers), normal((2, 3, 4, 5), np.float32)
    model = nn.Sequential(*layers)
    y, expected = model(x), alone[2](alone[1](alone[0](x)))
    assert_same_bits(y, expected)
    dx = model.backward(y, needs_dx=True)
    for layer in reversed(alone):
        expected = layer.backward(expected)
    assert_same_bits(dx, expected)
    assert_same_bits(layers[0].weight.grad, alone[0].weight.grad)
    assert_same_bits(model.eval()(x), y)


def test_copies_and_pickles_have_the_same_weights():
    layer = nn.ConvTranspose2d(3, 4, 2)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other.weight.data, layer.weight.data)


def test_it_describes_itself():
    layer = nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, (1, 2), "relu")
    assert repr(layer) == (
        "ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, dilation=(1, 2), "
        "groups=2, bias=False, activation='relu')"
    )
    assert repr(nn.ConvTranspose2d(4, 6, 3)) == "ConvTranspose2d(4, 6, 3)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 4}, "groups must divide in_channels=4 and out_channels=6, got 4"),
        ({"stride": 2, "output_padding": 2}, "output_padding must be smaller than stride=2, got 2"),
        ({"output_padding": -1}, "output_padding must be at least 0"),
        ({"kernel_size": 0}, "kernel_size must be at least 1"),
        ({"activation": "gelu"}, "activation must be one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.ConvTranspose2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **arguments})


def test_bad_inputs_are_named(backend):
    layer = nn.ConvTranspose2d(4, 6, 3, padding=3, rng=0)
    with pytest.raises(ValueError, match=r"x must have shape \(N, 4, H, W\) for ConvTranspose2d"):
        layer(np.ones((1, 3, 5, 5), np.float32))
    with pytest.raises(ValueError, match="leaves nothing"):
        layer(np.ones((1, 4, 2, 5), np.float32))
    with pytest.raises(TypeError, match="x must be float32, as the weights of ConvTranspose2d"):
        layer(np.ones((1, 4, 9, 9)))
    layer(np.ones((1, 4, 9, 9), np.float32))
    with pytest.raises(ValueError, match="dy must have shape"):
        layer.backward(np.ones((1, 6, 4, 5), np.float32))
