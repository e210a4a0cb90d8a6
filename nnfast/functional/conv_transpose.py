"""Transposed convolution of images: from few pixels to many, as decoders and generators do."""

from ..backend import active
from ._cast import Array, ArrayLike, IntPair, many


def conv_transpose2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    groups: int = 1,
    dilation: IntPair = 1,
    activation: str | None = None,
) -> Array:
    """Two-dimensional transposed convolution: each pixel sends its kernel out, and they add up.

    It is the gradient of a convolution with respect to its input: with the same weight, stride,
    padding and dilation, `conv2d` takes images of the shape of the result to the shape of x.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    weight : array_like, shape (C, O / groups, KH, KW)
        The kernels each input channel sends out, one per output channel of its group.
    bias : array_like, shape (O,), optional
        Added to each output channel.
    stride : int or (int, int)
        Pixels of the result between neighbouring pixels of x.
    padding : int or (int, int)
        Pixels cut off on each side of the result.
    output_padding : int or (int, int)
        Pixels added below and on the right, where no kernel may reach: of the sizes that a strided
        convolution would take to that of x, which one the result has. Smaller than the stride.
    groups : int
        Input and output channels are split into this many groups that do not see each other.
    dilation : int or (int, int)
        Pixels between neighbouring kernel taps.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last; the slope of "leaky_relu" is 0.01.

    Returns
    -------
    ndarray, shape (N, O, OH, OW)
        ``OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1``; OW
        likewise.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers, or a number is not an integer.
    ValueError
        If the shapes do not fit, x has no pixels, the padding leaves nothing, output_padding is
        not smaller than the stride, groups does not divide the channels, a number is out of range,
        or the activation is unknown.

    Notes
    -----
    The algorithms and the bounds of their errors are those of `conv2d`'s gradients:
    docs/convolution.md.

    References
    ----------
    Zeiler et al., "Deconvolutional networks", 2010; Dumoulin and Visin, "A guide to convolution
    arithmetic for deep learning", 2016.
    """
    x, weight, bias = many(("x", "weight", "bias"), x, weight, bias)
    options = (stride, padding, output_padding, groups, dilation, activation)
    return active().conv_transpose2d(x, weight, bias, *options)


def conv_transpose2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    groups: int = 1,
    dilation: IntPair = 1,
    needs_dx: bool = True,
    needs_dbias: bool = True,
) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv_transpose2d` (an activation has its own backward function).

    Parameters
    ----------
    dy : array_like, shape (N, O, OH, OW)
        Gradient with respect to the output.
    x : array_like, shape (N, C, H, W)
        Input of the forward call.
    weight : array_like, shape (C, O / groups, KH, KW)
        Weight of the forward call.
    stride, padding, output_padding, groups, dilation
        As in the forward call.
    needs_dx : bool
        False skips the gradient of the input, which a first layer does not need.
    needs_dbias : bool
        False skips the gradient of the bias, where there is none.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W), or None
    dweight : ndarray, shape (C, O / groups, KH, KW)
    dbias : ndarray, shape (O,), or None

    Raises
    ------
    TypeError, ValueError
        As `conv_transpose2d`; also if dy does not have the shape of the output.
    """
    dy, x, weight = many(("dy", "x", "weight"), dy, x, weight)
    options = (stride, padding, output_padding, groups, dilation, needs_dx, needs_dbias)
    return active().conv_transpose2d_backward(dy, x, weight, *options)
