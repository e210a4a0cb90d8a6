"""Softmax and its logarithm along one axis.

The backends work along the last axis; another axis is moved there and back, at the cost of copies.
"""

from collections.abc import Callable

import numpy as np

from ..backend import active
from ._cast import Array, ArrayLike, axis_index, many, one


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Softmax, ``exp(x) / sum(exp(x))`` along an axis, without overflow.

    Parameters
    ----------
    x : array_like
        At least one dimension.
    axis : int
        Axis that sums to one.

    Returns
    -------
    ndarray
        Same shape as x.

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers or axis is no integer.
    ValueError
        If x has no such axis.

    References
    ----------
    Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.
    """
    return _along(active().softmax, axis, one("x", x))


def softmax_backward(dy: ArrayLike, y: ArrayLike, axis: int = -1) -> Array:
    """Gradient of `softmax`: ``y * (dy - sum(dy * y))``.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    y : array_like
        Output of the forward call, same shape as dy.
    axis : int
        As in the forward call.

    Returns
    -------
    ndarray
        Gradient with respect to the input.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ or there is no such axis.
    """
    return _along(active().softmax_backward, axis, *many(("dy", "y"), dy, y))


def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Logarithm of the softmax, ``x - log(sum(exp(x)))`` along an axis, without overflow.

    Parameters
    ----------
    x : array_like
        At least one dimension.
    axis : int
        Axis whose exponentials sum to one.

    Returns
    -------
    ndarray
        Same shape as x.

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers or axis is no integer.
    ValueError
        If x has no such axis.
    """
    return _along(active().log_softmax, axis, one("x", x))


def log_softmax_backward(dy: ArrayLike, y: ArrayLike, axis: int = -1) -> Array:
    """Gradient of `log_softmax`: ``dy - exp(y) * sum(dy)``.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    y : array_like
        Output of the forward call, same shape as dy.
    axis : int
        As in the forward call.

    Returns
    -------
    ndarray
        Gradient with respect to the input.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ or there is no such axis.
    """
    return _along(active().log_softmax_backward, axis, *many(("dy", "y"), dy, y))


def _along(function: Callable[..., Array], axis: int, *arrays: Array) -> Array:
    """Call a function of the last axis along any axis."""
    first = arrays[0]
    last = type(axis) is int and axis == -1
    if last or any(array is None or array.shape != first.shape for array in arrays):
        return function(*arrays)  # which checks the shapes
    if axis_index(axis, first.ndim) == first.ndim - 1:
        return function(*arrays)
    moved = (np.ascontiguousarray(np.moveaxis(array, axis, -1)) for array in arrays)
    return np.ascontiguousarray(np.moveaxis(function(*moved), -1, axis))
