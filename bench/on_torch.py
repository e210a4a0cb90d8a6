"""The rows on PyTorch, as `on_nnfast` builds them.

Gradients come from autograd, the forward pass alone runs without it. `channels_last` stores images
and kernels in that format; optimizers are PyTorch's fused ones where it has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from bench.networks import NETWORKS, Network, batch
from bench.rows import BOTH, FORWARD, STEP, Row
from bench.torch_layers import layers

Call = Callable[[], Any]


def batch_norm(x: Any, weight: Any, bias: Any, activation: str | None = None) -> Any:
    """Normalise by the batch, with a ReLU in place if asked for."""
    y = F.batch_norm(x, None, None, weight, bias, training=True)
    return F.relu(y, inplace=True) if activation else y


def _recurrent(function: Callable[..., Any], states: int = 1) -> Callable[..., Any]:
    """Return one layer and direction of a recurrent function of PyTorch."""

    def call(x: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> Any:
        h0 = x.new_zeros(1, x.shape[1], weight_hh.shape[1])
        weights = (weight_ih, weight_hh, bias_ih, bias_hh)
        options = (True, 1, 0.0, torch.is_grad_enabled(), False, False)
        return function(x, (h0, h0) if states == 2 else h0, weights, *options)[0]

    return call


def self_attention(qkv: Any, heads: int) -> Any:
    """Split a projection into heads, attend, and put them side by side again."""
    n, t, width = qkv.shape
    q, k, v = qkv.view(n, t, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, width // 3)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "conv2d": F.conv2d,
    "conv_transpose2d": F.conv_transpose2d,
    "im2col": lambda x, **window: F.unfold(x, **window),
    "col2im": lambda col, x_shape, **window: F.fold(col, x_shape[2:], **window),
    "max_pool2d": lambda x, **window: F.max_pool2d(x, **window),
    "avg_pool2d": lambda x, **window: F.avg_pool2d(x, **window),
    "global_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1),
    "batch_norm": batch_norm,
    "layer_norm": lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias),
    "embedding": F.embedding,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "gelu": F.gelu,
    "dropout": F.dropout,
    "add": lambda a, b, activation: getattr(F, activation)(a + b),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "cross_entropy": F.cross_entropy,
    "mse_loss": F.mse_loss,
    "linear": F.linear,
    "lstm": _recurrent(torch.lstm, 2),
    "lstm_inference": _recurrent(torch.lstm, 2),
    "gru": _recurrent(torch.gru),
    "rnn": _recurrent(torch.rnn_tanh),
    "self_attention": self_attention,
    "gemm": lambda a, b, transpose_b=False: a @ (b.mT if transpose_b else b),
    "reduce_sum": lambda x, axis=None: x.sum(axis),
    "reduce_mean": lambda x, axis=None: x.mean(axis),
    "reduce_max": lambda x, axis: x.amax(axis),
}
FORWARD_ONLY = {
    "lstm_inference",
    "im2col",
    "col2im",
    "gemm",
    "reduce_sum",
    "reduce_mean",
    "reduce_max",
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd_update": lambda params: torch.optim.SGD(params, lr=0.01, fused=True),
    "momentum_update": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9, fused=True),
    "adagrad_update": lambda params: torch.optim.Adagrad(params, lr=0.01, fused=True),
    "rmsprop_update": lambda params: torch.optim.RMSprop(params, lr=0.01),
    "adadelta_update": lambda params: torch.optim.Adadelta(params),
    "adam_update": lambda params: torch.optim.Adam(params, fused=True),
    "adamw_update": lambda params: torch.optim.AdamW(params, fused=True),
}
TRAINERS: dict[str, Callable[..., Any]] = {
    "Adam": lambda params: torch.optim.Adam(params, lr=1e-3, fused=True),
    "SGD": lambda params: torch.optim.SGD(params, lr=0.01, fused=True),
    "momentum": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9, fused=True),
}


def build(row: Row, dtype: str, channels_last: bool = False) -> dict[str, Call]:
    """Return the calls of a row by pass."""
    if row.function == "train":
        return {STEP: train(row.arguments["network"], dtype, channels_last)}
    if row.function == "infer":
        name, shape = row.arguments["network"], row.arguments["batch"]
        return {FORWARD: infer(name, tuple(shape), dtype, channels_last)}
    if row.function == "optimize":
        return {STEP: optimize(**row.arguments, dtype=dtype)}
    arguments = {name: _tensor(value, channels_last) for name, value in row.arrays(dtype).items()}
    if row.function in OPTIMIZERS:
        arguments["param"].grad = arguments["grad"].detach()
        step: Call = OPTIMIZERS[row.function]([arguments["param"]]).step
        return {STEP: step}
    if row.function == "col2im":  # PyTorch's layout of the same numbers: (N, C*KH*KW, OH*OW)
        col, n = arguments["col"].detach(), arguments["x_shape"][0]
        arguments["col"] = col.reshape(n, -1, col.shape[1]).mT.contiguous()
    function = FUNCTIONS[row.function]
    first, *names = arguments  # by position: PyTorch has another name for x
    others = {name: arguments[name] for name in names}

    def forward() -> Any:
        return function(arguments[first], **others)

    passes: dict[str, Call] = {FORWARD: torch.no_grad()(forward)}
    if row.function not in FORWARD_ONLY:
        inputs = [value for value in arguments.values() if getattr(value, "requires_grad", False)]
        y = forward()
        dy = torch.randn_like(y) if y.ndim else torch.ones_like(y)
        passes[BOTH] = lambda: torch.autograd.grad(forward(), inputs, dy)
    return passes


def train(name: str, dtype: str, channels_last: bool) -> Call:
    """Return a training step of a network: forward, loss, backward, optimizer."""
    network = NETWORKS[name]
    x, model = _ready(network, network.batch, dtype, channels_last)
    if network.optimizer is None:
        x.requires_grad_()
        dy = torch.randn_like(model(x))
        inputs = [x, *model.parameters()]
        return lambda: torch.autograd.grad(model(x), inputs, dy)
    target = torch.from_numpy(batch(network, network.batch, dtype)[1])
    optimizer = TRAINERS[network.optimizer](model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        y = model(x).reshape(-1, network.classes)
        torch.autograd.backward(F.cross_entropy(y, target))
        optimizer.step()

    return step


def infer(name: str, shape: tuple[int, ...], dtype: str, channels_last: bool) -> Call:
    """Return a forward pass of a network that is done with learning."""
    x, model = _ready(NETWORKS[name], shape, dtype, channels_last)
    model.eval()
    forward: Call = torch.inference_mode()(lambda: model(x))
    return forward


def optimize(network: str, optimizer: str, dtype: str) -> Call:
    """Return the step of an optimizer alone, over all parameters of a network."""
    model = NETWORKS[network].build(layers).to(getattr(torch, dtype))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    step: Call = TRAINERS[optimizer](model.parameters()).step
    return step


def _ready(network: Network, shape: tuple[int, ...], dtype: str, channels_last: bool) -> Any:
    """Return a batch and a model in the precision and the memory format asked for."""
    x = torch.from_numpy(batch(network, shape, dtype)[0])
    model = network.build(layers).to(getattr(torch, dtype))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)
    return x, model


def _tensor(value: Any, channels_last: bool) -> Any:
    """Return an array as a tensor, one that wants a gradient if it is of floats."""
    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.from_numpy(value)
    if channels_last and tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor.requires_grad_(tensor.is_floating_point())
