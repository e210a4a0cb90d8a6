"""Reductions over all, one or several axes, the same bits for any number of threads."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import active
from ._cast import Array, ArrayLike, axis_index, one

Axes = int | Sequence[int] | None


def reduce_sum(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Any:
    """Sum over axes; the sum of nothing is 0.

    Parameters
    ----------
    x : array_like
        Any shape.
    axis : int, tuple of int, or None
        Axes to sum over; None means all.
    keepdims : bool
        Whether these axes stay, with length 1.

    Returns
    -------
    ndarray, or NumPy scalar when no axis is left

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers or axis no integers.
    ValueError
        If x has no such axis or axis names one twice.
    """
    return _reduce(active().reduce_sum, one("x", x), axis, keepdims)


def reduce_mean(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Any:
    """Mean over axes; the mean of nothing is NaN.

    Parameters
    ----------
    x, axis, keepdims
        As in `reduce_sum`.

    Returns
    -------
    ndarray, or NumPy scalar when no axis is left

    Raises
    ------
    TypeError, ValueError
        As `reduce_sum`.
    """
    return _reduce(active().reduce_mean, one("x", x), axis, keepdims)


def reduce_max(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Any:
    """Maximum over axes; NaN wins.

    Parameters
    ----------
    x, axis, keepdims
        As in `reduce_sum`.

    Returns
    -------
    ndarray, or NumPy scalar when no axis is left

    Raises
    ------
    TypeError, ValueError
        As `reduce_sum`; also if there is nothing to take the maximum of.
    """
    return _reduce(active().reduce_max, one("x", x), axis, keepdims)


def _reduce(function: Callable[..., Any], x: Array, axis: Axes, keepdims: bool) -> Any:
    """Call a reduction, having moved axes that do not lie side by side to the end of x."""
    if not isinstance(axis, (tuple, list)):
        return function(x, axis, keepdims)
    axes = sorted(axis_index(one_axis, x.ndim) for one_axis in axis)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis must not name an axis twice, got {axis!r}")
    if not axes or axes[-1] - axes[0] + 1 == len(axes):
        return function(x, tuple(axes), keepdims)
    kept = [i for i in range(x.ndim) if i not in axes]
    moved = np.ascontiguousarray(x.transpose(*kept, *axes))
    y = function(moved, tuple(range(len(kept), x.ndim)), False)
    return y.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]) if keepdims else y
