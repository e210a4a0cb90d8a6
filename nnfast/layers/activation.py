"""Elementwise activations, each a layer without parameters."""

from __future__ import annotations

from nnfast import functional as F
from nnfast.layers.base import Layer
from nnfast.layers.checks import number, one_of
from nnfast.layers.parameter import Array


def activation_backward(name: str | None, dy: Array, y: Array) -> Array:
    """Return the gradient before a fused activation, from its result `y` alone."""
    if name is None:
        return dy
    if name == "relu":
        return F.relu_backward(dy, y)  # y > 0 exactly where the input was
    if name == "leaky_relu":
        return F.leaky_relu_backward(dy, y, 0.01)  # the slope of the fused form
    return F.sigmoid_backward(dy, y) if name == "sigmoid" else F.tanh_backward(dy, y)


class ReLU(Layer):
    """``max(x, 0)``; NaN stays NaN."""

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        y = F.relu(x)
        self._saved = y  # as good as x for the mask, and x can be freed
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return dout where x > 0, else 0."""
        y = self._take()
        return F.relu_backward(dout, y) if needs_dx else None


class LeakyReLU(Layer):
    """``x`` where x > 0, else ``negative_slope * x``. Maas et al., ICML 2013.

    Parameters
    ----------
    negative_slope : float, at least 0

    Raises
    ------
    TypeError, ValueError
        `negative_slope` is no number or out of range.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number("negative_slope", negative_slope)

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        y = F.leaky_relu(x, self.negative_slope)
        self._saved = y  # has the sign of x (and is not above 0 with it where the slope is 0)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return dout where x > 0, else negative_slope * dout."""
        y = self._take()
        return F.leaky_relu_backward(dout, y, self.negative_slope) if needs_dx else None

    def _describe(self) -> str:
        return f"{self.negative_slope:g}"


class Sigmoid(Layer):
    """``1 / (1 + exp(-x))``."""

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        self._saved = y = F.sigmoid(x)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return dout * y * (1 - y)."""
        y = self._take()
        return F.sigmoid_backward(dout, y) if needs_dx else None


class Tanh(Layer):
    """Hyperbolic tangent."""

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        self._saved = y = F.tanh(x)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return dout * (1 - y**2)."""
        y = self._take()
        return F.tanh_backward(dout, y) if needs_dx else None


class GELU(Layer):
    """``x * Phi(x)``, Phi being the normal distribution function. Hendrycks & Gimpel, 2016.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" takes the form of Phi that some published models were trained with.

    Raises
    ------
    ValueError
        There is no such form.
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = one_of("approximate", approximate, ("none", "tanh"))

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        self._saved = x
        return F.gelu(x, self.approximate)

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Return dout * (Phi(x) + x * Phi'(x))."""
        x = self._take()
        return F.gelu_backward(dout, x, self.approximate) if needs_dx else None

    def _describe(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"
