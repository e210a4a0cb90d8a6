"""Pooling of images: maximum and mean of windows, mean of whole channels."""

import math
from collections.abc import Sequence

import numpy as np

from . import _checks
from ._checks import RECTIFIERS, Array, IntPair
from .activation import apply
from .im2col import Pair, fold, geometry, unfold


def max_pool2d(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    activation: str | None = None,
) -> tuple[Array, Array]:
    """Return the largest value of each window and its position in the window.

    x: (N, C, H, W); results y, indices: (N, C, OH, OW). Positions count row by row, uint8 for
    windows of less than 256 values, else int32. The first of equal values wins; NaN wins over all.
    Padding is never chosen. What a ReLU cuts off has the position after the last.
    """
    _checks.floats(x=x)
    _checks.ndim("x", x, 4)
    _checks.choice("activation", activation, RECTIFIERS)
    kernel, steps, pads, out = _geometry(x.shape, kernel_size, stride, padding)
    size = math.prod(kernel)
    taps = unfold(x, kernel, steps, pads, (1, 1), out, fill=-math.inf)
    taps = taps.reshape(*x.shape[:2], size, *out)
    indices = np.argmax(taps, axis=2)
    y = np.take_along_axis(taps, indices[:, :, np.newaxis], axis=2)[:, :, 0]
    if any(pads):  # a window of -inf alone must not point into the padding
        inside = unfold(np.ones((1, 1, *x.shape[2:])), kernel, steps, pads, (1, 1), out)
        first = np.argmax(inside.reshape(size, *out), axis=0)
        indices = np.where(np.isneginf(y), first, indices)
    if activation:
        indices = np.where(y <= 0, size, indices)
        y = apply(y, activation)
    return y, indices.astype(_index_dtype(size))


def max_pool2d_backward(
    dy: Array,
    indices: Array,
    x_shape: Sequence[int],
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
) -> Array:
    """Return the gradient of `max_pool2d`: each dy goes to the position that was the largest.

    dy, indices: (N, C, OH, OW), result: x_shape = (N, C, H, W).
    """
    _checks.floats(dy=dy)
    shape = _checks.image_shape("x_shape", x_shape)
    kernel, steps, pads, out = _geometry(shape, kernel_size, stride, padding)
    size = math.prod(kernel)
    _checks.shape("dy", dy, (*shape[:2], *out))
    if not isinstance(indices, np.ndarray) or indices.dtype != _index_dtype(size):
        got = getattr(indices, "dtype", type(indices).__name__)
        raise TypeError(f"indices must be an array of {_index_dtype(size)}, got {got}")
    _checks.shape("indices", indices, dy.shape)
    if indices.size and not 0 <= indices.min() <= indices.max() <= size:
        raise ValueError(
            f"indices must lie in [0, {size}], the positions in a window and the one for none of "
            "them"
        )
    taps = np.zeros((*shape[:2], size + 1, *out), dtype=dy.dtype)
    where = indices[:, :, np.newaxis].astype(np.int64)
    np.put_along_axis(taps, where, dy[:, :, np.newaxis], axis=2)
    return fold(taps[:, :, :size].reshape(*shape[:2], *kernel, *out), shape, steps, pads, (1, 1))


def avg_pool2d(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    count_include_pad: bool = True,
) -> Array:
    """Return the mean of each window; the padding counts as zeros, or not at all.

    x: (N, C, H, W), result: (N, C, OH, OW).
    """
    _checks.floats(x=x)
    _checks.ndim("x", x, 4)
    kernel, steps, pads, out = _geometry(x.shape, kernel_size, stride, padding)
    taps = unfold(x, kernel, steps, pads, (1, 1), out)
    count = _count(x.shape, kernel, steps, pads, out, count_include_pad)
    return np.sum(taps, axis=(2, 3)) / count.astype(x.dtype)


def avg_pool2d_backward(
    dy: Array,
    x_shape: Sequence[int],
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    count_include_pad: bool = True,
) -> Array:
    """Return the gradient of `avg_pool2d`: each dy is shared out evenly over its window.

    dy: (N, C, OH, OW), result: x_shape = (N, C, H, W).
    """
    _checks.floats(dy=dy)
    shape = _checks.image_shape("x_shape", x_shape)
    kernel, steps, pads, out = _geometry(shape, kernel_size, stride, padding)
    _checks.shape("dy", dy, (*shape[:2], *out))
    share = dy / _count(shape, kernel, steps, pads, out, count_include_pad).astype(dy.dtype)
    taps = np.broadcast_to(share[:, :, np.newaxis, np.newaxis], (*shape[:2], *kernel, *out))
    return fold(taps, shape, steps, pads, (1, 1))


def global_avg_pool2d(x: Array) -> Array:
    """Return the mean of each channel: (N, C, H, W) -> (N, C)."""
    _checks.floats(x=x)
    _checks.ndim("x", x, 4)
    _check_image(x.shape)
    return np.mean(x, axis=(2, 3))


def global_avg_pool2d_backward(dy: Array, x_shape: Sequence[int]) -> Array:
    """Return the gradient of `global_avg_pool2d`: (N, C) -> x_shape = (N, C, H, W)."""
    _checks.floats(dy=dy)
    n, c, h, w = _checks.image_shape("x_shape", x_shape)
    _check_image((n, c, h, w), "x_shape")
    _checks.shape("dy", dy, (n, c))
    return np.broadcast_to((dy / (h * w))[:, :, np.newaxis, np.newaxis], (n, c, h, w)).copy()


def _geometry(
    shape: tuple[int, ...], kernel_size: IntPair, stride: IntPair | None, padding: IntPair
) -> tuple[Pair, Pair, Pair, Pair]:
    """Check a pooling window; without a stride the windows lie side by side."""
    _check_image(shape)
    stride = kernel_size if stride is None else stride
    kernel, steps, pads, _, out = geometry(shape, kernel_size, stride, padding)
    if math.prod(kernel) > np.iinfo(np.int32).max:
        raise ValueError(f"kernel_size must have positions that fit 32 bits, got {kernel}")
    if 2 * pads[0] > kernel[0] or 2 * pads[1] > kernel[1]:
        raise ValueError(
            f"padding must be at most half of kernel_size {kernel}, so that no window lies in "
            f"the padding alone, got {pads}"
        )
    return kernel, steps, pads, out


def _check_image(shape: tuple[int, ...], name: str = "x") -> None:
    if not (shape[2] and shape[3]):
        raise ValueError(f"{name} must have a height and width of at least 1, got {shape}")


def _count(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, out: Pair, padded: bool
) -> Array:
    """Return how many values each window averages: (OH, OW)."""
    if padded:
        return np.full(out, math.prod(kernel))
    inside = unfold(np.ones((1, 1, *shape[2:])), kernel, stride, padding, (1, 1), out)
    return np.sum(inside[0, 0], axis=(0, 1))


def _index_dtype(window: int) -> type[np.uint8] | type[np.int32]:
    return np.uint8 if window < 256 else np.int32
