"""Unfolding images into matrices of windows and back: what convolution and pooling stand on.

Both directions loop over the few taps of the kernel and move a strided slice of all images at a
time.
"""

import math
from collections.abc import Sequence

import numpy as np

from . import _checks
from ._checks import Array, IntPair

Pair = tuple[int, int]


def im2col(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Array:
    """Return each window of the zero-padded images as one row.

    x: (N, C, H, W), result: (N*OH*OW, C*KH*KW).
    """
    _checks.floats(x=x)
    _checks.ndim("x", x, 4)
    kernel, steps, pads, holes, out = geometry(x.shape, kernel_size, stride, padding, dilation)
    taps = unfold(x, kernel, steps, pads, holes, out)
    col = taps.transpose(0, 4, 5, 1, 2, 3).reshape(
        x.shape[0] * math.prod(out), x.shape[1] * math.prod(kernel)
    )
    return np.ascontiguousarray(col)


def col2im(
    col: Array,
    x_shape: Sequence[int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Array:
    """Add the rows of windows up into images: the transpose of `im2col`.

    col: (N*OH*OW, C*KH*KW), result: x_shape = (N, C, H, W).
    """
    _checks.floats(col=col)
    n, c, h, w = _checks.image_shape("x_shape", x_shape)
    kernel, steps, pads, holes, out = geometry((n, c, h, w), kernel_size, stride, padding, dilation)
    _checks.shape("col", col, (n * math.prod(out), c * math.prod(kernel)))
    taps = col.reshape(n, *out, c, *kernel).transpose(0, 3, 4, 5, 1, 2)
    return fold(taps, (n, c, h, w), steps, pads, holes)


def pairs(
    kernel_size: IntPair, stride: IntPair, padding: IntPair, dilation: IntPair, kernel_name: str
) -> tuple[Pair, Pair, Pair, Pair]:
    """Check the numbers of a sliding window; return them as pairs."""
    kernel = _checks.pair(kernel_name, kernel_size, 1)
    steps = _checks.pair("stride", stride, 1)
    pads = _checks.pair("padding", padding, 0)
    return kernel, steps, pads, _checks.pair("dilation", dilation, 1)


def geometry(
    x_shape: tuple[int, ...],
    kernel_size: IntPair,
    stride: IntPair,
    padding: IntPair,
    dilation: IntPair = 1,
    kernel_name: str = "kernel_size",
) -> tuple[Pair, Pair, Pair, Pair, Pair]:
    """Check a sliding window; return kernel, stride, padding, dilation and output size as pairs."""
    kernel, steps, pads, holes = pairs(kernel_size, stride, padding, dilation, kernel_name)
    n, c, *image = x_shape
    padded = [size + 2 * p for size, p in zip(image, pads, strict=True)]
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, holes, strict=True)]
    _checks.bytes_fit("padding", n, c, *padded)
    if extent[0] > padded[0] or extent[1] > padded[1]:
        raise ValueError(
            f"{kernel_name} {kernel} with dilation {holes} covers {tuple(extent)} pixels, "
            f"more than the padded image has, {tuple(padded)}"
        )
    out_h, out_w = ((size - e) // s + 1 for size, e, s in zip(padded, extent, steps, strict=True))
    _checks.bytes_fit(kernel_name, n, c, *kernel, out_h, out_w)
    return kernel, steps, pads, holes, (out_h, out_w)


def unfold(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair, fill: float = 0
) -> Array:
    """Return all windows tap by tap: (N, C, H, W) -> (N, C, KH, KW, OH, OW)."""
    (ph, pw), n, c = padding, x.shape[0], x.shape[1]
    if ph or pw:
        x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    taps = np.empty((n, c, *kernel, *out), dtype=x.dtype)
    for i in range(kernel[0]):
        rows = _tap(i, dilation[0], stride[0], out[0])
        for j in range(kernel[1]):
            taps[:, :, i, j] = x[:, :, rows, _tap(j, dilation[1], stride[1], out[1])]
    return taps


def fold(
    taps: Array, x_shape: tuple[int, int, int, int], stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Add the windows up where they came from: (N, C, KH, KW, OH, OW) -> (N, C, H, W)."""
    (n, c, h, w), (ph, pw) = x_shape, padding
    x = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=taps.dtype)
    kh, kw, oh, ow = taps.shape[2:]
    for i in range(kh):
        rows = _tap(i, dilation[0], stride[0], oh)
        for j in range(kw):
            x[:, :, rows, _tap(j, dilation[1], stride[1], ow)] += taps[:, :, i, j]
    return np.ascontiguousarray(x[:, :, ph : ph + h, pw : pw + w])


def _tap(index: int, dilation: int, stride: int, count: int) -> slice:
    """Return the padded rows (or columns) that one kernel tap meets over all windows."""
    start = index * dilation
    return slice(start, start + (count - 1) * stride + 1, stride)
