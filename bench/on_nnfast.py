"""The rows on nnfast, whichever backend is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nnfast as nn
from bench.networks import CLASSES, NETWORKS
from bench.rows import BOTH, FORWARD, STEP, Row
from nnfast import functional as F

Call = Callable[[], Any]

# The way back: (dy, what forward returned, the row's arguments by name); dy fits the first result.
BACKWARD: dict[str, Callable[..., Any]] = {
    "conv2d": lambda dy, y, x, weight, bias, **window: F.conv2d_backward(dy, x, weight, **window),
    "max_pool2d": lambda dy, y, x, **window: F.max_pool2d_backward(dy, y[1], x.shape, **window),
    "avg_pool2d": lambda dy, y, x, **window: F.avg_pool2d_backward(dy, x.shape, **window),
    "global_avg_pool2d": lambda dy, y, x: F.global_avg_pool2d_backward(dy, x.shape),
    "batch_norm": lambda dy, y, x, weight, bias: F.batch_norm_backward(dy, x, y[1], y[2], weight),
    "layer_norm": lambda dy, y, x, weight, bias: F.layer_norm_backward(dy, x, y[1], y[2], weight),
    "embedding": lambda dy, y, indices, weight: F.embedding_backward(dy, indices, len(weight)),
    "relu": lambda dy, y, x: F.relu_backward(dy, y),
    "leaky_relu": lambda dy, y, x: F.leaky_relu_backward(dy, x),
    "sigmoid": lambda dy, y, x: F.sigmoid_backward(dy, y),
    "tanh": lambda dy, y, x: F.tanh_backward(dy, y),
    "gelu": lambda dy, y, x: F.gelu_backward(dy, x),
    "dropout": lambda dy, y, x, p: F.dropout_backward(dy, p),
    "softmax": lambda dy, y, x: F.softmax_backward(dy, y),
    "log_softmax": lambda dy, y, x: F.log_softmax_backward(dy, y),
    "cross_entropy": lambda dy, y, x, target: F.cross_entropy_backward(x, target, y[1]),
    "mse_loss": lambda dy, y, x, target: F.mse_loss_backward(x, target),
    "linear": lambda dy, y, x, weight, bias: F.linear_backward(dy, x, weight),
    "self_attention": lambda dy, y, qkv, heads: F.self_attention_backward(
        dy, qkv, y[0], y[1], heads
    ),
}


def build(row: Row, dtype: str) -> dict[str, Call]:
    """Return the calls of a row by pass."""
    if row.function == "train":
        return {STEP: train(row.arguments["network"], dtype)}
    function, arguments = getattr(F, row.function), row.arrays(dtype)

    def forward() -> Any:
        return function(**arguments)

    if row.function.endswith("_update"):
        return {STEP: forward}
    if row.function not in BACKWARD:
        return {FORWARD: forward}
    backward, result = BACKWARD[row.function], forward()
    y = result[0] if isinstance(result, tuple) else result
    dy = np.random.default_rng(1).standard_normal(np.shape(y)).astype(dtype)
    return {FORWARD: forward, BOTH: lambda: backward(dy, forward(), **arguments)}


def train(name: str, dtype: str) -> Call:
    """Return a training step of a network: forward, loss, backward, optimizer."""
    network = NETWORKS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(network.batch).astype(dtype)
    target = rng.integers(0, CLASSES, network.batch[0])
    model = network.build(nn).astype(dtype).seed(rng)
    loss = nn.CrossEntropyLoss()
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        loss(model(x), target)
        model.backward(loss.backward())
        optimizer.step()

    return step
