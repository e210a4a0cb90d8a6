"""The encoder block of a transformer. Vaswani et al., "Attention is all you need", NeurIPS 2017."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.activation import GELU
from nnfast.layers.attention import MultiheadAttention
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like, number, one_of, sequences
from nnfast.layers.dropout import Dropout
from nnfast.layers.layernorm import LayerNorm
from nnfast.layers.linear import Linear
from nnfast.layers.parameter import Array


class TransformerEncoderLayer(Layer):
    """Self-attention, then two linear layers on each token; the input is added to either's result.

    Parameters are named as in PyTorch, so that weights load by name.

    Parameters
    ----------
    d_model : int
        Features of a token.
    nhead : int
        Heads of the attention; divides d_model.
    dim_feedforward : int
        Features between the two linear layers.
    dropout : float, 0 to 1 (1 not included)
        Probability of dropping an element of either result and of the features in between. The
        weights of the attention are not dropped, as they are in PyTorch.
    activation : {"relu", "gelu"}
        Between the two linear layers.
    layer_norm_eps : float
    batch_first : bool
        Whether sequences are (N, T, d_model), which takes no copies, or (T, N, d_model).
    norm_first : bool
        Whether the inputs of attention and linear layers are normalised, instead of the sums. Xiong
        et al., "On layer normalization in the transformer architecture", ICML 2020.
    bias : bool
        Whether linear layers and norms have one.
    causal : bool
        Whether a token looks only at itself and the tokens before it.
    init : str or callable
        For all matrices, see `nnfast.init`.
    rng : Generator, int or None
        Draws the weights, and the seeds of dropout. None: that of the `Sequential` around it, else
        a fresh one on first use.
    dtype : float32 or float64
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        A size that is no positive integer, heads that do not divide d_model, a dropout out of
        range, an unknown activation, initialiser or dtype.

    Examples
    --------
    >>> import nnfast as nn
    >>> block = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True, norm_first=True, rng=0)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        causal: bool = False,
        init: _init.Initializer | str = "xavier_uniform",
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if rng is not None:
            rng = np.random.default_rng(rng)
        self.batch_first, self.norm_first = bool(batch_first), bool(norm_first)
        options: dict[str, Any] = {"init": init, "rng": rng, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, bias=bias, causal=causal, batch_first=True, **options
        )
        one_of("activation", activation, ("relu", "gelu"))
        relu = "relu" if activation == "relu" else None  # computed with the product
        self.linear1 = Linear(d_model, dim_feedforward, bias, relu, **options)
        self.activation = None if relu else GELU()
        self.linear2 = Linear(dim_feedforward, d_model, bias, **options)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        drops = number("dropout", dropout, below=1.0) > 0
        self.dropout = Dropout(dropout, rng) if drops else None
        self.dropout1 = Dropout(dropout, rng) if drops else None
        self.dropout2 = Dropout(dropout, rng) if drops else None

    def __call__(self, x: Array, mask: Any = None) -> Array:
        """Do `forward`."""
        return self.forward(x, mask)

    def forward(self, x: Array, mask: Any = None) -> Array:
        """Map x (N, T, d_model), or (T, N, d_model) without `batch_first`, to the same shape.

        Parameters
        ----------
        x : ndarray
        mask : array_like of bool or floats, optional
            Which tokens may look at which; see `MultiheadAttention.forward`.

        Raises
        ------
        TypeError
            x is float64 and the weights are float32.
        ValueError
            x or mask has another shape.
        """
        x = sequences(self, "x", x, self.self_attn.embed_dim)
        shape, x = x.shape, self._in_order(x)
        y = self.self_attn(self.norm1(x) if self.norm_first else x, None, mask)
        y = y if self.dropout1 is None else self.dropout1(y)
        y = F.add(y, x)
        x = y if self.norm_first else self.norm1(y)
        y = self.norm2(x) if self.norm_first else x
        for layer in self._feedforward():
            y = layer.forward(y)
        y = F.add(y, x)
        self._saved = shape
        return self._in_order(y if self.norm_first else self.norm2(y))

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout of the shape of the output, return dx of the shape of x."""
        dout = self._in_order(dout_like(dout, self._take()))
        dsum: Any = dout if self.norm_first else self.norm2.backward(dout)
        dx: Any = dsum
        for layer in reversed(self._feedforward()):
            dx = layer.backward(dx)
        dx = self.norm2.backward(dx) if self.norm_first else dx
        dx = F.add(dx, dsum)
        dsum = dx if self.norm_first else self.norm1.backward(dx)
        dx = dsum if self.dropout1 is None else self.dropout1.backward(dsum)
        dx = self.self_attn.backward(dx, needs_dx or self.norm_first)
        dx = self.norm1.backward(dx, needs_dx) if self.norm_first else dx
        if not needs_dx:
            return None
        return self._in_order(F.add(dx, dsum))

    def _feedforward(self) -> list[Layer]:
        """Return the layers of the second half in their order."""
        layers = (self.linear1, self.activation, self.dropout, self.linear2, self.dropout2)
        return [layer for layer in layers if layer is not None]

    def _describe(self) -> str:
        return ", ".join(
            f"{name}=True" for name in ("batch_first", "norm_first") if getattr(self, name)
        )

    def _in_order(self, tokens: Array) -> Array:
        """Change between the caller's order of axes and (N, T, d_model)."""
        return tokens if self.batch_first else np.ascontiguousarray(tokens.swapaxes(0, 1))
