"""One batch followed through the network: what goes into each layer, and which gradient comes back.

Equality and speed are both judged on these: the numbers that the layers see in real training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

import nnfast as nn

Array = NDArray[Any]


@dataclass(frozen=True)
class Station:
    """A layer with its input and the gradient of its output."""

    name: str
    layer: nn.Layer
    x: Array
    dout: Array


@dataclass(frozen=True)
class Trace:
    """All layers in order, then the scores and labels that the loss sees."""

    stations: list[Station]
    scores: Array
    labels: Array


def follow(layers: dict[str, nn.Layer], images: Array, labels: Array) -> Trace:
    """Pass a batch forward and back; leaves the gradients in the parameters."""
    criterion = nn.CrossEntropyLoss()
    inputs, x = [], images
    for layer in layers.values():
        inputs.append(x)
        x = layer(x)
    criterion(x, labels)
    grad: Any = criterion.backward()
    stations = []
    for (name, layer), given in zip(reversed(layers.items()), reversed(inputs), strict=True):
        stations.append(Station(name, layer, given, grad))
        grad = layer.backward(grad)
    return Trace(stations[::-1], x, labels)
