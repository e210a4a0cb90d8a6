"""The convolution layer, and what the transposed one shares with it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.activation import activation_backward
from nnfast.layers.base import Layer
from nnfast.layers.checks import ACTIVATIONS, integer, one_of, pair, same_dtype, short
from nnfast.layers.parameter import Array, Parameter

IntPair = int | tuple[int, int]


class Convolution(Layer):
    """What `Conv2d` and `ConvTranspose2d` have in common: all but the functions that they call."""

    _usual: ClassVar = {"stride": 1, "padding": 0, "dilation": 1}  # what `repr` leaves out

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair,
        padding: IntPair,
        dilation: IntPair,
        groups: int,
        bias: bool,
        activation: str | None,
        init: _init.Initializer | str,
        bias_init: _init.Initializer | str,
        rng: np.random.Generator | int | None,
        dtype: npt.DTypeLike,
    ) -> None:
        self.in_channels = integer("in_channels", in_channels)
        self.out_channels = integer("out_channels", out_channels)
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        self.dilation = pair("dilation", dilation, 1)
        self.groups = integer("groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide in_channels={in_channels} and "
                f"out_channels={out_channels}, got {groups}"
            )
        self.activation: str | None = one_of("activation", activation, ACTIVATIONS)
        if rng is not None:
            rng = np.random.default_rng(rng)
        channels = (self.out_channels,)
        self.weight = Parameter.drawn(self._weight_shape(), init, rng, dtype, "weight")
        self.bias = Parameter.drawn(channels, bias_init, rng, dtype, "bias") if bias else None

    def _weight_shape(self) -> tuple[int, int, int, int]:
        raise NotImplementedError

    def _call(self, *arguments: Any) -> Array:
        """Return the activated result of x, weight, bias and activation, and a scale if given."""
        raise NotImplementedError

    def _gradients(self, dy: Array, x: Array, needs_dx: bool, needs_dbias: bool) -> tuple[Any, ...]:
        """Return the gradients of x, weight and bias, None for what is not needed."""
        raise NotImplementedError

    def forward(self, x: Array) -> Array:
        """Map x (N, in_channels, H, W) to (N, out_channels, OH, OW).

        Raises
        ------
        TypeError
            x is float64 and the weights are float32.
        ValueError
            x has other channels, or a size of which no pixel of the result is left.
        """
        y = self.forward_fused(x, self.activation)
        self._saved = (x, y if self.activation else None)
        return y

    def forward_fused(self, x: Array, activation: str | None) -> Array:
        """Do `forward` with this activation, whose backward is the caller's."""
        y = self.convolve(x, None if self.bias is None else self.bias.expect(), activation)
        self._saved = (x, None)
        return y

    def convolve(
        self, x: Array, bias: Array | None, activation: str | None, *scale: Array
    ) -> Array:
        """Return the activated result with a bias, and a scale if given; no backward follows."""
        weight = self.weight.expect()
        try:
            y = self._call(x, weight, bias, activation, *scale)
        except ValueError:
            shape: tuple[int, ...] = getattr(x, "shape", ())
            if len(shape) == 4 and shape[1] != self.in_channels:
                raise ValueError(
                    f"x must have shape (N, {self.in_channels}, H, W) for {type(self).__name__}, "
                    f"got {shape}"
                ) from None
            raise
        same_dtype(self, y, weight)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (N, out_channels, OH, OW), return dx (N, in_channels, H, W)."""
        x, y = self._take()
        dy = activation_backward(self.activation, dout, y)
        dx, dw, db = self._gradients(dy, x, needs_dx, self.bias is not None)
        self.weight.collect(dw)
        if self.bias is not None:
            self.bias.collect(db)
        return dx

    def _describe(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, {short(self.kernel_size)}"
        for name, usual in self._usual.items():
            value = getattr(self, name)
            text += f", {name}={short(value)}" if value != (usual, usual) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += "" if self.bias is not None else ", bias=False"
        return text + (f", activation={self.activation!r}" if self.activation else "")


class Conv2d(Convolution):
    """Two-dimensional cross-correlation of a batch of images (NCHW), plus bias and activation.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both divisible by `groups`.
    kernel_size, stride, padding, dilation : int or (int, int)
        For height and width.
    groups : int
        Blocks of channels that are convolved apart; ``groups=in_channels`` is depthwise.
    bias : bool
        Whether to add a learned bias per output channel.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied to the result while it is in registers.
    init, bias_init, rng, dtype
        As for `Linear`.
    algo : str
        Forces an algorithm, see `nnfast.functional.conv2d`.

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels // groups, KH, KW)
    bias : Parameter, shape (out_channels,), or None

    Raises
    ------
    TypeError, ValueError
        A number that is no integer or out of range, groups that do not divide the channels, an
        unknown activation, initialiser or dtype.

    References
    ----------
    LeCun et al., "Gradient-based learning applied to document recognition", 1998; He et al.,
    "Delving Deep into Rectifiers", ICCV 2015, for the initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: IntPair = 0,
        dilation: IntPair = 1,
        groups: int = 1,
        bias: bool = True,
        activation: str | None = None,
        init: _init.Initializer | str = "he_normal",
        bias_init: _init.Initializer | str = "zeros",
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
        algo: str = "auto",
    ) -> None:
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups),
            *(bias, activation, init, bias_init, rng, dtype),
        )
        self.algo = algo
        self._options = (self.stride, self.padding, self.dilation, self.groups)

    def _weight_shape(self) -> tuple[int, int, int, int]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _call(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        activation: str | None,
        scale: Array | None = None,
    ) -> Array:
        return F.conv2d(x, weight, bias, *self._options, activation, scale, self.algo)

    def _gradients(self, dy: Array, x: Array, needs_dx: bool, needs_dbias: bool) -> tuple[Any, ...]:
        needed = (needs_dx, needs_dbias, self.algo)
        return F.conv2d_backward(dy, x, self.weight.data, *self._options, *needed)
