"""Softmax and its logarithm as layers. For training prefer `CrossEntropyLoss`: it includes them."""

from __future__ import annotations

from nnfast import functional as F
from nnfast.layers.base import Layer
from nnfast.layers.checks import whole
from nnfast.layers.parameter import Array


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along `axis`, computed without overflow.

    Parameters
    ----------
    axis : int

    Raises
    ------
    TypeError, ValueError
        `axis` is no integer; in forward, x has no such axis.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole("axis", axis)

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        self._saved = y = F.softmax(x, self.axis)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return y * (dout - sum(dout * y))."""
        y = self._take()
        return F.softmax_backward(dout, y, self.axis) if needs_dx else None

    def _describe(self) -> str:
        return "" if self.axis == -1 else f"axis={self.axis}"


class LogSoftmax(Layer):
    """``x - log(sum(exp(x)))`` along `axis`, computed without overflow.

    Parameters
    ----------
    axis : int

    Raises
    ------
    TypeError, ValueError
        `axis` is no integer; in forward, x has no such axis.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = whole("axis", axis)

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        self._saved = y = F.log_softmax(x, self.axis)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return dout - exp(y) * sum(dout)."""
        y = self._take()
        return F.log_softmax_backward(dout, y, self.axis) if needs_dx else None

    def _describe(self) -> str:
        return "" if self.axis == -1 else f"axis={self.axis}"
