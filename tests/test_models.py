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
    assert block.backward(block(x)).shape == x.shape  # a layer, unlike a Sequential


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


def test_resnet18_is_that_of_the_paper():
    """Windows, strides and paddings: torchvision's, whose weights are loaded by name."""
    model = models.resnet18(rng=0)
    conv, pool = model.conv1, model.maxpool
    assert (conv.kernel_size, conv.stride, conv.padding) == ((7, 7), (2, 2), (3, 3))
    assert (pool.kernel_size, pool.stride, pool.padding) == ((3, 3), (2, 2), (1, 1))
    small = models.resnet18(stem="cifar").conv1
    assert (small.kernel_size, small.stride, small.padding) == ((3, 3), (1, 1), (1, 1))
    convs = [(n, c) for n, c in model.named_layers() if isinstance(c, nn.Conv2d)]
    assert len(convs) == 20 and all(c.bias is None for _, c in convs)
    for name, c in convs[1:]:
        first = name in {
            f"layer{i}.0.{part}." for i in (2, 3, 4) for part in ("conv1", "downsample.0")
        }
        assert c.stride == ((2, 2) if first else (1, 1)), name
        assert c.padding == ((0, 0) if "downsample" in name else (1, 1)), name
    assert model.fc.out_features == 1000
    assert models.resnet18(3, in_channels=1).conv1.in_channels == 1
