"""The floor under a row's time: what it has to compute and to move at least, from its shapes.

Multiplications and additions are those of the direct computation, so that an algorithm with fewer
(Winograd's) can end below the floor; functions like exp count nothing. Of memory each pass reads
its inputs once and writes its results once; a pass back reads the gradients of the results and
whatever else it cannot do without, and writes the gradients of the inputs. Labels and indices are
few and left out. Of whole networks only the arithmetic counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bench.networks import NETWORKS
from bench.rows import BOTH, Row

Shape = tuple[int, ...]
PARAMETERS = {"mlp": 79_510, "resnet18": 11_173_962}  # of the networks whose update is measured
FORWARD_GFLOP = {"simpleconv": 0.173, "resnet18": 35.54}  # of a training batch, in use
STATES = {"SGD": 0, "momentum": 1, "Adam": 2}  # arrays an optimizer keeps for each parameter


class Work(NamedTuple):
    """What a pass has to do."""

    flops: float = 0
    numbers: float = 0  # read or written


class Floor(NamedTuple):
    """The least time in seconds, and what sets it: "flops", "bytes", or "cache".

    "cache" are bytes that fit the last cache and may come faster than memory has them.
    """

    seconds: float
    bound: str


Passes = tuple[Work, Work]  # forward, backward


def product(flops: float, inputs: int, outputs: int) -> Passes:
    """Return the passes of a sum of products; each input's gradient takes as many as forward."""
    return Work(flops, inputs + outputs), Work(2 * flops, outputs + 2 * inputs)


def linear(x: Shape, weight: Shape, bias: Shape) -> Passes:
    rows = math.prod(x[:-1])
    inputs = sum(map(math.prod, (x, weight, bias)))
    return product(2 * rows * math.prod(weight), inputs, rows * weight[0])


def conv2d(
    x: Shape, weight: Shape, bias: Shape, stride: int = 1, padding: int | Shape = 0
) -> Passes:
    outputs = x[0] * weight[0] * _windows(x, weight[2:], stride, padding)
    inputs = sum(map(math.prod, (x, weight, bias)))
    return product(2 * outputs * math.prod(weight[1:]), inputs, outputs)


def conv_transpose2d(
    x: Shape, weight: Shape, bias: Shape, stride: int = 1, padding: int = 0
) -> Passes:
    """Every pixel is sent out through all its kernels, those of the rims too."""
    pixels = [
        (size - 1) * stride + k - 2 * padding for size, k in zip(x[2:], weight[2:], strict=True)
    ]
    inputs = sum(map(math.prod, (x, weight, bias)))
    outputs = x[0] * weight[1] * math.prod(pixels)
    return product(2 * math.prod(x) * math.prod(weight[1:]), inputs, outputs)


def gemm(a: Shape, b: Shape, transpose_b: bool = False) -> Passes:
    n = b[0] if transpose_b else b[1]
    return product(2 * math.prod(a) * n, math.prod(a) + math.prod(b), a[0] * n)


def recurrent(
    x: Shape, weight_ih: Shape, weight_hh: Shape, bias_ih: Shape, bias_hh: Shape
) -> Passes:
    weights = math.prod(weight_ih) + math.prod(weight_hh)
    inputs = math.prod(x) + weights + bias_ih[0] + bias_hh[0]
    steps = x[0] * x[1]
    return product(2 * steps * weights, inputs, steps * weight_hh[1])


