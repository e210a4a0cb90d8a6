"""The network of "Deep Learning from Scratch", chapter 7, and how the demo trains it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nnfast as nn
from nnfast._progress import Progress
from nnfast.demo.distort import distort

Array = NDArray[Any]
Names = dict[str, nn.Layer]

BATCH = 100
RATE = 4e-3  # falls to zero in a straight line over the whole training


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images brought."""

    loss: float
    accuracy: float  # of the held-out images, 0 to 1
    seconds: float  # for learning alone, without the test


def build(rng: np.random.Generator, dtype: str) -> tuple[nn.Sequential, Names]:
    """Return the network, and its layers by the names under which the demo reports them."""
    layers: Names = {
        "conv 30@5x5": nn.Conv2d(1, 30, 5),
        "ReLU": nn.ReLU(),
        "max pool 2x2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "linear 4320-100": nn.Linear(30 * 12 * 12, 100),
        "ReLU 100": nn.ReLU(),
        "linear 100-10": nn.Linear(100, 10),
    }
    return nn.Sequential(*layers.values(), rng=rng, dtype=dtype), layers


def train(
    model: nn.Sequential,
    optimizer: nn.optim.Adam,
    data: tuple[Array, Array],
    held_out: tuple[Array, Array],
    epochs: int,
    rng: np.random.Generator,
) -> Iterator[Epoch]:
    """Train on distorted copies of the images; yield after each epoch."""
    images, labels = data
    criterion = nn.CrossEntropyLoss()
    count, steps = len(images), math.ceil(len(images) / BATCH)
    for epoch in range(epochs):
        order = rng.permutation(count)
        total, start = 0.0, time.perf_counter()
        with Progress(steps, f"  epoch {epoch + 1:3d}/{epochs}", "step") as bar:
            for step in range(steps):
                chosen = order[step * BATCH : (step + 1) * BATCH]
                optimizer.lr = RATE * (1 - (epoch * steps + step) / (epochs * steps))
                loss = criterion(model(distort(images[chosen], rng)), labels[chosen])
                model.backward(criterion.backward())
                optimizer.step()
                total += float(loss) * len(chosen)
                bar.update(note=f"loss {float(loss):.3f}")
        seconds = time.perf_counter() - start
        yield Epoch(total / count, accuracy(model, *held_out), seconds)


def accuracy(model: nn.Sequential, images: Array, labels: Array) -> float:
    """Return the share of images whose label gets the highest score."""
    model.eval()
    right = sum(
        np.count_nonzero(model(images[i : i + BATCH]).argmax(1) == labels[i : i + BATCH])
        for i in range(0, len(images), BATCH)
    )
    model.train()
    return right / len(images)
