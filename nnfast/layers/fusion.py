"""Which neighbours in a Sequential are computed together, in training and in inference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nnfast.layers.activation import ReLU
from nnfast.layers.base import Layer
from nnfast.layers.conv import Conv2d
from nnfast.layers.conv_transpose import ConvTranspose2d
from nnfast.layers.linear import Linear
from nnfast.layers.norm import BatchNorm1d, BatchNorm2d
from nnfast.layers.parameter import Array
from nnfast.layers.pool import MaxPool2d

NORMS = (BatchNorm1d, BatchNorm2d)
FUSING = (Linear, Conv2d, ConvTranspose2d, MaxPool2d, *NORMS)
FUSING_BACKWARD = (MaxPool2d, *NORMS)  # their backward includes the ReLU

Work = tuple[Callable[[Array], Array], list[Layer]]


def training_plan(layers: list[Layer]) -> list[tuple[Layer, Layer | None]]:
    """Return the layers in the order of their work, each with the ReLU computed along with it.

    The numbers are those of the order given, bit by bit. ReLU and max pooling change places,
    because the maximum of what is cut off at zero is the maximum cut off at zero. A ReLU is then
    computed with the layer before it, while the results are in registers; the backward of a batch
    norm or max pooling includes it, which is better still.
    """
    layers = list(layers)
    for i in range(len(layers) - 1):
        if type(layers[i]) is ReLU and type(layers[i + 1]) is MaxPool2d:
            if i > 0 and isinstance(layers[i - 1], NORMS) and may_fuse(layers[i - 1]):
                continue
            layers[i], layers[i + 1] = layers[i + 1], layers[i]
    plan: list[tuple[Layer, Layer | None]] = []
    for layer in layers:
        before, relu = plan[-1] if plan else (None, None)
        if type(layer) is ReLU and before is not None and relu is None and may_fuse(before):
            plan[-1] = (before, layer)
        else:
            plan.append((layer, None))
    return plan


def backward_order(plan: list[tuple[Layer, Layer | None]]) -> list[Layer]:
    """Return the layers of a training plan whose backward is called, in the order of forward.

    A ReLU has its own, unless that of the layer which computes it includes it.
    """
    order: list[Layer] = []
    for layer, relu in plan:
        order += [layer] if relu is None or isinstance(layer, FUSING_BACKWARD) else [layer, relu]
    return order


def inference_plan(layers: list[Layer]) -> list[Work]:
    """Return what to call in order, each with the layers whose work it is.

    A batch norm behind a convolution is a factor and a bias per channel of its results, and a ReLU
    cuts them off: both are done while the results are in registers. So the numbers differ from
    those of the layers called one by one, within rounding.
    """
    plan: list[Work] = []
    rest: list[Any] = list(layers)
    while rest:
        layer = rest.pop(0)
        if _folds(layer, *rest[:1]):
            norm = rest.pop(0)
            activation = _take_relu(norm, rest) or norm.activation
            plan.append((partial(_normed, layer, norm, activation), [layer, norm]))
        elif _take_relu(layer, rest):
            plan.append((partial(layer.forward_fused, activation="relu"), [layer]))
        else:
            plan.append((layer.forward, [layer]))
    return plan


def may_fuse(layer: Layer) -> bool:
    """Whether a layer can compute the ReLU behind it: it has no activation of its own.

    A subclass cannot: it may have a forward of its own, which must not be passed by.
    """
    return type(layer) in FUSING and getattr(layer, "activation", None) is None


def _take_relu(layer: Layer, rest: list[Layer]) -> str | None:
    """Take the ReLU behind a layer that can compute it off the rest; return its name if so."""
    if rest and type(rest[0]) is ReLU and may_fuse(layer):
        rest.pop(0)
        return "relu"
    return None


def _folds(layer: Layer, behind: Layer | None = None) -> bool:
    """Whether the layer behind is a batch norm that a convolution can take upon itself."""
    if not isinstance(layer, Conv2d) or not may_fuse(layer) or type(behind) is not BatchNorm2d:
        return False
    return behind.num_features == layer.out_channels


def _normed(conv: Conv2d, norm: BatchNorm2d, activation: str | None, x: Array) -> Array:
    """Return the activated norm of a convolution."""
    if norm.training or norm.running_mean.dtype != conv.weight.expect().dtype:
        return norm.forward_fused(conv.forward(x), activation)
    scale = 1 / np.sqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale *= norm.weight.expect()
    shift = -scale * norm.running_mean
    if norm.bias is not None:
        shift += norm.bias.expect()
    if conv.bias is not None:
        shift += scale * conv.bias.expect()
    return conv.convolve(x, shift, activation, scale)
