"""The networks that are measured, in training and in use.

Each is written once: `nn` is a namespace of layers of the same names and arguments, nnfast's or
PyTorch's (with the few that PyTorch lacks, see `on_torch`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CLASSES = 10
VOCABULARY = 10000


class Network(NamedTuple):
    """A network, what it is fed with, and how it learns."""

    batch: tuple[int, ...]  # shape of a training batch
    gflop: float  # multiplications and additions of a step, directly computed; 3 times a forward
    build: Callable[[Any], Any]  # the network's layers as a function of nn
    optimizer: str | None = "Adam"  # or "SGD", "momentum"; None: no loss and no optimizer
    classes: int = CLASSES
    tokens: bool = False  # the batch holds numbers of words


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


def conv_norm(nn: Any, inputs: int, outputs: int, kernel: int = 3, **options: Any) -> list[Any]:
    """Return a convolution without bias that keeps the size, batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


def vgg(nn: Any) -> Any:
    """Build a VGG for images of 32x32 (Simonyan & Zisserman, ICLR 2015)."""
    layers, inputs = [], 3
    for outputs in (64, 128, 256):
        layers += [*conv_norm(nn, inputs, outputs), *conv_norm(nn, outputs, outputs)]
        layers.append(nn.MaxPool2d(2))
        inputs = outputs
    head = [nn.Flatten(), nn.Linear(256 * 4 * 4, 512), nn.ReLU(), nn.Linear(512, CLASSES)]
    return nn.Sequential(*layers, *head)


def resnet18(nn: Any) -> Any:
    """Build ResNet-18 with the stem for images of 32x32 (He et al., CVPR 2016)."""
    layers, inputs = conv_norm(nn, 3, 64), 64
    for stride, outputs in ((1, 64), (2, 128), (2, 256), (2, 512)):
        layers += [nn.BasicBlock(inputs, outputs, stride), nn.BasicBlock(outputs, outputs)]
        inputs = outputs
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(512, CLASSES))


def mobilenet(nn: Any) -> Any:
    """Build a MobileNet for images of 32x32 (Howard et al., 2017)."""
    layers, inputs = conv_norm(nn, 3, 32), 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)):
        layers += conv_norm(nn, inputs, inputs, stride=stride, groups=inputs)
        layers += conv_norm(nn, inputs, outputs, kernel=1)
        inputs = outputs
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(512, CLASSES))


def lstm(nn: Any) -> Any:
    """Build a language model of one LSTM (Zaremba, Sutskever & Vinyals, 2014)."""
    return nn.Sequential(
        nn.Embedding(VOCABULARY, 100), nn.LSTM(100, 100), nn.Linear(100, VOCABULARY)
    )


def transformer(nn: Any) -> Any:
    """Build one pre-norm encoder block (Vaswani et al., 2017; Xiong et al., 2020)."""
    options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
    return nn.TransformerEncoderLayer(256, 8, 1024, **options)


IMAGES = (64, 3, 32, 32)
NETWORKS = {
    "mlp": Network((100, 784), 0.032, mlp),
    "mlp5": Network((100, 784), 0.056, mlp5),
    "simpleconv": Network((100, 1, 28, 28), 0.433, simpleconv),
    "deepconv": Network((100, 1, 28, 28), 5.24, deepconv),
    "vgg": Network(IMAGES, 59.2, vgg),
    "resnet18": Network((32, 3, 32, 32), 106.5, resnet18, "momentum"),
    "mobilenet": Network(IMAGES, 7.05, mobilenet),
    "lstm": Network((35, 20), 4.54, lstm, "SGD", VOCABULARY, tokens=True),
    "transformer": Network((16, 128, 256), 10.5, transformer, None),
}
INFERENCE = {
    f"{name} batch {n}": (name, (n, *NETWORKS[name].batch[1:]))
    for name in ("simpleconv", "resnet18")
    for n in (1, 64)
}


def batch(network: Network, shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """Return a batch of this shape and its labels, the same for every peer."""
    rng = np.random.default_rng(0)
    if network.tokens:
        return rng.integers(0, VOCABULARY, shape), rng.integers(0, VOCABULARY, np.prod(shape))
    x = rng.standard_normal(shape).astype(dtype)
    return x, rng.integers(0, network.classes, shape[0])
