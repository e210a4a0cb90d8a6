"""The networks whose training steps are measured.

Each is written once: `nn` is nnfast or torch.nn, whose layers have the same names and arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

CLASSES = 10


class Network(NamedTuple):
    """A model, the shape of its training batch, and the network's layers as a function of nn."""

    batch: tuple[int, ...]
    build: Callable[[Any], Any]


def mlp(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, CLASSES))


def mlp5(nn: Any) -> Any:
    layers = []
    for inputs in (784, 100, 100, 100, 100):
        layers += [nn.Linear(inputs, 100), nn.BatchNorm1d(100), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(100, CLASSES))


def simpleconv(nn: Any) -> Any:
    """Build the network of chapter 7 of "Deep Learning from Scratch"."""
    return nn.Sequential(
        *[nn.Conv2d(1, 30, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()],
        *[nn.Linear(30 * 12 * 12, 100), nn.ReLU(), nn.Linear(100, CLASSES)],
    )


def deepconv(nn: Any) -> Any:
    """Build the network of chapter 8 of "Deep Learning from Scratch"."""
    layers = []
    for inputs, outputs, padding in ((1, 16, 1), (16, 32, 2), (32, 64, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *[*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 50), nn.ReLU(), nn.Dropout(0.5)],
        nn.Linear(50, CLASSES),
    )


NETWORKS = {
    "mlp": Network((100, 784), mlp),
    "mlp5": Network((100, 784), mlp5),
    "simpleconv": Network((100, 1, 28, 28), simpleconv),
    "deepconv": Network((100, 1, 28, 28), deepconv),
}
