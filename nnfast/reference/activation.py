"""Activations, element by element, arrays of any shape.

The backward functions take what their formula needs: the input for the rectifiers, the output for
sigmoid and tanh.
"""

from typing import SupportsFloat

import numpy as np

from . import _checks
from ._checks import Array


def relu(x: Array) -> Array:
    """Return ``max(x, 0)``; NaN stays NaN."""
    _checks.floats(x=x)
    return _like(x, np.maximum(x, 0))


def relu_backward(dy: Array, x: Array) -> Array:
    """Return the gradient of `relu`: ``dy`` where ``x`` is positive (or NaN), else 0."""
    _pair_of_one_shape(dy, x=x)
    return np.where(x <= 0, x.dtype.type(0), dy)


def leaky_relu(x: Array, negative_slope: SupportsFloat = 0.01) -> Array:
    """Return ``x`` where positive, else ``negative_slope * x``."""
    _checks.floats(x=x)
    slope = _checks.number("negative_slope", negative_slope)
    return _like(x, np.where(x <= 0, slope * x, x))


def leaky_relu_backward(dy: Array, x: Array, negative_slope: SupportsFloat = 0.01) -> Array:
    """Return the gradient of `leaky_relu`."""
    _pair_of_one_shape(dy, x=x)
    slope = _checks.number("negative_slope", negative_slope)
    return _like(x, np.where(x <= 0, slope * dy, dy))


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))``, in the form that cannot overflow."""
    _checks.floats(x=x)
    e = np.exp(-np.abs(x))
    return _like(x, np.where(x >= 0, x.dtype.type(1), e) / (1 + e))


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """Return the gradient of `sigmoid` from its output: ``dy * y * (1 - y)``."""
    _pair_of_one_shape(dy, y=y)
    return _like(y, dy * y * (1 - y))


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    _checks.floats(x=x)
    return _like(x, np.tanh(x))


def tanh_backward(dy: Array, y: Array) -> Array:
    """Return the gradient of `tanh` from its output: ``dy * (1 - y * y)``."""
    _pair_of_one_shape(dy, y=y)
    return _like(y, dy * (1 - y * y))


def apply(x: Array, activation: str | None) -> Array:
    """Apply the activation of this name; None leaves the array as it is."""
    return x if activation is None else _FORWARD[activation](x)


def apply_backward(dy: Array, y: Array, activation: str | None) -> Array:
    """Return the gradient through the activation of this name, from its output.

    The rectifiers keep the sign of their input, so that the output tells as much.
    """
    return dy if activation is None else _BACKWARD[activation](dy, y)


def _like(x: Array, y: Array) -> Array:
    """Return y as an array of the dtype of x: of arrays without axes NumPy makes scalars."""
    return np.asarray(y, x.dtype)


def _pair_of_one_shape(dy: Array, **other: Array) -> None:
    _checks.floats(dy=dy, **other)
    ((name, array),) = other.items()
    _checks.shape(name, array, dy.shape)


_FORWARD = {"relu": relu, "leaky_relu": leaky_relu, "sigmoid": sigmoid, "tanh": tanh}
_BACKWARD = {
    "relu": relu_backward,
    "leaky_relu": leaky_relu_backward,
    "sigmoid": sigmoid_backward,
    "tanh": tanh_backward,
}
