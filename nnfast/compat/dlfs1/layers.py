"""The book's ``common.layers`` on nnfast's kernels: same names, attributes, numbers and dtypes.

Arrays that the book keeps but the kernels do without (the unfolded images ``Convolution.col``, the
mask of a ReLU, ...) are properties, computed from the last forward when somebody reads them. Once
read, or set by a subclass that has a forward of its own, they are what backward goes by.
Star-importing this module also gives what the book's own module gives: np, the functions, im2col.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ... import functional as F
from . import functions
from ._promote import Array, as_dtype, as_row, is_native, promote
from .functions import *  # noqa: F403 (the book's module exposes them)
from .functions import cross_entropy_error, sigmoid, softmax
from .image_layers import Convolution, Pooling
from .normalization import BatchNormalization
from .util import col2im, im2col

__all__ = [
    "Affine",
    "BatchNormalization",
    "Convolution",
    "Dropout",
    "Pooling",
    "Relu",
    "Sigmoid",
    "SoftmaxWithLoss",
    "col2im",
    "im2col",
    "np",
    *functions.__all__,
]


class Relu:
    """Rectified linear unit: 0 where x <= 0."""

    def __init__(self) -> None:
        self._x: Array | None = None

    @cached_property
    def mask(self) -> Array | None:
        """Where the last input was <= 0."""
        return None if self._x is None else self._x <= 0

    def forward(self, x: Array) -> Array:
        """Give x with 0 where it is <= 0."""
        self._x = x
        self.__dict__.pop("mask", None)
        (values,), dtype = promote(x)
        return as_dtype(F.relu(values), dtype)

    def backward(self, dout: Array) -> Array:
        """Write 0 into dout where the input was <= 0, and give dout itself back."""
        if vars(self).get("mask") is not None:
            dout[self.mask] = 0
            return dout
        if self._x is None:
            raise RuntimeError("Relu.backward was called before forward")
        if dout.shape != self._x.shape or not is_native(dout, self._x):
            np.copyto(dout, 0, where=self._x <= 0)
        else:  # five times as fast where signs alternate
            np.copyto(dout, F.relu_backward(dout, self._x))
        return dout


class Sigmoid:
    """Logistic function; `out` is the last output."""

    def __init__(self) -> None:
        self.out: Any = None

    def forward(self, x: Array) -> Array:
        """Give 1 / (1 + exp(-x))."""
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout: Array) -> Array:
        """Give the gradient of the input."""
        (values, out), dtype = promote(dout, self.out)
        return as_dtype(F.sigmoid_backward(values, out), dtype)


class Affine:
    """Matrix product with a bias: x W + b, W of shape (in, out), on inputs flattened to (N, in)."""

    def __init__(self, W: Array, b: Array) -> None:
        self.W = W
        self.b = b
        self.x: Any = None
        self.original_x_shape: tuple[int, ...] | None = None
        self.dW: Array | None = None
        self.db: Array | None = None

    def forward(self, x: Array) -> Array:
        """Give the (N, out) product; x of any shape (N, ...)."""
        self.original_x_shape = x.shape
        self.x = x.reshape(x.shape[0], -1)
        (values, W, b), dtype = promote(self.x, self.W, self.b)
        return as_dtype(F.gemm(values, W, bias=as_row(b, W.shape[1])), dtype)

    def backward(self, dout: Array) -> Array:
        """Fill dW and db, give the gradient of the input in the input's shape."""
        (values, x), dtype = promote(dout, self.x)
        self.dW = as_dtype(F.gemm(x, values, transpose_a=True), dtype)
        self.db = np.sum(dout, axis=0)
        (values, W), dtype = promote(dout, self.W)
        dx = as_dtype(F.gemm(values, W, transpose_b=True), dtype)
        return dx.reshape(self.original_x_shape)


class SoftmaxWithLoss:
    """Softmax and cross entropy against labels or one-hot rows; y, t and loss stay readable."""

    def __init__(self) -> None:
        self.loss: Any = None
        self.y: Any = None
        self.t: Any = None

    def forward(self, x: Array, t: Array) -> Any:
        """Give the mean loss, ``-log(y + 1e-7)`` at the true class."""
        self.t = t
        self.y = softmax(x)
        self.loss = cross_entropy_error(self.y, t)
        return self.loss

    def backward(self, dout: Any = 1) -> Array:
        """Give (y - t) / N; the value of dout is ignored."""
        n = self.t.shape[0]
        dx: Array
        if self.t.size == self.y.size:
            dx = self.y - self.t
        else:
            dx = self.y.copy()
            dx[np.arange(n), self.t] -= 1
        return dx / n


class Dropout:
    """Dropout without scaling in training (Srivastava et al., 2014): the mask is NumPy's random."""

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        self.dropout_ratio = dropout_ratio
        self.mask: Any = None

    def forward(self, x: Array, train_flg: bool = True) -> Array:
        """Drop elements at random in training; scale by 1 - dropout_ratio otherwise."""
        if not train_flg:
            return x * (1.0 - self.dropout_ratio)
        self.mask = np.random.rand(*x.shape) > self.dropout_ratio
        return np.asarray(x * self.mask)

    def backward(self, dout: Array) -> Array:
        """Pass the gradient where the input passed."""
        return np.asarray(dout * self.mask)
