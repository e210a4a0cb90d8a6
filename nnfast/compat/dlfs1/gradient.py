"""The book's ``common.gradient``: gradients by central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._promote import Array

__all__ = ["numerical_gradient", "numerical_gradient_2d"]

_STEP = 1e-4


def numerical_gradient(f: Callable[[Array], Any], x: Array) -> Array:
    """Differentiate f numerically with respect to each element of x.

    Parameters
    ----------
    f : function of x that gives a number
        It is called twice an element, with x changed in place.
    x : array of any shape
        Restored element by element.
    """
    grad = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        value = x[index]
        x[index] = float(value) + _STEP
        above = f(x)
        x[index] = value - _STEP
        below = f(x)
        grad[index] = (above - below) / (2 * _STEP)
        x[index] = value
    return grad


def numerical_gradient_2d(f: Callable[[Array], Any], X: Array) -> Array:
    """Differentiate f at X if it is 1-D, else at each of its rows, f being called with one row."""
    if X.ndim == 1:
        return numerical_gradient(f, X)
    grad = np.zeros_like(X)
    for i, row in enumerate(X):
        grad[i] = numerical_gradient(f, row)
    return grad
