"""Layer normalisation. Ba, Kiros & Hinton, "Layer Normalization", 2016."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.functional._cast import as_array
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like, integer, number, same_dtype
from nnfast.layers.parameter import Array, Parameter


class LayerNorm(Layer):
    """Normalises each sample over its last axes, in training as in inference.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last axis, or the last axes, of the input.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether to learn a scale `weight`, and a shift `bias`.
    bias : bool
        False leaves out the shift.
    dtype : float32 or float64

    Attributes
    ----------
    weight, bias : Parameter, shape normalized_shape, or None

    Raises
    ------
    TypeError, ValueError
        A size that is no positive integer, no size at all, or a wrong `eps` or dtype.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        shape = tuple(integer("normalized_shape", size) for size in sizes)
        if not shape:
            raise ValueError("normalized_shape must have at least one size, got none")
        self.normalized_shape = shape
        self.eps = number("eps", eps)
        ones, zeros = _init.ones(shape, dtype=dtype), _init.zeros(shape, dtype=dtype)
        self.weight = Parameter(ones, name="weight") if elementwise_affine else None
        self.bias = Parameter(zeros, name="bias") if elementwise_affine and bias else None

    def forward(self, x: Array) -> Array:
        """Map x (..., *normalized_shape) to the same shape.

        Raises
        ------
        TypeError
            x is float64 and the weights are float32.
        ValueError
            x has other last axes.
        """
        x = as_array("x", x)
        leading = x.ndim - len(self.normalized_shape)
        if leading < 0 or x.shape[leading:] != self.normalized_shape:
            sizes = ", ".join(map(str, self.normalized_shape))
            raise ValueError(f"x must have shape (..., {sizes}) for LayerNorm, got {x.shape}")
        rows = x.reshape(*x.shape[:leading], math.prod(self.normalized_shape))
        weight = None if self.weight is None else self.weight.expect().reshape(-1)
        bias = None if self.bias is None else self.bias.expect().reshape(-1)
        y, mean, rstd = F.layer_norm(rows, weight, bias, self.eps)
        if weight is not None:
            same_dtype(self, y, weight)
        self._saved = (rows, mean, rstd)
        return y.reshape(x.shape)

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout of the shape of y, return dx of the shape of x."""
        rows, mean, rstd = self._take()
        shape = (*rows.shape[:-1], *self.normalized_shape)
        weight = None if self.weight is None else self.weight.data.reshape(-1)
        dy = dout_like(dout, shape).reshape(rows.shape)
        dx, dw, db = F.layer_norm_backward(dy, rows, mean, rstd, weight)
        if self.weight is not None:
            self.weight.collect(dw.reshape(self.normalized_shape))
        if self.bias is not None:
            self.bias.collect(db.reshape(self.normalized_shape))
        return dx.reshape(shape) if needs_dx else None

    def _describe(self) -> str:
        shape = self.normalized_shape
        text = str(shape[0] if len(shape) == 1 else shape)
        text += f", eps={self.eps:g}" if self.eps != 1e-5 else ""
        if self.weight is None:
            return text + ", elementwise_affine=False"
        return text + ("" if self.bias is not None else ", bias=False")
