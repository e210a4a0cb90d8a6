"""The book's ``common.util``: unfolding images for a convolution, and small helpers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ._promote import Array, float64

__all__ = ["col2im", "conv_output_size", "im2col", "shuffle_dataset", "smooth_curve"]


def smooth_curve(x: Any) -> Array:
    """Smooth a curve for plotting: Kaiser window of 11 points over the mirrored ends."""
    half, length = 5, 11
    mirrored = np.r_[x[length - 1 : 0 : -1], x, x[-1:-length:-1]]
    window = np.kaiser(length, 2)
    smooth = np.convolve(window / window.sum(), mirrored, mode="valid")
    return smooth[half : len(smooth) - half]


def shuffle_dataset(x: Array, t: Array) -> tuple[Array, Array]:
    """Shuffle samples and labels alike, with NumPy's global generator."""
    order = np.random.permutation(x.shape[0])
    return x[order], t[order]


def conv_output_size(input_size: int, filter_size: int, stride: int = 1, pad: int = 0) -> float:
    """Output size of a convolution along one axis, not rounded."""
    return (input_size + 2 * pad - filter_size) / stride + 1


def im2col(input_data: Array, filter_h: int, filter_w: int, stride: int = 1, pad: int = 0) -> Array:
    """Unfold images (N, C, H, W) to float64 rows (N*out_h*out_w, C*filter_h*filter_w)."""
    return F.im2col(float64(input_data), (filter_h, filter_w), stride, pad)


def col2im(
    col: Array,
    input_shape: Sequence[int],
    filter_h: int,
    filter_w: int,
    stride: int = 1,
    pad: int = 0,
) -> Array:
    """Add rows as `im2col` gives them back up to float64 images of input_shape."""
    shape: tuple[Any, ...] = tuple(input_shape)
    rows = float64(col).reshape(-1, shape[1] * filter_h * filter_w)
    return F.col2im(rows, shape, (filter_h, filter_w), stride, pad)
