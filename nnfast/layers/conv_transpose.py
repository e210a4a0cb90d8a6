"""The transposed convolution layer."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.checks import pair
from nnfast.layers.conv import Convolution, IntPair
from nnfast.layers.parameter import Array


class ConvTranspose2d(Convolution):
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

    _usual: ClassVar = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}

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
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups),
            *(bias, activation, partial(_turned, _init.get(init), groups), bias_init, rng, dtype),
        )
        self.output_padding = pair("output_padding", output_padding, 0)
        if any(more >= step for more, step in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(
                f"output_padding must be smaller than stride={stride}, got {output_padding}"
            )
        window = (self.stride, self.padding, self.output_padding)
        self._options = (*window, self.groups, self.dilation)

    def _weight_shape(self) -> tuple[int, int, int, int]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    def _call(self, x: Array, weight: Array, bias: Array | None, activation: str | None) -> Array:
        return F.conv_transpose2d(x, weight, bias, *self._options, activation)

    def _gradients(self, dy: Array, x: Array, needs_dx: bool, needs_dbias: bool) -> tuple[Any, ...]:
        needed = (needs_dx, needs_dbias)
        return F.conv_transpose2d_backward(dy, x, self.weight.data, *self._options, *needed)


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
