"""RowGradient: the gradient of a matrix of which a pass has used few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import functional as F

Array = npt.NDArray[Any]


class RowGradient:
    """The gradient of some rows of a matrix; that of all others is zero.

    The sparse gradient of an embedding. NumPy functions take it as the matrix it stands for. The
    sum of two has the rows of both; what is multiplied by a number keeps its rows.

    Parameters
    ----------
    rows : ndarray of int64, shape (R,)
        The numbers of the rows, ascending, each once.
    values : ndarray, shape (R, D)
        Their gradients.
    shape : tuple of int
        Of the whole matrix, (V, D).

    Raises
    ------
    ValueError
        The shapes contradict each other.
    """

    __slots__ = ("rows", "shape", "values")
    __array_priority__ = 1.0  # array + RowGradient comes here

    def __init__(self, rows: Array, values: Array, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or values.shape != (len(rows), shape[1]):
            raise ValueError(
                f"values must have a row for each of the {len(rows)} rows and fit {shape}, "
                f"got {values.shape}"
            )
        self.rows, self.values, self.shape = rows, values, shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def size(self) -> int:
        """The number of elements of the whole matrix."""
        return self.shape[0] * self.shape[1]

    def dense(self) -> Array:
        """Return the whole matrix."""
        result = np.zeros(self.shape, self.dtype)
        result[self.rows] = self.values
        return result

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, RowGradient):
            return self.dense() + other
        values = np.concatenate((self.values, other.values))
        rows = np.concatenate((self.rows, other.rows))
        return RowGradient(*F.embedding_backward_rows(values, rows, self.shape[0]), self.shape)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        if np.ndim(other):
            return self.dense() * other
        return RowGradient(self.rows, self.values * other, self.shape)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if np.ndim(other):
            return self.dense() / other
        return RowGradient(self.rows, self.values / other, self.shape)

    def __neg__(self) -> RowGradient:
        return RowGradient(self.rows, -self.values, self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a RowGradient cannot become an array without being copied")
        return self.dense().astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"RowGradient({len(self.rows)} rows of {self.shape}, dtype={self.dtype})"
