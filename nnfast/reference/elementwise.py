"""Arithmetic on arrays of one shape."""

import numpy as np

from . import _checks
from ._checks import ACTIVATIONS, Array
from .activation import apply


def add(a: Array, b: Array, activation: str | None = None) -> Array:
    """Return ``activation(a + b)``."""
    _checks.floats(a=a, b=b)
    _checks.shape("b", b, a.shape)
    _checks.choice("activation", activation, ACTIVATIONS)
    return np.asarray(apply(np.asarray(a + b), activation))
