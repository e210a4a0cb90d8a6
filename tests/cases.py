"""The shapes that tests run every function on, and those that the benchmark measures.

Small and awkward in the first part: odd sizes, empty batches, single elements, sizes around the
vector width. BENCH holds the layers of the benchmark; the tests take no part in it.
"""

from typing import Any, NamedTuple

import numpy as np

DTYPES = (np.float32, np.float64)
IntPair = int | tuple[int, int]


class Conv(NamedTuple):
    """A convolution: x (N, C, H, W), weight (O, C / groups, KH, KW)."""

    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    stride: IntPair = 1
    padding: IntPair = 0
    dilation: IntPair = 1
    groups: int = 1

    @property
    def options(self) -> dict[str, Any]:
        """The arguments after x and weight, by name."""
        return dict(zip(self._fields[2:], self[2:], strict=True))

    def __str__(self) -> str:
        return f"x{_text(self.x)}-w{_text(self.weight)}" + "".join(
            f"-{name}{_text(value)}"
            for name, value in self.options.items()
            if value != Conv._field_defaults[name]
        )


class Pool(NamedTuple):
    """A pooling of x (N, C, H, W)."""

    x: tuple[int, int, int, int]
    kernel_size: IntPair
    stride: IntPair | None = None
    padding: IntPair = 0

    def __str__(self) -> str:
        return "-".join(map(_text, self))


class Gemm(NamedTuple):
    """A product (M, K) @ (K, N)."""

    m: int
    k: int
    n: int

    def __str__(self) -> str:
        return "x".join(map(str, self))


class Attention(NamedTuple):
    """Attention of q (N, Tq, heads * d) to k (N, Tk, heads * d) and v (N, Tk, heads * dv)."""

    n: int
    heads: int
    tq: int
    tk: int
    d: int
    dv: int

    def __str__(self) -> str:
        return "x".join(map(str, self))


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


CONV = [
    Conv((1, 1, 1, 1), (1, 1, 1, 1)),
    Conv((2, 3, 8, 8), (4, 3, 3, 3)),
    Conv((2, 3, 8, 8), (4, 3, 3, 3), padding=1),
    Conv((1, 1, 28, 28), (30, 1, 5, 5)),  # the first layer of the book
    Conv((3, 5, 7, 9), (6, 5, 3, 3), stride=2, padding=1),
    Conv((2, 3, 9, 11), (5, 3, 2, 4), stride=(2, 3), padding=(1, 2)),
    Conv((2, 3, 11, 13), (4, 3, 3, 3), padding=2, dilation=2),
    Conv((2, 4, 12, 10), (6, 4, 3, 2), stride=(1, 2), padding=(3, 0), dilation=(3, 1)),
    Conv((2, 6, 7, 7), (9, 2, 3, 3), padding=1, groups=3),
    Conv((2, 6, 9, 8), (4, 3, 3, 3), stride=2, padding=2, dilation=2, groups=2),
    Conv((2, 8, 9, 9), (8, 1, 3, 3), padding=1, groups=8),  # depthwise
    Conv((1, 5, 10, 9), (5, 1, 3, 3), stride=2, padding=1, groups=5),
    Conv((2, 3, 8, 7), (6, 1, 5, 5), padding=2, groups=3),  # depthwise, two kernels a channel
    Conv((2, 7, 5, 5), (3, 7, 1, 1)),
    Conv((2, 7, 5, 6), (17, 7, 1, 1), stride=2),
    Conv((1, 4, 4, 4), (2, 4, 1, 1), padding=1),
    Conv((2, 3, 4, 4), (5, 3, 4, 4)),  # one window
    Conv((2, 3, 3, 3), (4, 3, 5, 5), padding=1),  # kernel larger than the image
    Conv((1, 2, 5, 5), (3, 2, 3, 3), padding=4),  # windows of padding alone
    Conv((2, 3, 10, 10), (4, 3, 3, 3), stride=5),  # stride larger than the kernel
    Conv((1, 3, 1, 20), (4, 3, 1, 5), padding=(0, 2)),  # one-dimensional
    Conv((1, 16, 17, 19), (16, 16, 3, 3), padding=1),
    Conv((2, 33, 14, 14), (31, 33, 3, 3), padding=1),
    Conv((2, 9, 9, 11), (5, 9, 2, 4), stride=(2, 3), padding=(1, 2)),
    Conv((2, 12, 11, 13), (4, 12, 3, 3), padding=2, dilation=2),
    Conv((1, 2, 20, 21), (300, 2, 3, 3), padding=1),  # deeper than a block of the product
    Conv((1, 3, 30, 30), (8, 3, 7, 7), stride=2, padding=3),
    Conv((0, 3, 8, 8), (4, 3, 3, 3), padding=1),  # empty batch
    Conv((0, 4, 5, 5), (4, 1, 3, 3), groups=4),
    Conv((2, 0, 4, 4), (3, 0, 3, 3)),  # no channels: the bias alone
]

