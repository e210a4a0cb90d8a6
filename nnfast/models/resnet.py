"""Residual networks. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

Parameters have the names and shapes of torchvision's, so that published weights load by name.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast.layers import (
    BatchNorm2d,
    Conv2d,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from nnfast.layers.parameter import Array


class BasicBlock(Sequential):
    """Two 3×3 convolutions and a way around them: ``relu(bn(conv(relu(bn(conv(x))))) + x)``.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution. Where it is not 1 or the channels change, the way around is
        `downsample`, a 1×1 convolution with batch norm.

    Raises
    ------
    TypeError, ValueError
        A number that is no positive integer.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        layers: dict[str, Layer] = {
            "conv1": Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            "bn1": BatchNorm2d(out_channels),
            "relu": ReLU(),
            "conv2": Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            "bn2": BatchNorm2d(out_channels),
        }
        super().__init__(layers)
        self.downsample: Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = Sequential(
                Conv2d(in_channels, out_channels, 1, stride, bias=False), BatchNorm2d(out_channels)
            )

    def learn(self, x: Array) -> Array:
        """Map x (N, in_channels, H, W) to (N, out_channels, OH, OW), by `stride` smaller."""
        around = x if self.downsample is None else self.downsample.learn(x)
        self._y = F.add(super().learn(x), around, "relu")
        return self._y

    def infer(self, x: Array) -> Array:
        """Do `learn`, and keep nothing."""
        around = x if self.downsample is None else self.downsample.infer(x)
        return F.add(super().infer(x), around, "relu")

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout of the shape of the output, return dx of the shape of x."""
        self._recall()
        dsum = F.relu_backward(dout, self._y)
        del self._y
        grad = self._back(dsum, needs_dx)
        around = dsum if self.downsample is None else self.downsample.backward(dsum, needs_dx)
        return F.add(grad, around) if grad is not None and around is not None else None


def resnet18(
    num_classes: int = 1000,
    stem: str = "imagenet",
    in_channels: int = 3,
    rng: np.random.Generator | int | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Sequential:
    """Make a ResNet of 18 layers: a stem, four stages of two `BasicBlock`, a linear classifier.

    Parameters
    ----------
    num_classes : int
        Outputs.
    stem : {"imagenet", "cifar"}
        A 7×7 convolution of stride 2 and max pooling; or a 3×3 convolution, for images of 32×32.
    in_channels : int
        Channels of the images.
    rng : Generator, int or None
        Draws the weights; None: a fresh generator when they are first used.
    dtype : float32 or float64
        Of the weights.

    Returns
    -------
    Sequential
        Maps (N, in_channels, H, W) to (N, num_classes).

    Raises
    ------
    ValueError
        If there is no such stem, or a number is not positive.
    """
    if stem not in ("imagenet", "cifar"):
        raise ValueError(f"stem must be one of 'imagenet', 'cifar', got {stem!r}")
    large = stem == "imagenet"
    window = (7, 2, 3) if large else (3, 1, 1)
    layers: dict[str, Layer] = {
        "conv1": Conv2d(in_channels, 64, *window, bias=False),
        "bn1": BatchNorm2d(64),
        "relu": ReLU(),
    }
    if large:
        layers["maxpool"] = MaxPool2d(3, 2, 1)
    inputs = 64
    for i, channels in enumerate((64, 128, 256, 512)):
        stride = 1 if i == 0 else 2
        blocks = BasicBlock(inputs, channels, stride), BasicBlock(channels, channels)
        layers[f"layer{i + 1}"] = Sequential(*blocks)
        inputs = channels
    layers["avgpool"] = GlobalAvgPool2d()
    layers["fc"] = Linear(inputs, num_classes)
    return Sequential(layers, rng=rng, dtype=dtype)
