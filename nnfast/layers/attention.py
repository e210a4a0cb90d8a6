"""Attention over several heads. Vaswani et al., "Attention is all you need", NeurIPS 2017."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like, integer, same_dtype, sequences
from nnfast.layers.linear import Linear
from nnfast.layers.parameter import Array, Parameter


class MultiheadAttention(Layer):
    """Each token looks at all tokens, of its own sequence or of another, and takes what it needs.

    Queries, keys and values are projections of the tokens; each head attends with its part of them,
    see `nnfast.functional.attention`. Parameters are named as in PyTorch. Weights have no dropout.

    Parameters
    ----------
    embed_dim : int
        Features of a token.
    num_heads : int
        Divides embed_dim.
    bias : bool
        Whether the projections have one.
    causal : bool
        Whether a token looks only at itself and the tokens before it.
    batch_first : bool
        Whether sequences are (N, T, embed_dim), which takes no copies, or (T, N, embed_dim).
    init, bias_init : str or callable
        See `nnfast.init`.
    rng : Generator, int or None
        Draws the weights. None: that of the `Sequential` around it, else a fresh one on first use.
    dtype : float32 or float64
        Of the weights.

    Attributes
    ----------
    in_proj_weight : Parameter, shape (3 * embed_dim, embed_dim)
        For queries, keys and values, in this order.
    in_proj_bias : Parameter, shape (3 * embed_dim,), or None
    out_proj : Linear
        Applied to the heads, side by side.
    dsource : ndarray or None
        After backward: the gradient of `source`, if forward was given one.

    Raises
    ------
    TypeError, ValueError
        A size that is no positive integer, heads that do not divide embed_dim, an unknown
        initialiser or dtype.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        bias: bool = True,
        causal: bool = False,
        batch_first: bool = False,
        init: _init.Initializer | str = "xavier_uniform",
        bias_init: _init.Initializer | str = "zeros",
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.embed_dim = integer("embed_dim", embed_dim)
        self.num_heads = integer("num_heads", num_heads)
        if self.embed_dim % self.num_heads:
            raise ValueError(f"num_heads must divide embed_dim={embed_dim}, got {num_heads}")
        self.causal, self.batch_first = bool(causal), bool(batch_first)
        if rng is not None:
            rng = np.random.default_rng(rng)
        shape = (3 * self.embed_dim, self.embed_dim)
        self.in_proj_weight = Parameter.drawn(shape, init, rng, dtype, "in_proj_weight")
        self.in_proj_bias: Parameter | None = None
        if bias:
            self.in_proj_bias = Parameter.drawn(shape[:1], bias_init, rng, dtype, "in_proj_bias")
        self.out_proj = Linear(
            *(embed_dim, embed_dim, bias), init=init, bias_init=bias_init, rng=rng, dtype=dtype
        )
        self.dsource: Array | None = None

    def __call__(self, x: Array, source: Array | None = None, mask: Any = None) -> Array:
        """Do `forward`."""
        return self.forward(x, source, mask)

    def forward(self, x: Array, source: Array | None = None, mask: Any = None) -> Array:
        """Let each token of x attend to those of `source`, or of x.

        Parameters
        ----------
        x : ndarray, shape (N, T, embed_dim), or (T, N, embed_dim) without `batch_first`
        source : ndarray, shape (N, S, embed_dim), or (S, N, embed_dim), optional
            The sequences that keys and values come from; None: x itself.
        mask : array_like of bool or floats, optional
            Broadcast to (N, num_heads, T, S), as `nnfast.functional.attention` does: True where a
            token may look, or numbers that are added to the scores. PyTorch's boolean masks say the
            opposite; its ``key_padding_mask`` is ``mask = ~key_padding_mask[:, None, None]`` here.

        Returns
        -------
        ndarray, shape of x

        Raises
        ------
        TypeError
            x or source is float64 and the weights are float32.
        ValueError
            x, source or mask has another shape.
        """
        x = self._sequences("x", x)
        weight = self.in_proj_weight.expect()
        bias = None if self.in_proj_bias is None else self.in_proj_bias.expect()
        options: dict[str, Any] = {"heads": self.num_heads, "mask": mask, "causal": self.causal}
        projected: Any
        if source is None:
            projected = F.linear(x, weight, bias)
            same_dtype(self, projected, weight)
            y, lse = F.self_attention(projected, **options)
        else:
            source = self._sequences("source", source)
            projected = [
                F.linear(tokens, *part)
                for tokens, part in zip((x, source, source), _thirds(weight, bias), strict=True)
            ]
            for array in projected:
                same_dtype(self, array, weight)
            y, lse = F.attention(*projected, **options)
        self._saved = (x, source, projected, y, lse, options)
        return self._in_order(self.out_proj.forward(y))

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout of the shape of x, return dx; `self.dsource` is then that of the source.

        With `needs_dx` false neither is computed.
        """
        x, source, projected, y, lse, options = self._take()
        n, t, features = x.shape
        shape = (n, t, features) if self.batch_first else (t, n, features)
        dy: Any = self.out_proj.backward(self._in_order(dout_like(dout, shape)))
        weight, self.dsource = self.in_proj_weight.data, None
        if source is None:
            dqkv = F.self_attention_backward(dy, projected, y, lse, **options)
            dx, dw, db = F.linear_backward(dqkv, x, weight, needs_dx=needs_dx)
        else:
            q, k, v = projected
            gradients = F.attention_backward(dy, q, k, v, y, lse, **options)
            (dx, *dq), (dsource, *dk), (dvalues, *dv) = (
                F.linear_backward(gradient, tokens, part, needs_dx=needs_dx)
                for gradient, tokens, part in zip(
                    gradients, (x, source, source), np.split(weight, 3), strict=True
                )
            )
            dw, db = (np.concatenate(parts) for parts in zip(dq, dk, dv, strict=True))
            if dsource is not None and dvalues is not None:
                dsource += dvalues
                self.dsource = self._in_order(dsource)
        self.in_proj_weight.collect(dw)
        if self.in_proj_bias is not None:
            self.in_proj_bias.collect(db)
        return None if dx is None else self._in_order(dx)

    def _sequences(self, name: str, tokens: Array) -> Array:
        """Return the tokens as (N, T, embed_dim)."""
        return self._in_order(sequences(self, name, tokens, self.embed_dim))

    def _in_order(self, tokens: Array) -> Array:
        """Change between the caller's order of axes and (N, T, embed_dim)."""
        return tokens if self.batch_first else np.ascontiguousarray(tokens.swapaxes(0, 1))

    def _describe(self) -> str:
        text = f"{self.embed_dim}, {self.num_heads}"
        text += "" if self.in_proj_bias is not None else ", bias=False"
        for name in ("causal", "batch_first"):
            text += f", {name}=True" if getattr(self, name) else ""
        return text


def _thirds(weight: Array, bias: Array | None) -> list[tuple[Array, Array | None]]:
    """Return the weight and bias of queries, of keys and of values."""
    biases = [None] * 3 if bias is None else np.split(bias, 3)
    return list(zip(np.split(weight, 3), biases, strict=True))
