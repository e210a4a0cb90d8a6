"""NumPy's type promotion for functions that take one dtype only.

The book's layers let NumPy promote whatever they are given; the kernels know float32 and float64.
These helpers cast the operands to the dtype the computation runs in and say which dtype NumPy's own
result would have had.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

_NATIVE = (np.dtype(np.float32), np.dtype(np.float64))


def is_native(*arrays: Array) -> bool:
    """Tell whether all arrays share one dtype and the kernels know it."""
    dtype = arrays[0].dtype
    return dtype in _NATIVE and all(a.dtype == dtype for a in arrays)


def promote(*arrays: Array) -> tuple[tuple[Array, ...], np.dtype[Any]]:
    """Cast arrays to the dtype to compute in; also give the dtype NumPy's result would have."""
    if is_native(*arrays):
        return arrays, arrays[0].dtype
    dtype = np.result_type(*(a.dtype for a in arrays))
    work = dtype if dtype in _NATIVE else np.result_type(dtype, np.float32)
    return tuple(a.astype(work, copy=False) for a in arrays), dtype


def as_dtype(array: Array, dtype: npt.DTypeLike) -> Array:
    """Cast, without a copy where the dtype is right already."""
    return array.astype(dtype, copy=False)


def float64(array: Array) -> Array:
    """Cast to float64, the dtype of everything that passes the book's im2col and col2im."""
    return array.astype(np.float64, copy=False)


def as_row(value: Array, length: int) -> Array:
    """Spread a bias, gamma or beta that NumPy would broadcast over columns to shape (length,)."""
    value = np.asarray(value)
    return value if value.shape == (length,) else np.broadcast_to(value, (1, length))[0]
