"""Reductions of an array of any shape over all, one or several of its axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _checks
from ._checks import Array

Axes = int | Sequence[int] | None


def reduce_sum(x: Array, axis: Axes = None, keepdims: bool = False) -> Any:
    """Return the sum over the axes; None means all of them. The sum of nothing is 0."""
    return np.sum(x, axis=_check(x, axis), keepdims=bool(keepdims))


def reduce_mean(x: Array, axis: Axes = None, keepdims: bool = False) -> Any:
    """Return the mean over the axes; the mean of nothing is NaN, without a warning."""
    axes = _check(x, axis)
    total = np.sum(x, axis=axes, keepdims=bool(keepdims))
    count = np.prod([x.shape[i] for i in axes], dtype=np.int64)
    with np.errstate(invalid="ignore"):
        return total / x.dtype.type(count)


def reduce_max(x: Array, axis: Axes = None, keepdims: bool = False) -> Any:
    """Return the maximum over the axes; NaN wins. There is no maximum of nothing."""
    axes = _check(x, axis)
    if any(x.shape[i] == 0 for i in axes):
        raise ValueError(f"x has no maximum: shape {x.shape} is empty along axis {axis}")
    return np.max(x, axis=axes, keepdims=bool(keepdims))


def _check(x: Array, axis: Axes) -> tuple[int, ...]:
    """Return the axes as a tuple, counted from the front."""
    _checks.floats(x=x)
    if axis is None:
        return tuple(range(x.ndim))
    listed = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(_checks.axis(one, x.ndim) for one in listed)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis must not name an axis twice, got {axis!r}")
    return axes
