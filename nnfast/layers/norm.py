"""Batch normalisation. Ioffe & Szegedy, "Batch Normalization", ICML 2015."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.functional._cast import as_array
from nnfast.layers.activation import activation_backward
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like, integer, number, one_of, same_dtype
from nnfast.layers.parameter import Array, Parameter


class _BatchNorm(Layer):
    """What both forms share; `_shapes` are those of the input by number of dimensions."""

    _shapes: ClassVar[dict[int, str]]
    buffers = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dtype: npt.DTypeLike = np.float32,
        activation: str | None = None,
    ) -> None:
        self.num_features = integer("num_features", num_features)
        self.eps = number("eps", eps)
        self.momentum = number("momentum", momentum, most=1.0)
        self.activation: str | None = one_of("activation", activation, (None, "relu"))
        shape = (self.num_features,)
        self.weight = Parameter(_init.ones(shape, dtype=dtype), name="weight") if affine else None
        self.bias = Parameter(_init.zeros(shape, dtype=dtype), name="bias") if affine else None
        self.running_mean = _init.zeros(shape, dtype=dtype)
        self.running_var = _init.ones(shape, dtype=dtype)
        self.num_batches_tracked: Array = np.zeros((), np.int64)

    def forward(self, x: Array) -> Array:
        """Normalise each channel: by the batch in training, by the running statistics else."""
        return self.forward_fused(x, self.activation)

    def forward_fused(self, x: Array, activation: str | None) -> Array:
        """Do `forward` with this activation, through which `backward` goes too."""
        x = as_array("x", x)
        if x.ndim not in self._shapes or x.shape[1] != self.num_features:
            known = " or ".join(f"(N, {self.num_features}{s})" for s in self._shapes.values())
            raise ValueError(f"x must have shape {known} for {type(self).__name__}, got {x.shape}")
        if x.ndim == 3:
            return self._of_images(x[:, :, np.newaxis], activation)[:, :, 0]
        return self._of_images(x, activation)

    def _of_images(self, x: Array, activation: str | None) -> Array:
        """Do the same for x (N, C, H, W) or (N, C)."""
        weight = None if self.weight is None else self.weight.expect()
        bias = None if self.bias is None else self.bias.expect()
        mean, var = self.running_mean, self.running_var
        if self.training:
            y, mean, var = F.batch_norm(x, weight, bias, self.eps, activation)
            same_dtype(self, y, self.running_mean)
            count = x.size // self.num_features
            running = (self.running_mean, self.running_var)
            F.batch_norm_update(*running, mean, var, count, self.momentum)
            self.num_batches_tracked[()] += 1  # a sixth of the time that += of the array takes
        else:
            y = F.batch_norm_inference(x, mean, var, weight, bias, self.eps, activation)
            same_dtype(self, y, self.running_mean)
        self._saved = (x, mean, var, None if self.training else y, activation)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout of the shape of y, return dx of the shape of x."""
        x, mean, var, y, activation = self._take()
        signals = x.ndim == 4 and 3 in self._shapes
        if signals:
            dout = dout_like(dout, (*x.shape[:2], x.shape[3]))[:, :, np.newaxis]
        weight = None if self.weight is None else self.weight.data
        bias = None if self.bias is None else self.bias.data
        if y is None:
            rest = (weight, self.eps, bias, activation, needs_dx)
            dx, dw, db = F.batch_norm_backward(dout, x, mean, var, *rest)
        else:  # mean and var were constants: y is x scaled, and so is dx
            dy = activation_backward(activation, dout, y)
            if x.size:
                rest = (weight, self.eps, None, None, False)
                _, dw, db = F.batch_norm_backward(dy, x, mean, var, *rest)
            else:  # an empty batch has no statistics, but here none are needed
                dw, db = np.zeros_like(mean), np.zeros_like(mean)
            scaled = (np.zeros_like(mean), var, weight, None, self.eps)
            dx = F.batch_norm_inference(dy, *scaled) if needs_dx else None
        if self.weight is not None and self.bias is not None:
            self.weight.collect(dw)
            self.bias.collect(db)
        return dx[:, :, 0] if signals and dx is not None else dx

    def _describe(self) -> str:
        defaults: dict[str, Any] = {"eps": 1e-5, "momentum": 0.1}
        text = str(self.num_features)
        for name, usual in defaults.items():
            value = getattr(self, name)
            text += f", {name}={value:g}" if value != usual else ""
        text += "" if self.weight is not None else ", affine=False"
        return text + (f", activation={self.activation!r}" if self.activation else "")


class BatchNorm1d(_BatchNorm):
    """Normalises each feature of x (N, num_features), or (N, num_features, L), over all else.

    Parameters
    ----------
    num_features : int
    eps : float
        Added to the variance.
    momentum : float, 0 to 1
        Weight of the new batch in the running statistics.
    affine : bool
        Whether to learn a scale `weight` and a shift `bias`.
    dtype : float32 or float64
    activation : {None, "relu"}
        Applied to the result, forward and backward without a pass of its own.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_features,), or None
    running_mean, running_var : ndarray, shape (num_features,)
        Used by ``eval()``; the variance is the unbiased one, as in PyTorch.
    num_batches_tracked : ndarray of int64, shape ()

    Raises
    ------
    TypeError, ValueError
        A number of the wrong kind or out of range; in forward, an x of another shape, without a
        single row, or of a higher precision than the layer.
    """

    _shapes: ClassVar = {2: "", 3: ", L"}


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of x (N, num_features, H, W) over batch, height and width.

    Parameters and attributes are those of `BatchNorm1d`.
    """

    _shapes: ClassVar = {4: ", H, W"}