POOL = [
    Pool((1, 1, 1, 1), 1),
    Pool((2, 3, 8, 8), 2),
    Pool((2, 3, 7, 9), 2),  # the last row and column belong to no window
    Pool((2, 3, 9, 9), 3, 2),
    Pool((2, 3, 8, 10), 3, 2, 1),
    Pool((1, 2, 7, 7), 3, 1, 1),
    Pool((2, 2, 9, 8), (2, 3), (3, 1), (1, 0)),
    Pool((1, 2, 6, 7), (3, 2), (2, 2), (1, 1)),
    Pool((2, 1, 5, 5), 5),
    Pool((1, 2, 10, 10), 2, 5),  # stride larger than the window
    Pool((1, 1, 18, 18), (17, 16), 1),  # 272 positions: indices no longer fit a byte
    Pool((1, 5, 33, 35), 2),
    Pool((0, 3, 8, 8), 2),
]

NORM = [
    (1, 1),
    (7, 5),
    (64, 33),
    (1, 3, 2, 2),
    (2, 1, 3, 5),
    (4, 6, 7, 9),
    (3, 17, 16, 16),
    (2, 0, 3, 3),  # no channels
]

LAYER_NORM = [(1, 1), (9,), (7, 5), (3, 8), (40, 33), (2, 3, 4, 6), (17, 256), (5, 1000)]
LAYER_NORM += [(3, 5001), (0, 4), (2, 0, 3)]

# Indices (any shape), rows and columns of the table.
EMBEDDING: list[tuple[tuple[int, ...], int, int]] = [
    ((), 1, 1),
    ((3,), 5, 4),
    ((4, 6), 7, 33),
    ((2, 3, 4), 300, 1),
    ((20, 35), 10000, 9),
    ((2000,), 3, 17),
    ((500,), 70000, 2),  # indices of three bytes
    ((0,), 4, 5),
    ((3, 0), 0, 5),
    ((3,), 5, 0),
]

SOFTMAX = [(1, 1), (3, 7), (64, 10), (5, 33), (2, 1000), (17,), (2, 3, 5), (0, 10), (4, 0)]

ELEMENTWISE = [(), (0,), (1,), (7,), (8,), (9,), (31,), (33,), (3, 5), (2, 3, 4, 5), (1000,)]
ELEMENTWISE += [(70001,)]

GEMM = [
    Gemm(1, 1, 1),
    Gemm(1, 7, 1),
    Gemm(2, 3, 4),
    Gemm(6, 16, 16),
    Gemm(7, 17, 15),
    Gemm(5, 1, 9),
    Gemm(33, 65, 31),
    Gemm(100, 784, 10),
    Gemm(129, 127, 128),
    Gemm(1, 300, 257),  # one row
    Gemm(257, 300, 1),  # one column
    Gemm(1000, 3, 2),  # tall
    Gemm(2, 3, 1000),  # wide
    Gemm(3, 2000, 5),  # long sums
    Gemm(0, 3, 4),
    Gemm(3, 0, 4),
    Gemm(3, 4, 0),
]

RECURRENT = [  # T, N, D, H
    (1, 1, 1, 1),
    (2, 3, 4, 5),
    (5, 1, 3, 8),
    (3, 2, 5, 16),
    (4, 7, 9, 17),
    (3, 19, 16, 36),
    (2, 40, 70, 7),  # several blocks of rows
    (19, 5, 3, 4),  # several chunks of steps
    (3, 2, 300, 3),  # deeper than a block of the product: inputs
    (2, 3, 2, 270),  # units, and their gates
    (3, 400, 2, 3),  # more rows than one chunk of the way back
    (0, 2, 3, 4),
    (3, 0, 2, 3),
    (2, 3, 0, 4),
    (2, 3, 4, 0),
]

ATTENTION = [
    Attention(1, 1, 1, 1, 1, 1),
    Attention(2, 3, 5, 7, 3, 4),
    Attention(3, 2, 20, 20, 16, 16),
    Attention(2, 2, 33, 17, 8, 5),
    Attention(1, 2, 1, 50, 6, 9),  # one query
    Attention(2, 1, 50, 1, 7, 3),  # one key
    Attention(2, 1, 129, 257, 16, 16),  # several blocks of queries, and of keys
    Attention(1, 2, 300, 300, 33, 20),
    Attention(1, 1, 70, 1100, 8, 8),  # keys in several parts
    Attention(1, 2, 600, 520, 5, 40),
    Attention(0, 2, 3, 4, 5, 6),
    Attention(2, 2, 0, 4, 5, 6),
    Attention(2, 2, 3, 0, 5, 6),  # no keys
]

