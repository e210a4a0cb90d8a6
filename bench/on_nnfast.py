"""The rows on nnfast, whichever backend is chosen."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import nnfast as nn
from bench.networks import NETWORKS, batch
from bench.rows import BOTH, FORWARD, STEP, Row
from nnfast import functional as F
from nnfast import models

Call = Callable[[], Any]
LAYERS = SimpleNamespace(**vars(nn), BasicBlock=models.BasicBlock)
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda parameters: nn.optim.Adam(parameters, lr=1e-3),
    "SGD": lambda parameters: nn.optim.SGD(parameters, lr=0.01),
    "momentum": lambda parameters: nn.optim.SGD(parameters, lr=0.01, momentum=0.9),
}

# The way back: (dy, what forward returned, the row's arguments by name); dy fits the first result.
BACKWARD: dict[str, Callable[..., Any]] = {
    "conv2d": lambda dy, y, x, weight, bias, **window: F.conv2d_backward(dy, x, weight, **window),
    "conv_transpose2d": lambda dy, y, x, weight, bias, **window: F.conv_transpose2d_backward(
        dy, x, weight, **window
    ),
    "max_pool2d": lambda dy, y, x, **window: F.max_pool2d_backward(dy, y[1], x.shape, **window),
    "avg_pool2d": lambda dy, y, x, **window: F.avg_pool2d_backward(dy, x.shape, **window),
    "global_avg_pool2d": lambda dy, y, x: F.global_avg_pool2d_backward(dy, x.shape),
    "batch_norm": lambda dy, y, x, weight, bias, activation=None: F.batch_norm_backward(
        dy, x, y[1], y[2], weight, bias=bias, activation=activation
    ),
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
    "lstm": lambda dy, y, x, weight_ih, weight_hh, **biases: F.lstm_backward(
        dy, x, weight_ih, weight_hh, *y
    ),
    "gru": lambda dy, y, x, weight_ih, weight_hh, **biases: F.gru_backward(
        dy, x, weight_ih, weight_hh, *y
    ),
    "rnn": lambda dy, y, x, weight_ih, weight_hh, **biases: F.rnn_backward(
        dy, x, weight_ih, weight_hh, y
    ),
    "self_attention": lambda dy, y, qkv, heads: F.self_attention_backward(
        dy, qkv, y[0], y[1], heads
    ),
}


def build(row: Row, dtype: str) -> dict[str, Call]:
    """Return the calls of a row by pass."""
    if row.function == "train":
        return {STEP: train(row.arguments["network"], dtype)}
    if row.function == "infer":
        return {FORWARD: infer(row.arguments["network"], row.arguments["batch"], dtype)}
    if row.function == "optimize":
        return {STEP: optimize(**row.arguments, dtype=dtype)}
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
    x, target = batch(network, network.batch, dtype)
    model = network.build(LAYERS).astype(dtype).seed(0)
    if network.optimizer is None:
        dy = np.random.default_rng(1).standard_normal(model(x).shape).astype(dtype)

        def forward_backward() -> None:
            model(x)
            model.backward(dy)

        return forward_backward
    loss = nn.CrossEntropyLoss()
    optimizer = OPTIMIZERS[network.optimizer](model.parameters())

    def step() -> None:
        y = model(x)
        loss(y.reshape(-1, network.classes), target)
        model.backward(loss.backward().reshape(y.shape))
        optimizer.step()

    return step


def infer(name: str, shape: tuple[int, ...], dtype: str) -> Call:
    """Return a forward pass of a network that is done with learning."""
    network = NETWORKS[name]
    x, _ = batch(network, shape, dtype)
    model = network.build(LAYERS).astype(dtype).seed(0).eval()
    return lambda: model(x)


def optimize(network: str, optimizer: str, dtype: str) -> Call:
    """Return the step of an optimizer alone, over all parameters of a network."""
    parameters = list(NETWORKS[network].build(LAYERS).astype(dtype).parameters())
    rng = np.random.default_rng(1)
    for parameter in parameters:
        parameter.grad = rng.standard_normal(parameter.data.shape).astype(dtype)
    step: Call = OPTIMIZERS[optimizer](parameters).step
    return step
