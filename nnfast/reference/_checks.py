"""Argument checks of the reference functions.

A bad call raises ``TypeError`` (wrong kind of object or dtype) or ``ValueError`` (wrong shape or
value) and the message names the argument, what it got and what it needs. The compiled functions
refuse the same calls with checks of their own.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = Array | Sequence[Array]
IntPair = int | Sequence[int]

MAX_SIZE = 2**30  # of a stride, padding...; sums and products of two fit 64 bits
MAX_BYTES = 2**46  # of an array
ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh")
RECTIFIERS = (None, "relu")  # for what can do no other
REDUCTIONS = ("mean", "sum", "none")


def floats(**arrays: Array) -> None:
    """Check that all arguments are float32 or float64 arrays of one dtype."""
    first_name, first = next(iter(arrays.items()))
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
        if array.dtype != np.float32 and array.dtype != np.float64:
            raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
        if array.dtype != first.dtype:
            raise TypeError(
                f"{name} must have the dtype of {first_name}, {first.dtype}, got {array.dtype}"
            )


def vector(name: str, array: Array | None, length: int, like: Array) -> None:
    """Check an optional argument of shape ``(length,)`` that has the dtype of `like`."""
    if array is None:
        return
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array or None, got {type(array).__name__}")
    if array.dtype != like.dtype:
        raise TypeError(f"{name} must have dtype {like.dtype}, got {array.dtype}")
    shape(name, array, (length,))


def ndim(name: str, array: Array, *allowed: int) -> None:
    """Check the number of dimensions."""
    if array.ndim not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"{name} must have {wanted} dimensions, got shape {array.shape}")


def shape(name: str, array: Array, wanted: tuple[int, ...]) -> None:
    """Check the exact shape."""
    if array.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")


def integer(name: str, value: SupportsIndex, least: int, most: int = MAX_SIZE) -> int:
    """Check and return one integer within ``[least, most]``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not least <= number <= most:
        raise ValueError(f"{name} must lie in [{least}, {most}], got {number}")
    return number


def pair(name: str, value: IntPair, least: int) -> tuple[int, int]:
    """Check and return two integers, given as one number for both or as a pair."""
    if not isinstance(value, (tuple, list)):
        number = integer(name, value, least)  # type: ignore[arg-type]
        return number, number
    if len(value) != 2:
        raise ValueError(f"{name} must be an integer or a pair of them, got {value!r}")
    return integer(name, value[0], least), integer(name, value[1], least)


def image_shape(name: str, value: Sequence[int]) -> tuple[int, int, int, int]:
    """Check and return the shape of an image batch, (N, C, H, W)."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of four integers, got {value!r}")
    if len(value) != 4:
        raise ValueError(f"{name} must be a tuple of four integers, got {value!r}")
    n, c, h, w = (integer(name, size, 0) for size in value)
    bytes_fit(name, n, c, h, w)
    return n, c, h, w


def bytes_fit(name: str, *sizes: int) -> None:
    """Check that an array of this shape is of a size that can exist."""
    if math.prod(sizes) * 8 > MAX_BYTES:
        raise ValueError(f"{name} is too large: it would need an array of shape {sizes}")


def number(name: str, value: SupportsFloat, least: float = -math.inf) -> float:
    """Check and return one finite number of at least `least`."""
    result = real(name, value)
    if not (math.isfinite(result) and result >= least):
        raise ValueError(f"{name} must be finite and at least {least}, got {value!r}")
    return result


def fraction(name: str, value: SupportsFloat, one_included: bool = False) -> float:
    """Check and return a number of [0, 1), or of [0, 1]."""
    result = real(name, value)
    if not (0 <= result < 1 or (one_included and result == 1)):
        end = "]" if one_included else ")"
        raise ValueError(f"{name} must lie in [0, 1{end}, got {value!r}")
    return result


def real(name: str, value: SupportsFloat) -> float:
    """Check and return any number, NaN and infinity included."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except TypeError:
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Check that the value is one of the names allowed."""
    if not (isinstance(value, str) or (value is None and None in choices)):
        raise TypeError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def axis(value: SupportsIndex, dims: int) -> int:
    """Check one axis number and return it counted from the front."""
    if not dims:
        raise ValueError(f"axis {value!r} does not exist in an array of 0 dimensions")
    return integer("axis", value, -dims, dims - 1) % dims


def tensors(param: Arrays, **others: Arrays) -> list[tuple[Array, ...]]:
    """Check what an optimizer updates, single arrays or sequences of them; return tensor by tensor.

    Only grad is not changed.
    """
    given = {"param": param, **others}
    if not isinstance(param, (list, tuple)):
        in_place({k: a for k, a in given.items() if k != "grad"}, grad=given["grad"])  # type: ignore
        return [tuple(given.values())]  # type: ignore[arg-type]
    for name, arrays in given.items():
        if not isinstance(arrays, (list, tuple)):
            raise TypeError(
                f"{name} must be a list or tuple of arrays, as param is, got {arrays!r}"
            )
        if len(arrays) != len(param):
            raise ValueError(
                f"{name} must have as many arrays as param, {len(param)}, got {len(arrays)}"
            )
    all_changed: dict[str, Array] = {}
    all_read: dict[str, Array] = {}
    for i in range(len(param)):
        one = {f"{name}[{i}]": arrays[i] for name, arrays in given.items()}
        read = {f"grad[{i}]": one.pop(f"grad[{i}]")}
        in_place(one, **read)
        all_changed |= one
        all_read |= read
    apart(all_changed, all_read)
    return list(zip(*given.values(), strict=True))


def in_place(changed: Mapping[str, Array], **read: Array) -> None:
    """Check arrays of which some are changed: one dtype and shape, writable, none overlapping."""
    floats(**changed, **read)
    wanted = next(iter(changed.values())).shape
    for name, array in (*changed.items(), *read.items()):
        shape(name, array, wanted)
    for name, array in changed.items():
        if not array.flags.writeable:
            raise ValueError(f"{name} is updated in place and must be writable, but is read-only")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} is updated in place and must be C-contiguous")
    apart(changed, read)


def apart(changed: Mapping[str, Array], read: Mapping[str, Array]) -> None:
    """Check that no array that is changed shares memory with another one."""
    names = list(changed)
    for i, name in enumerate(names):
        for other, array in (*((n, changed[n]) for n in names[:i]), *read.items()):
            if np.may_share_memory(changed[name], array):
                raise ValueError(f"{name} shares memory with {other}")
