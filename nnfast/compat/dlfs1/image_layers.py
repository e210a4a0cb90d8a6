"""The two layers of the book's ``common.layers`` that work on images: Convolution and Pooling.

The book unfolds images with im2col, which always gives float64; so do these layers, whatever the
dtype of images and weights, but they never unfold anything unless ``col`` or ``col_W`` is read.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ... import functional as F
from ._promote import Array, as_dtype, as_row, float64, is_native
from .util import col2im, im2col


class Convolution:
    """Convolution of (N, C, H, W) images with filters W (FN, C, FH, FW) and biases b (FN,)."""

    def __init__(self, W: Array, b: Array, stride: int = 1, pad: int = 0) -> None:
        self.W = W
        self.b = b
        self.stride = stride
        self.pad = pad
        self.x: Any = None
        self.dW: Array | None = None
        self.db: Array | None = None
        self._x: Any = None  # the input in float64
        self._W: Any = None  # the weights that the last forward used

    @cached_property
    def col(self) -> Any:
        """The last input, unfolded: (N*out_h*out_w, C*FH*FW)."""
        if self._x is None:
            return None
        filter_h, filter_w = self._W.shape[2:]
        return im2col(self._x, filter_h, filter_w, self.stride, self.pad)

    @cached_property
    def col_W(self) -> Any:
        """The filters as columns: (C*FH*FW, FN)."""
        return None if self._W is None else self._W.reshape(self._W.shape[0], -1).T

    def forward(self, x: Array) -> Array:
        """Give float64 maps (N, FN, out_h, out_w)."""
        self.x, self._x, self._W = x, float64(x), self.W
        self.__dict__.pop("col", None)
        self.__dict__.pop("col_W", None)
        bias = float64(as_row(self.b, self.W.shape[0]))
        return F.conv2d(self._x, float64(self.W), bias, self.stride, self.pad)

    def backward(self, dout: Array) -> Array:
        """Fill dW and db, give the gradient of the images."""
        get = vars(self).get
        if not (get("col") is get("col_W") is None):
            return self._backward_unfolded(dout)
        if self._x is None:
            raise RuntimeError("Convolution.backward was called before forward")
        dx, dW, db = F.conv2d_backward(
            float64(dout), self._x, float64(self._W), self.stride, self.pad
        )
        self.dW, self.db = dW, as_dtype(np.asarray(db), dout.dtype)
        return np.asarray(dx)

    def _backward_unfolded(self, dout: Array) -> Array:
        """Do the same as the book, with x, col and col_W, which were read or set by hand."""
        filters, _, filter_h, filter_w = self.W.shape
        rows = dout.transpose(0, 2, 3, 1).reshape(-1, filters)
        self.db = np.sum(rows, axis=0)
        self.dW = np.dot(rows.T, self.col).reshape(self.W.shape)
        dcol = np.dot(rows, self.col_W.T)
        return col2im(dcol, self.x.shape, filter_h, filter_w, self.stride, self.pad)


class Pooling:
    """Max pooling; a tie goes to the first position of the window, row by row."""

    def __init__(self, pool_h: int, pool_w: int, stride: int = 2, pad: int = 0) -> None:
        self.pool_h = pool_h
        self.pool_w = pool_w
        self.stride = stride
        self.pad = pad
        self.x: Any = None
        self._indices: Any = None
        self._shape: tuple[int, ...] = ()  # of the images with the border that pad adds

    @cached_property
    def arg_max(self) -> Any:
        """Position in its window of each maximum, for the outputs in the order (N, h, w, C)."""
        if self._indices is None:
            return None
        return self._indices.transpose(0, 2, 3, 1).ravel().astype(np.intp)

    def forward(self, x: Array) -> Array:
        """Give float64 maps (N, C, out_h, out_w).

        Raises
        ------
        ValueError
            If pad changes the size of the output: the book's formula does not know pad.
        """
        images = self._bordered(x) if self.pad else x
        if not is_native(images):
            images = float64(images)
        y, self._indices = F.max_pool2d(images, (self.pool_h, self.pool_w), self.stride)
        self.x, self._shape = x, images.shape
        self.__dict__.pop("arg_max", None)
        return float64(y)

    def _bordered(self, x: Array) -> Array:
        """Add the border of zeros that takes part in the maximum."""
        border = (self.pad, self.pad)
        for size, pool in zip(x.shape[2:], (self.pool_h, self.pool_w), strict=True):
            if (size - pool) // self.stride != (size + 2 * self.pad - pool) // self.stride:
                raise ValueError(
                    f"pad={self.pad} changes the number of windows of {pool} in {size} pixels, "
                    "and the book's Pooling computes its output size without pad; use pad=0"
                )
        return np.pad(x, [(0, 0), (0, 0), border, border])

    def backward(self, dout: Array) -> Array:
        """Give float64 gradients: each value of dout goes to the maximum of its window."""
        if vars(self).get("arg_max") is not None:
            return self._backward_unfolded(dout)
        if self._indices is None:
            raise RuntimeError("Pooling.backward was called before forward")
        dx = F.max_pool2d_backward(
            float64(dout), self._indices, self._shape, (self.pool_h, self.pool_w), self.stride
        )
        return dx[:, :, self.pad : -self.pad, self.pad : -self.pad] if self.pad else dx

    def _backward_unfolded(self, dout: Array) -> Array:
        """Do the same as the book, with x and arg_max, which was read or set by hand."""
        dmax = np.zeros((dout.size, self.pool_h * self.pool_w))
        dmax[np.arange(dout.size), self.arg_max.ravel()] = dout.transpose(0, 2, 3, 1).ravel()
        return col2im(dmax, self.x.shape, self.pool_h, self.pool_w, self.stride, self.pad)