REDUCE: list[tuple[tuple[int, ...], int | tuple[int, ...] | None]] = [
    ((), None),
    ((1,), 0),
    ((9,), None),
    ((1000,), -1),
    ((3, 5), None),
    ((3, 5), 0),
    ((3, 5), 1),
    ((4, 5, 6), 1),
    ((4, 5, 6), (0, 2)),
    ((4, 5, 6), (1, 2)),
    ((2, 3, 4, 5), (-1, 0, 2)),
    ((2, 3, 4, 5), ()),
    ((70, 1001), 0),
    ((70, 1001), 1),
    ((0, 3), 1),
    ((3, 4, 0), 0),
]


class Bench(NamedTuple):
    """A layer of the benchmark: function, and its arguments as shapes and numbers."""

    function: str
    arguments: dict[str, Any]


def _conv(n: int, c: int, h: int, o: int, k: int, stride: int, padding: int) -> Bench:
    arguments = {"x": (n, c, h, h), "weight": (o, c, k, k), "bias": (o,)}
    return Bench("conv2d", arguments | {"stride": stride, "padding": padding})


def _fold(n: int, c: int, h: int, k: int, padding: int) -> dict[str, Bench]:
    """im2col of n images of c channels and h x h pixels, and its way back."""
    out, window = h + 2 * padding - k + 1, {"kernel_size": k, "padding": padding}
    shape, col = (n, c, h, h), (n * out * out, c * k * k)
    return {
        f"im2col {c} {k}x{k} on {h}x{h}": Bench("im2col", {"x": shape, **window}),
        f"col2im {c} {k}x{k} on {h}x{h}": Bench("col2im", {"col": col, "x_shape": shape, **window}),
    }


def _layer_norm(rows: int, cols: int) -> Bench:
    return Bench("layer_norm", {"x": (rows, cols), "weight": (cols,), "bias": (cols,)})


def _linear(n: int, inputs: int, outputs: int) -> Bench:
    shapes = {"x": (n, inputs), "weight": (outputs, inputs), "bias": (outputs,)}
    return Bench("linear", shapes)


def _norm(shape: tuple[int, ...], **options: Any) -> Bench:
    channels = (shape[1],)
    return Bench("batch_norm", {"x": shape, "weight": channels, "bias": channels, **options})


def _recurrent(function: str, t: int, n: int, d: int, h: int) -> Bench:
    rows = {"lstm": 4, "gru": 3, "rnn": 1}[function.split("_")[0]] * h
    shapes = {"x": (t, n, d), "weight_ih": (rows, d), "weight_hh": (rows, h)}
    return Bench(function, shapes | {"bias_ih": (rows,), "bias_hh": (rows,)})


def _attention(n: int, heads: int, t: int, d: int) -> dict[str, Bench]:
    arguments = {"qkv": (n, t, 3 * heads * d), "heads": heads}
    return {f"attention {n}x{heads}x{t}x{d}": Bench("self_attention", arguments)}


def _update(function: str, *state: str, **options: Any) -> Bench:
    names = ("param", "grad", *state)
    return Bench(function, dict.fromkeys(names, (PARAMETERS,)) | options)


IMAGES = (64, 64, 56, 56)
PARAMETERS = 2_000_000

