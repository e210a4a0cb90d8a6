"""The shapes that tests run every function on.

Small and awkward: odd sizes, empty batches, single elements, sizes around the vector width.
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
            if value != self._field_defaults[name]
        )


class ConvTranspose(NamedTuple):
    """A transposed convolution: x (N, C, H, W), weight (C, O / groups, KH, KW)."""

    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    stride: IntPair = 1
    padding: IntPair = 0
    output_padding: IntPair = 0
    groups: int = 1
    dilation: IntPair = 1

    options = Conv.options
    __str__ = Conv.__str__


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
    Conv((3, 5, 19, 17), (37, 5, 1, 1)),  # more outputs than inputs
    Conv((20, 6, 4, 5), (42, 3, 1, 1), groups=2),
]

CONV_TRANSPOSE = [
    ConvTranspose((1, 1, 1, 1), (1, 1, 1, 1)),
    ConvTranspose((2, 3, 5, 4), (3, 4, 3, 3)),
    ConvTranspose((2, 4, 4, 5), (4, 3, 4, 4), stride=2, padding=1),  # twice the size
    ConvTranspose((2, 3, 4, 5), (3, 5, 3, 3), stride=2, padding=1, output_padding=1),
    ConvTranspose((2, 5, 4, 3), (5, 2, 2, 2), stride=2),  # kernels side by side
    ConvTranspose((2, 3, 3, 4), (3, 2, 1, 2), stride=(3, 4), output_padding=(2, 1)),  # and gaps
    ConvTranspose((2, 6, 4, 3), (6, 2, 3, 2), stride=(1, 3), padding=(2, 1), groups=3),
    ConvTranspose((2, 4, 5, 6), (4, 1, 3, 3), stride=2, padding=1, groups=4),  # depthwise
    ConvTranspose((2, 6, 5, 6), (6, 1, 3, 3), padding=1, groups=3),  # two kernels a channel
    ConvTranspose((1, 2, 6, 5), (2, 3, 3, 2), padding=(1, 0), dilation=(2, 3)),
    ConvTranspose((1, 3, 1, 20), (3, 2, 1, 5), stride=(1, 2), padding=(0, 2)),  # one-dimensional
    ConvTranspose((1, 2, 5, 6), (2, 2, 3, 3), padding=3),  # the middle alone is left
    ConvTranspose((2, 3, 17, 19), (3, 7, 5, 5), stride=2, padding=2, output_padding=(0, 1)),
    ConvTranspose((2, 0, 3, 4), (0, 3, 2, 2)),  # no channels: the bias alone
    ConvTranspose((0, 3, 4, 4), (3, 2, 3, 3), stride=2),  # empty batch
    ConvTranspose((2, 3, 2, 2), (3, 0, 2, 2)),  # nothing to compute
    ConvTranspose((2, 17, 14, 13), (17, 12, 3, 3), padding=1),  # by Winograd's algorithm,
    ConvTranspose((2, 9, 11, 14), (9, 21, 3, 3), stride=2, padding=1, output_padding=1),  # strided
    ConvTranspose((5, 20, 14, 14), (20, 33, 4, 4), stride=2, padding=1),  # many channels
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
    Pool((1, 1, 18, 18), (16, 16), 1),  # 256 positions and the one for none,
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
