"""Checks of constructor arguments and of precision, shared by the layers."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast.functional._cast import as_array

ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh")
REDUCTIONS = ("mean", "sum", "none")


def whole(name: str, value: Any) -> int:
    """Return `value` as an int."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def integer(name: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int of at least `least`."""
    result = whole(name, value)
    if result < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return result


def pair(name: str, value: Any, least: int) -> tuple[int, int]:
    """Return an int or a pair of ints, each at least `least`, as a pair."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair of them, got {value!r}")
        return integer(name, value[0], least), integer(name, value[1], least)
    result = integer(name, value, least)
    return result, result


def short(value: tuple[int, int]) -> str:
    """Write a pair for `repr`: one number where both are the same."""
    return str(value[0]) if value[0] == value[1] else str(value)


def number(name: str, value: Any, most: float = math.inf, below: float = math.inf) -> float:
    """Return `value` as a finite float from 0, up to `most` and below `below`."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not (0.0 <= result <= most and result < below):
        end = f" and below {below:g}" if below < math.inf else ""
        end = f" and at most {most:g}" if most < math.inf else end
        raise ValueError(f"{name} must be finite, at least 0{end}, got {value!r}")
    return result


def one_of(name: str, value: Any, known: Sequence[Any]) -> Any:
    """Return `value` if it is among `known`."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def same_dtype(layer: object, y: Any, weight: Any) -> None:
    """Refuse an input of a higher precision than the weights: it would make every step float64."""
    if y.dtype.itemsize > weight.dtype.itemsize:
        raise TypeError(
            f"x must be {weight.dtype}, as the weights of {type(layer).__name__} are, got "
            f"{y.dtype}; cast it with x.astype({weight.dtype.name!r}), or the model with .astype"
        )


def sequences(layer: Any, name: str, tokens: Any, features: int) -> npt.NDArray[Any]:
    """Return sequences in the order of axes that the layer takes, as an array."""
    array = as_array(name, tokens)
    if array.ndim != 3 or array.shape[2] != features:
        axes = "N, T" if layer.batch_first else "T, N"
        raise ValueError(
            f"{name} must have shape ({axes}, {features}) for {type(layer).__name__}, "
            f"got {array.shape}"
        )
    return array


def dout_like(dout: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the gradient of a result of this shape as an array."""
    array = np.asarray(dout)
    if array.shape != shape:
        raise ValueError(f"dout must have shape {shape}, as y, got {array.shape}")
    return array
