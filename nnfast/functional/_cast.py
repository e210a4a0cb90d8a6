"""Preparing arguments: the only place of the package that casts or copies.

The backends want C-contiguous arrays of float32 or float64, all of one dtype. Arrays that are so
already, the usual case, pass through after one look by the compiled part, or at the cost of a few
attribute reads: ``flags.carray`` is C-contiguous, aligned and writable in one (read-only arrays
take longer, and are not copied either).
"""

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from ..backend import are_ready

Array = npt.NDArray[Any]
ArrayLike = npt.ArrayLike
Arrays = Array | Sequence[Array]
ArrayLikes = ArrayLike | Sequence[ArrayLike]
IntPair = int | Sequence[int]

FLOAT32, FLOAT64, INT64 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
PROMOTED = frozenset("efd?bBhH")  # dtype characters that float32 or float64 can hold exactly


def one(name: str, value: Any) -> Array:
    """Return the argument as a contiguous array of float32 or float64."""
    return value if are_ready((value,)) else _prepare((name,), (as_array(name, value),))[0]


def many(names: Sequence[str], *values: Any) -> Sequence[Any]:
    """Return the arguments as contiguous arrays of their common dtype, float32 or float64.

    None passes: the backends know which arguments are optional.
    """
    return values if are_ready(values) else _prepare(names, values)


def like(name: str, value: Any, other: Any) -> Array:
    """Return the argument as `one` does, in the dtype of an array that cannot be cast itself."""
    if are_ready((value, other)):
        return value
    array, dtype = one(name, value), getattr(other, "dtype", None)
    return array if dtype not in (FLOAT32, FLOAT64) else array.astype(dtype, copy=False)


def gradients(param: Any, grad: Any) -> Any:
    """Return the gradient of an array, or those of a list or tuple of arrays, as `one` does."""
    if not isinstance(param, (list, tuple)):
        return one("grad", grad)
    if not isinstance(grad, (list, tuple)):
        raise TypeError(f"grad must be a list or tuple of arrays, as param is, got {grad!r}")
    return grad if are_ready(tuple(grad)) else [one("grad", array) for array in grad]


def as_array(name: str, value: Any) -> Array:
    """Return the argument as an array of whatever it holds."""
    if value is None:
        raise TypeError(f"{name} must be an array, got None")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from error


def labels(value: Any, x: Array | None) -> Array:
    """Return the target of a classification loss as an array.

    Targets of one dimension are labels: any integer dtype, to int64. Others are probabilities;
    integers among them (one-hot rows) take the dtype of x.
    """
    if type(value) is ndarray and value.dtype is INT64 and value.ndim == 1 and value.flags.carray:
        return value
    target = as_array("target", value)
    if target.ndim != 1:
        one_hot = target.dtype.kind in "iub"
        return target.astype(x.dtype) if one_hot and x is not None else target
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"target must hold integer labels when it has one dimension, got {target.dtype}"
        )
    return np.require(target, INT64, ["C", "A"])


def mask_of(value: Any, x: Any) -> Array | None:
    """Return an optional mask as a contiguous array of booleans, or of numbers in x's dtype.

    Integers are refused: 0 and 1 may be meant either way.
    """
    if value is None:
        return None
    mask = as_array("mask", value)
    if mask.dtype.kind not in "bf":
        raise TypeError(f"mask must hold booleans or floating-point numbers, got {mask.dtype}")
    dtype = mask.dtype if mask.dtype.kind == "b" or x is None else x.dtype
    return np.require(mask, dtype, ["C", "A"])


def indices_of(name: str, value: Any) -> Array:
    """Return indices, an array of any integer dtype, as contiguous int64."""
    if type(value) is ndarray and value.dtype is INT64 and value.flags.carray:
        return value
    array = as_array(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got {array.dtype}")
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(INT64).max:
        raise ValueError(f"{name} must fit 64 bits with a sign, got {array.max()}")
    return np.require(array, INT64, ["C", "A"])


def contiguous(value: Any) -> Any:
    """Return an array that is no floating-point argument in contiguous form; others as they are."""
    return np.require(value, None, ["C", "A"]) if isinstance(value, np.ndarray) else value


def axis_index(axis: SupportsIndex, ndim: int) -> int:
    """Return an axis number counted from the front."""
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, got {axis!r}") from None
    if not -ndim <= index < ndim:
        raise ValueError(f"axis must be one of the {ndim} axes of x, got {index}")
    return index % ndim


def _prepare(names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    arrays = [
        None if value is None else as_array(name, value)
        for name, value in zip(names, values, strict=True)
    ]
    dtypes = [
        _float_dtype(name, array.dtype)
        for name, array in zip(names, arrays, strict=True)
        if array is not None
    ]
    work = np.result_type(*dtypes) if dtypes else FLOAT32
    return [None if array is None else np.require(array, work, ["C", "A"]) for array in arrays]


def _float_dtype(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return what an argument of this dtype is computed in."""
    if dtype.char not in PROMOTED:
        raise TypeError(
            f"{name} must hold floating-point numbers, got {dtype}: "
            "cast it to float32 or float64 first"
        )
    return np.result_type(dtype, np.float32)
