"""Softmax and its logarithm along one axis, in the form that cannot overflow."""

from typing import SupportsIndex

import numpy as np

from . import _checks
from ._checks import Array


def softmax(x: Array, axis: SupportsIndex = -1) -> Array:
    """Return ``exp(x) / sum(exp(x))`` along an axis; same shape as x."""
    _checks.floats(x=x)
    axis = _checks.axis(axis, x.ndim)
    e = np.exp(_shifted(x, axis))
    return e / np.sum(e, axis=axis, keepdims=True)


def softmax_backward(dy: Array, y: Array, axis: SupportsIndex = -1) -> Array:
    """Return the gradient of `softmax` from its output: ``y * (dy - sum(dy * y))``."""
    axis = _check_backward(dy, y, axis)
    return y * (dy - np.sum(dy * y, axis=axis, keepdims=True))


def log_softmax(x: Array, axis: SupportsIndex = -1) -> Array:
    """Return ``x - log(sum(exp(x)))`` along an axis; same shape as x."""
    _checks.floats(x=x)
    axis = _checks.axis(axis, x.ndim)
    shifted = _shifted(x, axis)
    total = np.sum(np.exp(shifted), axis=axis, keepdims=True)
    with np.errstate(divide="ignore"):  # an axis of no elements
        return shifted - np.log(total)


def log_softmax_backward(dy: Array, y: Array, axis: SupportsIndex = -1) -> Array:
    """Return the gradient of `log_softmax` from its output: ``dy - exp(y) * sum(dy)``."""
    axis = _check_backward(dy, y, axis)
    return dy - np.exp(y) * np.sum(dy, axis=axis, keepdims=True)


def _shifted(x: Array, axis: int) -> Array:
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, without a warning
        return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)


def _check_backward(dy: Array, y: Array, axis: SupportsIndex) -> int:
    _checks.floats(dy=dy, y=y)
    _checks.shape("dy", dy, y.shape)
    return _checks.axis(axis, y.ndim)
