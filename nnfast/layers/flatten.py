"""Flatten: images to rows."""

from __future__ import annotations

import math

from nnfast.functional._cast import as_array
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like
from nnfast.layers.parameter import Array


class Flatten(Layer):
    """Joins all axes after the first: (N, C, H, W) to (N, C * H * W); a view where possible."""

    def forward(self, x: Array) -> Array:
        """Map x (N, ...) to (N, D)."""
        x = as_array("x", x)
        if x.ndim < 1:
            raise ValueError("x must have at least 1 dimension for Flatten, got a scalar")
        self._saved = x.shape
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (N, D), return dx (N, ...)."""
        shape = self._take()
        dout = dout_like(dout, (shape[0], math.prod(shape[1:])))
        return dout.reshape(shape) if needs_dx else None
