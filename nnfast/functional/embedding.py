"""Embedding: rows of a table by their numbers, and the gradient of the table."""

from ..backend import active
from ._cast import Array, ArrayLike, indices_of, one


def embedding(indices: ArrayLike, weight: ArrayLike) -> Array:
    """Rows of a table: ``weight[indices]``.

    Parameters
    ----------
    indices : array_like of integers
        Any shape, any integer dtype; in [0, V).
    weight : array_like, shape (V, D)
        The table.

    Returns
    -------
    ndarray, shape (*indices.shape, D)

    Raises
    ------
    TypeError
        If the indices are not integers or the table does not hold floating-point numbers.
    ValueError
        If an index is negative or beyond the table, or the table is no matrix.
    """
    return active().embedding(indices_of("indices", indices), one("weight", weight))


def embedding_backward(dy: ArrayLike, indices: ArrayLike, num_embeddings: int) -> Array:
    """Gradient of `embedding` with respect to the table.

    Parameters
    ----------
    dy : array_like, shape (*indices.shape, D)
        Gradient with respect to the output.
    indices : array_like of integers
        As in the forward call.
    num_embeddings : int
        V, the rows of the table.

    Returns
    -------
    ndarray, shape (V, D)
        In each row the sum of dy over the places of its index, in their order; zeros in the others.

    Raises
    ------
    TypeError, ValueError
        As `embedding`, or if the shape of dy does not fit.
    """
    dy, indices = one("dy", dy), indices_of("indices", indices)
    return active().embedding_backward(dy, indices, num_embeddings)


def embedding_backward_rows(
    dy: ArrayLike, indices: ArrayLike, num_embeddings: int
) -> tuple[Array, Array]:
    """Gradient of `embedding` with respect to the rows of the table that were used.

    Its size is that of dy, not of the table: for large tables of which a batch uses little.

    Parameters
    ----------
    dy, indices, num_embeddings
        As for `embedding_backward`.

    Returns
    -------
    rows : ndarray of int64, shape (R,)
        The indices that occur, each once, ascending.
    values : ndarray, shape (R, D)
        Their rows of ``embedding_backward(dy, indices, num_embeddings)``.

    Raises
    ------
    TypeError, ValueError
        As `embedding_backward`.
    """
    dy, indices = one("dy", dy), indices_of("indices", indices)
    return active().embedding_backward_rows(dy, indices, num_embeddings)
