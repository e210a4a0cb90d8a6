"""Networks known by name: shapes, gradients, and the parameter names that others publish."""

import numpy as np
import pytest

import nnfast as nn
from nnfast import models


@pytest.mark.parametrize(("channels", "stride"), [((4, 4), 1), ((4, 6), 1), ((4, 4), 2)])
def test_gradients_of_a_block(channels, stride, backend):
    block = models.BasicBlock(*channels, stride).seed(0).astype(np.float64)
    x = np.random.default_rng(1).standard_normal((2, 4, 6, 5))
    nn.testing.check_gradients(block, x, most=30)
    assert block(x).shape == (2, channels[1], -(-6 // stride), -(-5 // stride))
    assert block.backward(block(x), needs_dx=False) is None


@pytest.mark.parametrize(("stem", "size", "strides"), [("cifar", 32, 8), ("imagenet", 64, 32)])
def test_resnet18(stem, size, strides, backend):
    model = models.resnet18(7, stem, rng=0)
    assert sum(p.data.size for p in model.parameters()) == (
        11_172_423 if stem == "cifar" else 11_180_103
    )
    x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
    y = model(x)
    assert (y.shape, y.dtype) == ((2, 7), np.float32)
    model.backward(np.ones_like(y))
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in model.parameters())
    assert model[-2](model[:-2](x)).shape == (2, 512)
    assert model[:-2](x).shape[2] == size // strides


def test_resnet18_has_the_names_of_torchvision():
    names = {name for name, _ in models.resnet18().named_parameters()}
    assert {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "fc.bias"} <= names
    assert {"layer2.0.downsample.0.weight", "layer4.1.bn2.weight"} <= names
    assert "layer1.0.downsample.0.weight" not in names
    assert "layer4.0.downsample.1.running_var" in models.resnet18().state_dict()


def test_unknown_stem():
    with pytest.raises(ValueError, match="stem must be one of"):
        models.resnet18(stem="none such")
