"""Pooling layers over images (NCHW)."""

from __future__ import annotations

import numpy as np

from nnfast import functional as F
from nnfast.layers.base import Layer
from nnfast.layers.checks import pair, short
from nnfast.layers.parameter import Array

IntPair = int | tuple[int, int]


class _Pool2d(Layer):
    """Window, stride and padding, common to both kinds."""

    def __init__(
        self, kernel_size: IntPair, stride: IntPair | None = None, padding: IntPair = 0
    ) -> None:
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        for pad, size in zip(self.padding, self.kernel_size, strict=True):
            if 2 * pad > size:
                raise ValueError(
                    f"padding must be at most half of kernel_size={kernel_size}, got {padding}"
                )
        self._window = (self.kernel_size, self.stride, self.padding)

    def _describe(self) -> str:
        text = short(self.kernel_size)
        text += f", stride={short(self.stride)}" if self.stride != self.kernel_size else ""
        return text + (f", padding={short(self.padding)}" if self.padding != (0, 0) else "")


class MaxPool2d(_Pool2d):
    """The largest value of each window; the first of equal ones takes the gradient, NaN wins.

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        `kernel_size` if not given.
    padding : int or (int, int)
        At most half of `kernel_size`; padded places never win.

    Raises
    ------
    TypeError, ValueError
        A number that is no integer or out of range.
    """

    def forward(self, x: Array) -> Array:
        """Map x (N, C, H, W) to (N, C, OH, OW)."""
        return self.forward_fused(x, None)

    def forward_fused(self, x: Array, activation: str | None) -> Array:
        """Do `forward` with this activation, through which `backward` goes too."""
        y, indices = F.max_pool2d(x, *self._window, activation)
        self._saved = (indices, np.shape(x))
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (N, C, OH, OW), return dx (N, C, H, W)."""
        indices, x_shape = self._take()
        return F.max_pool2d_backward(dout, indices, x_shape, *self._window) if needs_dx else None


class AvgPool2d(_Pool2d):
    """The mean of each window.

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        `kernel_size` if not given.
    padding : int or (int, int)
        At most half of `kernel_size`.
    count_include_pad : bool
        Whether padded zeros count in the divisor.

    Raises
    ------
    TypeError, ValueError
        A number that is no integer or out of range.
    """

    def __init__(
        self,
        kernel_size: IntPair,
        stride: IntPair | None = None,
        padding: IntPair = 0,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x: Array) -> Array:
        """Map x (N, C, H, W) to (N, C, OH, OW)."""
        y = F.avg_pool2d(x, *self._window, self.count_include_pad)
        self._saved = np.shape(x)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (N, C, OH, OW), return dx (N, C, H, W)."""
        shape = self._take()
        if not needs_dx:
            return None
        return F.avg_pool2d_backward(dout, shape, *self._window, self.count_include_pad)


class GlobalAvgPool2d(Layer):
    """The mean of each channel. Lin, Chen & Yan, "Network In Network", ICLR 2014."""

    def forward(self, x: Array) -> Array:
        """Map x (N, C, H, W) to (N, C)."""
        y = F.global_avg_pool2d(x)
        self._saved = np.shape(x)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (N, C), return dx (N, C, H, W)."""
        shape = self._take()
        return F.global_avg_pool2d_backward(dout, shape) if needs_dx else None
