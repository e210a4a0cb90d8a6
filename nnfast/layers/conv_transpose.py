"""The transposed convolution layer."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.activation import activation_backward
from nnfast.layers.base import Layer
from nnfast.layers.checks import ACTIVATIONS, integer, one_of, pair, same_dtype, short
from nnfast.layers.conv import IntPair
from nnfast.layers.parameter import Array, Parameter


class ConvTranspose2d(Layer):
    """Two-dimensional transposed convolution of a batch of images (NCHW), bias and activation.

    What `Conv2d` with the same numbers takes from large images to small ones, it takes back to
    the size, not to the numbers: the way up of autoencoders and generators.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both divisible by `groups`.
    kernel_size, stride, padding, dilation : int or (int, int)
        For height and width, see `nnfast.functional.conv_transpose2d`.
    output_padding : int or (int, int)
        Pixels added below and on the right, fewer than the stride.
    groups : int
        Blocks of channels that do not see each other.
    bias : bool
        Whether to add a learned bias per output channel.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last.
    init, bias_init, rng, dtype
        As for `Linear`; an output has as many inputs as one of `Conv2d`, whatever the stride.

    Attributes
    ----------
    weight : Parameter, shape (in_channels, out_channels // groups, KH, KW)
    bias : Parameter, shape (out_channels,), or None

    Raises
    ------
    TypeError, ValueError
        A number that is no integer or out of range, groups that do not divide the channels, an
        output_padding that is not smaller than the stride, an unknown activation, initialiser or
        dtype.

    References
    ----------
    Zeiler et al., "Deconvolutional networks", 2010; He et al., "Delving Deep into Rectifiers",
    ICCV 2015, for the initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: IntPair = 0,
        output_padding: IntPair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntPair = 1,
        activation: str | None = None,
        init: _init.Initializer | str = "he_normal",
        bias_init: _init.Initializer | str = "zeros",
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.in_channels = integer("in_channels", in_channels)
        self.out_channels = integer("out_channels", out_channels)
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        self.output_padding = pair("output_padding", output_padding, 0)
        self.groups = integer("groups", groups)
        self.dilation = pair("dilation", dilation, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide in_channels={in_channels} and "
                f"out_channels={out_channels}, got {groups}"
            )
        if any(more >= step for more, step in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(
                f"output_padding must be smaller than stride={stride}, got {output_padding}"
            )
        self.activation: str | None = one_of("activation", activation, ACTIVATIONS)
        if rng is not None:
            rng = np.random.default_rng(rng)
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        how = partial(_turned, _init.get(init), self.groups)
        self.weight = Parameter.drawn(shape, how, rng, dtype, "weight")
        outputs = (self.out_channels,)
        self.bias = Parameter.drawn(outputs, bias_init, rng, dtype, "bias") if bias else None
        self._options = (
            *(self.stride, self.padding, self.output_padding),
            *(self.groups, self.dilation),
        )

    def forward(self, x: Array) -> Array:
        """Map x (N, in_channels, H, W) to (N, out_channels, OH, OW).

        Raises
        ------
        TypeError
            x is float64 and the weights are float32.
        ValueError
            x has other channels, no pixels, or so few that the padding leaves nothing.
        """
        y = self.forward_fused(x, self.activation)
        self._saved = (x, y if self.activation else None)
        return y

    def forward_fused(self, x: Array, activation: str | None) -> Array:
        """Do `forward` with this activation, whose backward is the caller's."""
        weight = self.weight.expect()
        bias = None if self.bias is None else self.bias.expect()
        try:
            y = F.conv_transpose2d(x, weight, bias, *self._options, activation)
        except ValueError:
            shape: tuple[int, ...] = getattr(x, "shape", ())
            if len(shape) == 4 and shape[1] != self.in_channels:
                raise ValueError(
                    f"x must have shape (N, {self.in_channels}, H, W) for ConvTranspose2d, "
                    f"got {shape}"
                ) from None
            raise
        same_dtype(self, y, weight)
        self._saved = (x, None)
        return y

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take dout (N, out_channels, OH, OW), return dx (N, in_channels, H, W)."""
        x, y = self._take()
        dy = activation_backward(self.activation, dout, y)
        has_bias = self.bias is not None
        dx, dw, db = F.conv_transpose2d_backward(
            dy, x, self.weight.data, *self._options, needs_dx, has_bias
        )
        self.weight.collect(dw)
        if self.bias is not None and db is not None:
            self.bias.collect(db)
        return dx

    def _describe(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, {short(self.kernel_size)}"
        usual = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
        for name, number in usual.items():
            value = getattr(self, name)
            text += f", {name}={short(value)}" if value != (number, number) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += "" if self.bias is not None else ", bias=False"
        return text + (f", activation={self.activation!r}" if self.activation else "")


def _turned(
    how: _init.Initializer,
    groups: int,
    shape: tuple[int, ...],
    rng: np.random.Generator | int | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Array:
    """Draw a weight (in, out / groups, KH, KW) as a convolution's (out, in / groups, KH, KW)."""
    inputs, outputs, *window = shape
    asked = (outputs * groups, inputs // groups, *window)
    drawn = np.asarray(how(asked, rng, dtype))
    if drawn.shape != asked:
        raise ValueError(f"init must return shape {asked}, got {drawn.shape}")
    apart = drawn.reshape(groups, outputs, inputs // groups, *window)
    return np.ascontiguousarray(apart.swapaxes(1, 2)).reshape(shape)
