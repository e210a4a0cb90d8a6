"""Embedding: learned vectors, looked up by number."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.base import Layer
from nnfast.layers.checks import integer
from nnfast.layers.parameter import Array, Parameter
from nnfast.layers.rowgradient import RowGradient

_STANDARD_NORMAL = partial(_init.normal, std=1.0)


class Embedding(Layer):
    """A table of vectors, of which each index of the input takes one.

    Parameters
    ----------
    num_embeddings : int
        How many vectors.
    embedding_dim : int
        The length of each.
    padding_idx : int, optional
        An index whose vector starts as zero and learns nothing; negative ones count from the end.
    sparse : bool
        Whether the gradient is a `RowGradient` of the vectors that were used, not an array. The
        numbers are the same. SGD without momentum and AdaGrad, both without weight decay, then
        touch no others, which pays if a batch uses few of many; for the rest it becomes an array.
    init : str or callable
        See `nnfast.init`; by default N(0, 1).
    rng : Generator, int or None
        Draws the weights. None: that of the `Sequential` around it, else a fresh one on first use.
    dtype : float32 or float64
        Of the weights.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)

    Raises
    ------
    TypeError, ValueError
        A size that is no positive integer, a `padding_idx` out of range, an unknown initialiser or
        dtype.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        sparse: bool = False,
        init: _init.Initializer | str = _STANDARD_NORMAL,
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.num_embeddings = integer("num_embeddings", num_embeddings)
        self.embedding_dim = integer("embedding_dim", embedding_dim)
        self.padding_idx, self.sparse = padding_idx, bool(sparse)
        if padding_idx is not None:
            index = integer("padding_idx", padding_idx, -self.num_embeddings)
            if index >= self.num_embeddings:
                raise ValueError(f"padding_idx must be below {num_embeddings}, got {padding_idx}")
            self.padding_idx = index % self.num_embeddings
            init = partial(_zero_row, _init.get(init), self.padding_idx)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter.drawn(shape, init, rng, dtype, "weight")

    def forward(self, x: Array) -> Array:
        """Map indices x, integers of any shape, to (*x.shape, embedding_dim).

        Raises
        ------
        TypeError
            x does not hold integers.
        ValueError
            An index is negative or not below num_embeddings.
        """
        y = F.embedding(x, self.weight.expect())
        self._saved = x
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> None:
        """Take dout of the shape of y. Indices have no gradient, so there is nothing to return."""
        x = self._take()
        if not self.weight.requires_grad:
            return
        if self.sparse:
            rows, values = F.embedding_backward_rows(dout, x, self.num_embeddings)
            if self.padding_idx is not None:
                learned = rows != self.padding_idx
                rows, values = rows[learned], values[learned]
            self.weight.collect(RowGradient(rows, values, self.weight.shape))
            return
        dweight = F.embedding_backward(dout, x, self.num_embeddings)
        if self.padding_idx is not None:
            dweight[self.padding_idx] = 0
        self.weight.collect(dweight)

    def _describe(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return text + (", sparse=True" if self.sparse else "")


def _zero_row(
    how: _init.Initializer,
    row: int,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
) -> Array:
    """Draw weights, but for one row of zeros."""
    weight = np.array(how(shape, rng, dtype))
    weight[row] = 0
    return weight
