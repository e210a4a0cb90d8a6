"""Dropout. Srivastava et al., JMLR 2014."""

from __future__ import annotations

import numpy as np

from nnfast import functional as F
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like, number
from nnfast.layers.parameter import Array


class Dropout(Layer):
    """Zeroes each element with probability `p` and scales the others by 1 / (1 - p).

    The mask is a function of a seed and of the number of the forward pass; it is computed again in
    the backward pass, never stored, and does not depend on the number of threads. In ``eval()`` the
    layer returns its input.

    Parameters
    ----------
    p : float, 0 to 1 (1 not included)
    rng : Generator, int or None
        Draws the seed. None: that of the `Sequential` around it, else a fresh one on first use.

    Attributes
    ----------
    dropout_state : ndarray of int64, shape (2,)
        The seed (-1 while it is undrawn) and the number of passes so far. In the `state_dict`, so
        that a resumed run draws the masks it would have drawn.

    Raises
    ------
    TypeError, ValueError
        `p` is no number or out of range.
    """

    buffers = ("dropout_state",)

    def __init__(self, p: float = 0.5, rng: np.random.Generator | int | None = None) -> None:
        self.p = number("p", p, below=1.0)
        self.dropout_state: Array = np.array([-1, 0], np.int64)
        if rng is not None:
            self._seed(np.random.default_rng(rng))

    def _seed(self, rng: np.random.Generator) -> None:
        if self.dropout_state[0] < 0:
            self.dropout_state[0] = rng.integers(2**63 - 1)

    def forward(self, x: Array) -> Array:
        """Map any shape to the same shape."""
        if not self.training:
            self._saved = (np.shape(x),)
            return x
        if self.dropout_state[0] < 0:
            self._seed(np.random.default_rng())
        seed, offset = self.dropout_state.tolist()
        y = F.dropout(x, self.p, seed, offset)
        self.dropout_state[1] = offset + 1
        self._saved = (y.shape, self.p, seed, offset)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Zero and scale dout where x was."""
        shape, *mask = self._take()
        dout = dout_like(dout, shape)
        if not needs_dx:
            return None
        return F.dropout_backward(dout, *mask) if mask else dout

    def _describe(self) -> str:
        return f"{self.p:g}"
