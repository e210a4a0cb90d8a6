"""The Gaussian error linear unit, element by element, arrays of any shape.

``x * Phi(x)`` with the normal distribution function Phi, or with the tanh form in its place, which
is the logistic function of ``2 * sqrt(2 / pi) * (x + 0.044715 * x**3)``. Computed in float64: NumPy
has no error function, and that of `math` takes one number at a time.
"""

import math

import numpy as np

from . import _checks
from ._checks import Array
from .activation import sigmoid

FORMS = ("none", "tanh")

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def gelu(x: Array, approximate: str = "none") -> Array:
    """Return ``x * Phi(x)``; for "tanh" with the tanh form of Phi."""
    _checks.floats(x=x)
    _checks.choice("approximate", approximate, FORMS)
    wide = np.asarray(x, np.float64)
    phi, _ = _distribution(wide, approximate)
    return np.asarray(_product(wide, phi), x.dtype)


def gelu_backward(dy: Array, x: Array, approximate: str = "none") -> Array:
    """Return the gradient of `gelu`: ``dy * (Phi(x) + x * Phi'(x))``."""
    _checks.floats(dy=dy, x=x)
    _checks.shape("x", x, dy.shape)
    _checks.choice("approximate", approximate, FORMS)
    wide = np.asarray(x, np.float64)
    phi, density = _distribution(wide, approximate)
    return np.asarray(dy * (phi + _product(wide, density)), x.dtype)


def _distribution(x: Array, approximate: str) -> tuple[Array, Array]:
    """Return Phi and its derivative."""
    with np.errstate(over="ignore"):  # squares and cubes of what is far beyond the ends
        if approximate == "none":
            density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
            return _erfc(-x / math.sqrt(2)) / 2, density
        scale = 2 * math.sqrt(2 / math.pi)
        t = scale * (x + 0.044715 * x**3)
        slope = scale * (1 + 3 * 0.044715 * x * x)
        below, above = sigmoid(np.asarray(t)), sigmoid(np.asarray(-t))
        return below, _product(slope, below * above)


def _product(x: Array, factor: Array) -> Array:
    """Return ``x * factor``; where the factor has vanished so has the product, whatever x is."""
    with np.errstate(invalid="ignore"):
        return np.where(factor == 0, factor, x * factor)