BENCH = {
    "conv 1-30 5x5 on 28x28": _conv(100, 1, 28, 30, 5, 1, 0),
    "conv 16-16 3x3 on 28x28": _conv(100, 16, 28, 16, 3, 1, 1),
    "conv 64-64 3x3 on 8x8": _conv(100, 64, 8, 64, 3, 1, 1),
    "conv 64-64 3x3 on 56x56": _conv(16, 64, 56, 64, 3, 1, 1),
    "conv 128-128 3x3 on 28x28": _conv(16, 128, 28, 128, 3, 1, 1),
    "conv 256-256 3x3 on 14x14": _conv(16, 256, 14, 256, 3, 1, 1),
    "conv 64-256 1x1 on 56x56": _conv(16, 64, 56, 256, 1, 1, 0),
    "conv 3-64 7x7/2 on 224x224": _conv(16, 3, 224, 64, 7, 2, 3),
    "conv 64-192 5x5 on 27x27": _conv(16, 64, 27, 192, 5, 1, 2),
    **_fold(100, 1, 28, 5, 0),
    **_fold(100, 16, 28, 3, 1),
    **_fold(100, 64, 8, 3, 1),
    **_fold(16, 64, 56, 3, 1),
    "max pool 2/2": Bench("max_pool2d", {"x": IMAGES, "kernel_size": 2, "stride": 2}),
    "max pool 3/2": Bench("max_pool2d", {"x": IMAGES, "kernel_size": 3, "stride": 2}),
    "average pool 2/2": Bench("avg_pool2d", {"x": IMAGES, "kernel_size": 2, "stride": 2}),
    "global average pool": Bench("global_avg_pool2d", {"x": IMAGES}),
    "batch norm": _norm(IMAGES),
    "batch norm 256 on 8x8": _norm((64, 256, 8, 8)),
    "batch norm 512 on 4x4": _norm((32, 512, 4, 4)),
    "batch norm 100x100": _norm((100, 100)),
    "batch norm + ReLU": _norm(IMAGES, activation="relu"),
    "batch norm + ReLU on 8x8": _norm((64, 256, 8, 8), activation="relu"),
    "layer norm 4096x256": _layer_norm(4096, 256),
    "layer norm 2048x256": _layer_norm(2048, 256),
    "embedding 10000x100": Bench("embedding", {"indices": (20, 35), "weight": (10000, 100)}),
    "ReLU": Bench("relu", {"x": IMAGES}),
    "ReLU 100x100": Bench("relu", {"x": (100, 100)}),
    "leaky ReLU": Bench("leaky_relu", {"x": IMAGES}),
    "sigmoid": Bench("sigmoid", {"x": IMAGES}),
    "tanh": Bench("tanh", {"x": IMAGES}),
    "dropout 0.5": Bench("dropout", {"x": IMAGES, "p": 0.5}),
    "residual add + ReLU": Bench("add", {"a": IMAGES, "b": IMAGES, "activation": "relu"}),
    "GELU": Bench("gelu", {"x": IMAGES}),
    "GELU 2048x1024": Bench("gelu", {"x": (2048, 1024)}),
    "softmax 4096x1000": Bench("softmax", {"x": (4096, 1000)}),
    "log-softmax 4096x1000": Bench("log_softmax", {"x": (4096, 1000)}),
    "cross-entropy 4096x1000": Bench("cross_entropy", {"x": (4096, 1000), "target": (4096,)}),
    "cross-entropy 700x10000": Bench("cross_entropy", {"x": (700, 10000), "target": (700,)}),
    "cross-entropy 100x10": Bench("cross_entropy", {"x": (100, 10), "target": (100,)}),
    "MSE 4096x1000": Bench("mse_loss", {"x": (4096, 1000), "target": (4096, 1000)}),
    "sum": Bench("reduce_sum", {"x": (4096, 1000)}),
    "sum of columns": Bench("reduce_sum", {"x": (4096, 1000), "axis": 0}),
    "mean of rows": Bench("reduce_mean", {"x": (4096, 1000), "axis": 1}),
    "maximum of rows": Bench("reduce_max", {"x": (4096, 1000), "axis": 1}),
    "linear 784-100": _linear(100, 784, 100),
    "linear 4320-100": _linear(100, 4320, 100),
    "linear 256-1024": _linear(4096, 256, 1024),
    "GEMM 256": Bench("gemm", {"a": (256, 256), "b": (256, 256)}),
    "GEMM 512": Bench("gemm", {"a": (512, 512), "b": (512, 512)}),
    "GEMM 1024": Bench("gemm", {"a": (1024, 1024), "b": (1024, 1024)}),
    "GEMM 2048": Bench("gemm", {"a": (2048, 2048), "b": (2048, 2048)}),
    "LSTM 35x20 100-100": _recurrent("lstm", 35, 20, 100, 100),
    "LSTM 35x32 128-256": _recurrent("lstm", 35, 32, 128, 256),
    "LSTM 100x64 64-128": _recurrent("lstm", 100, 64, 64, 128),
    "LSTM 20x1 64-64": _recurrent("lstm", 20, 1, 64, 64),
    "LSTM inference 35x32 128-256": _recurrent("lstm_inference", 35, 32, 128, 256),
    "GRU 35x20 100-100": _recurrent("gru", 35, 20, 100, 100),
    "RNN 35x20 100-100": _recurrent("rnn", 35, 20, 100, 100),
    **_attention(16, 8, 128, 32),
    **_attention(4, 8, 512, 64),
    "SGD": _update("sgd_update", lr=0.01),
    "momentum": _update("momentum_update", "velocity", lr=0.01),
    "AdaGrad": _update("adagrad_update", "sum_sq", lr=0.01),
    "RMSprop": _update("rmsprop_update", "mean_sq", lr=0.01),
    "Adadelta": _update("adadelta_update", "mean_sq", "mean_delta_sq"),
    "Adam": _update("adam_update", "m", "v", step=10),
    "AdamW": _update("adamw_update", "m", "v", step=10),
}