def self_attention(qkv: Shape, heads: int) -> Passes:
    """Two products forward (scores, means of the values); back, two gradients of each."""
    n, t, width = qkv
    inputs, outputs = math.prod(qkv), math.prod(qkv) // 3
    return product(2 * 2 * n * t * t * (width // 3), inputs, outputs)


def elementwise(x: Shape, **_: Any) -> Passes:
    """Back: from the gradient and x, or y in its place."""
    return Work(numbers=2 * math.prod(x)), Work(numbers=3 * math.prod(x))


def dropout(x: Shape, p: float) -> Passes:
    """Back: from the gradient alone, the mask is drawn again."""
    return Work(numbers=2 * math.prod(x)), Work(numbers=2 * math.prod(x))


def add(a: Shape, b: Shape, activation: str) -> Passes:
    return Work(numbers=3 * math.prod(a)), Work()


def norm(x: Shape, weight: Shape, bias: Shape, activation: str | None = None) -> Passes:
    """Every number once: what shares a mean fits a cache near the core."""
    n, channels = math.prod(x), math.prod(weight)
    return Work(numbers=2 * n + 2 * channels), Work(numbers=3 * n + 3 * channels)


def embedding(indices: Shape, weight: Shape) -> Passes:
    """Back: a gradient of the whole table."""
    rows = math.prod(indices) * weight[1]
    return Work(numbers=2 * rows), Work(numbers=rows + math.prod(weight))


def cross_entropy(x: Shape, target: Shape) -> Passes:
    return Work(numbers=math.prod(x)), Work(numbers=2 * math.prod(x))


def mse_loss(x: Shape, target: Shape) -> Passes:
    return Work(numbers=2 * math.prod(x)), Work(numbers=3 * math.prod(x))


def reduce(x: Shape, axis: int | None = None) -> Passes:
    results = 1 if axis is None else math.prod(x) // x[axis]
    return Work(numbers=math.prod(x) + results), Work()


def pool(x: Shape, kernel_size: int, stride: int) -> Passes:
    """Back: as many numbers again, gradients of the results and of x."""
    results = x[0] * x[1] * _windows(x, kernel_size, stride, 0)
    both = Work(numbers=math.prod(x) + results)
    return both, both


def global_pool(x: Shape) -> Passes:
    both = Work(numbers=math.prod(x) + math.prod(x[:2]))
    return both, both


def im2col(x: Shape, kernel_size: int, padding: int) -> Passes:
    col = x[0] * _windows(x, kernel_size, 1, padding) * x[1] * kernel_size**2
    return Work(numbers=math.prod(x) + col), Work()


def col2im(col: Shape, x_shape: Shape, kernel_size: int, padding: int) -> Passes:
    return im2col(x_shape, kernel_size, padding)


def update(param: Shape, grad: Shape, **rest: Any) -> Passes:
    return _update(math.prod(param), sum(isinstance(value, tuple) for value in rest.values()))


def optimize(network: str, optimizer: str) -> Passes:
    return _update(PARAMETERS[network], STATES[optimizer])


def train(network: str, batch: Shape) -> Passes:
    return Work(NETWORKS[network].gflop * 1e9), Work()


def infer(network: str, batch: Shape) -> Passes:
    """A third of a step and a little: a step has no gradient of the first layer's input."""
    samples = NETWORKS[network].batch[0]
    return Work(FORWARD_GFLOP[network] * 1e9 * batch[0] / samples), Work()


FAMILIES: dict[str, Callable[..., Passes]] = {
    **dict.fromkeys(("relu", "leaky_relu", "sigmoid", "tanh", "gelu"), elementwise),
    **dict.fromkeys(("softmax", "log_softmax"), elementwise),
    **dict.fromkeys(("batch_norm", "layer_norm"), norm),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), pool),
    **dict.fromkeys(("lstm", "lstm_inference", "gru", "rnn"), recurrent),
    **dict.fromkeys(("reduce_sum", "reduce_mean", "reduce_max"), reduce),
    **dict.fromkeys(("sgd_update", "momentum_update", "adagrad_update"), update),
    **dict.fromkeys(("rmsprop_update", "adadelta_update"), update),
    **dict.fromkeys(("adam_update", "adamw_update"), update),
    **{"add": add, "col2im": col2im, "cross_entropy": cross_entropy},
    **{"conv2d": conv2d, "conv_transpose2d": conv_transpose2d},
    **{"dropout": dropout, "embedding": embedding, "gemm": gemm, "global_avg_pool2d": global_pool},
    **{"im2col": im2col, "infer": infer, "linear": linear, "mse_loss": mse_loss},
    **{"optimize": optimize, "self_attention": self_attention, "train": train},
}


def work(row: Row, what: str) -> Work:
    """Return what a pass of a row has to do."""
    forward, backward = FAMILIES[row.function](**row.arguments)
    if what != BOTH:
        return forward
    return Work(forward.flops + backward.flops, forward.numbers + backward.numbers)


def floor(row: Row, what: str, dtype: str, peaks: dict[str, float], cache: int | None) -> Floor:
    """Return the floor under a pass: flop/s by dtype and bytes/s are in `peaks`."""
    flops, numbers = work(row, what)
    moved = numbers * np.dtype(row.dtype or dtype).itemsize
    computing, moving = flops / peaks[row.dtype or dtype], moved / peaks["memory"]
    if computing >= moving:
        return Floor(computing, "flops")
    return Floor(moving, "cache" if cache and moved <= cache else "bytes")


def _update(size: int, states: int) -> Passes:
    """Parameters and states are read and written, gradients read."""
    return Work(numbers=(3 + 2 * states) * size), Work()


def _windows(x: Shape, kernel: int | Shape, stride: int, padding: int | Shape) -> int:
    """Return how many windows lie on an image."""
    kernels, paddings = ((n, n) if isinstance(n, int) else n for n in (kernel, padding))
    return math.prod(
        (size + 2 * pad - side) // stride + 1
        for size, side, pad in zip(x[2:], kernels, paddings, strict=True)
    )
