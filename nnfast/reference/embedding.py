"""Embedding: rows of a table by their numbers, and the gradient of the table."""

from typing import SupportsIndex

import numpy as np

from . import _checks
from ._checks import Array


def embedding(indices: Array, weight: Array) -> Array:
    """Return ``weight[indices]``.

    indices: any shape, int64; weight: (V, D); result: (*indices.shape, D).
    """
    _checks.floats(weight=weight)
    _checks.ndim("weight", weight, 2)
    _check_indices(indices, weight.shape[0])
    return weight[indices]


def embedding_backward(dy: Array, indices: Array, num_embeddings: SupportsIndex) -> Array:
    """Return the gradient of the table, (V, D): for each row the sum over its indices.

    dy: (*indices.shape, D).
    """
    rows = _check_backward(dy, indices, num_embeddings)
    dweight = np.zeros((rows, dy.shape[-1]), dy.dtype)
    np.add.at(dweight, indices, dy)
    return dweight


def embedding_backward_rows(
    dy: Array, indices: Array, num_embeddings: SupportsIndex
) -> tuple[Array, Array]:
    """Return ``(rows, values)``: what `embedding_backward` holds in the rows that occur.

    rows: (R,) int64, ascending; values: (R, D).
    """
    _check_backward(dy, indices, num_embeddings)
    rows, inverse = np.unique(indices, return_inverse=True)
    values = np.zeros((len(rows), dy.shape[-1]), dy.dtype)
    np.add.at(values, inverse.reshape(indices.shape), dy)
    return rows, values


def _check_backward(dy: Array, indices: Array, num_embeddings: SupportsIndex) -> int:
    _checks.floats(dy=dy)
    rows = _checks.integer("num_embeddings", num_embeddings, 0)
    _check_indices(indices, rows)
    if not dy.ndim or dy.shape[:-1] != indices.shape:
        raise ValueError(
            f"dy must have the shape of indices, {indices.shape}, and one dimension more, "
            f"got {dy.shape}"
        )
    return rows


def _check_indices(indices: Array, rows: int) -> None:
    if not isinstance(indices, np.ndarray):
        raise TypeError(f"indices must be a NumPy array, got {type(indices).__name__}")
    if indices.dtype != np.int64:
        raise TypeError(f"indices must be int64, got {indices.dtype}")
    wrong = (indices < 0) | (indices >= rows)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"indices must lie in [0, {rows - 1}], the rows of the table, "
            f"got {indices.flat[at]} at position {at}"
        )
