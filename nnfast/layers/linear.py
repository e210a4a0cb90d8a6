"""The fully connected layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.base import Layer
from nnfast.layers.checks import ACTIVATIONS, integer, one_of, same_dtype
from nnfast.layers.parameter import Array, Parameter


class Linear(Layer):
    """``y = activation(x @ weight.T + bias)``, computed in one pass.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output.
    bias : bool
        Whether to add a learned bias.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied to the result while it is in registers.
    init, bias_init : str or callable
        See `nnfast.init`.
    rng : Generator, int or None
        Draws the weights. None: that of the `Sequential` around it, else a fresh one on first use.
    dtype : float32 or float64
        Of the weights.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter, shape (out_features,), or None

    Raises
    ------
    TypeError, ValueError
        A size that is no positive integer, an unknown activation, initialiser or dtype.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str | None = None,
        init: _init.Initializer | str = "he_normal",
        bias_init: _init.Initializer | str = "zeros",
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.in_features = integer("in_features", in_features)
        self.out_features = integer("out_features", out_features)
        self.activation: str | None = one_of("activation", activation, ACTIVATIONS)
        if rng is not None:
            rng = np.random.default_rng(rng)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter.drawn(shape, init, rng, dtype, "weight")
        self.bias = Parameter.drawn(shape[:1], bias_init, rng, dtype, "bias") if bias else None

    def forward(self, x: Array) -> Array:
        """Map x (..., in_features) to (..., out_features).

        Raises
        ------
        TypeError
            x is float64 and the weights are float32.
        ValueError
            x has another shape.
        """
        y = self.forward_fused(x, self.activation)
        self._saved = (x, y if self.activation else None)
        return y

    def forward_fused(self, x: Array, activation: str | None) -> Array:
        """Do `forward` with this activation, whose backward is the caller's."""
        weight = self.weight.expect()
        bias = None if self.bias is None else self.bias.expect()
        try:
            y = F.linear(x, weight, bias, activation)
        except ValueError:
            shape = getattr(x, "shape", ())
            if shape and shape[-1] != weight.shape[1]:
                raise ValueError(
                    f"x must have shape (..., {weight.shape[1]}) for Linear, got {shape}"
                ) from None
            raise
        same_dtype(self, y, weight)
        self._saved = (x, None)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (..., out_features), return dx (..., in_features)."""
        x, y = self._take()
        dx, dw, db = F.linear_backward(dout, x, self.weight.data, y, self.activation, needs_dx)
        self.weight.collect(dw)
        if self.bias is not None:
            self.bias.collect(db)
        return dx

    def _describe(self) -> str:
        text = f"{self.in_features}, {self.out_features}"
        text += "" if self.bias is not None else ", bias=False"
        return text + (f", activation={self.activation!r}" if self.activation else "")
