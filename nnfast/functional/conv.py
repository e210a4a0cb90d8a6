"""Convolution of images, and the unfolding it can be built from.

Where a size, stride, padding or dilation is asked for, one integer stands for height and width, a
pair for each.
"""

from collections.abc import Sequence

from ..backend import active
from ._cast import Array, ArrayLike, IntPair, many, one


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    activation: str | None = None,
    scale: ArrayLike | None = None,
    algo: str = "auto",
) -> Array:
    """Two-dimensional convolution (cross-correlation) of images with zero padding.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    weight : array_like, shape (O, C / groups, KH, KW)
        One kernel per output channel.
    bias : array_like, shape (O,), optional
        Added to each output channel.
    stride : int or (int, int)
        Pixels between neighbouring windows.
    padding : int or (int, int)
        Zeros added on each side.
    dilation : int or (int, int)
        Pixels between neighbouring kernel taps.
    groups : int
        Input and output channels are split into this many groups that do not see each other;
        ``groups=C`` is a depthwise convolution.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last; the slope of "leaky_relu" is 0.01.
    scale : array_like, shape (O,), optional
        Each output channel is multiplied by it before the bias is added: with it a batch norm
        that follows, in inference, costs nothing.
    algo : {"auto", "depthwise", "winograd", "fold", "gemm"}
        "auto" takes the first that pays, the others force an algorithm. "depthwise" needs
        ``groups=C``; "winograd" dilation 1 and kernels of 3 x 3 or 5 x 5 at stride 1, or of 3 x 3
        at stride 2 and padding 1; "fold" (gradients for few channels) ``groups=1``. Only
        "winograd" is less exact, and carries a NaN or infinity to the neighbours in its tile of
        4 x 4 outputs (2 x 2 for 5 x 5); "auto" takes it from 8 channels on.

    Returns
    -------
    ndarray, shape (N, O, OH, OW)
        ``OH = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1``; OW likewise.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers, or a number is not an integer.
    ValueError
        If the shapes do not fit, the kernel is larger than the padded image, groups does not
        divide the channels, a number is out of range, or a name is unknown.

    Notes
    -----
    Each element is within ``8 * eps * S`` of the exact result for random numbers, S being the
    convolution of absolute values, and exact for whole ones; numbers that are all equal may be off
    by ``130 * eps * S``. Those of "winograd" are within ``(128 + c / 2) * eps * N``, c being the
    C / groups channels that are added up, and N the sum over them of (largest ``|x|`` in the 6 x 6
    pixels, 9 x 9 at stride 2, that a tile of outputs sees) * (sum of the kernel's ``|weight|``).
    That is tested with inputs made to be hard; usual ones are within ``24 + c / 4``, and
    ``430 * (c + 32)`` is proved. docs/convolution.md says more, also of the gradients.

    References
    ----------
    LeCun et al., "Gradient-based learning applied to document recognition", 1998; dilation: Yu
    and Koltun, "Multi-scale context aggregation by dilated convolutions", 2016; "winograd": Lavin
    and Gray, "Fast algorithms for convolutional neural networks", 2016; at stride 2: Huang et al.,
    "DWM: a decomposable Winograd method for convolution acceleration", 2020.
    """
    names = ("x", "weight", "bias", "scale")
    x, weight, bias, scale = many(names, x, weight, bias, scale)
    options = (stride, padding, dilation, groups, activation, scale, algo)
    return active().conv2d(x, weight, bias, *options)


def conv2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    needs_dx: bool = True,
    needs_dbias: bool = True,
    algo: str = "auto",
) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv2d` (of the convolution; an activation has its own backward function).

    Parameters
    ----------
    dy : array_like, shape (N, O, OH, OW)
        Gradient with respect to the output.
    x : array_like, shape (N, C, H, W)
        Input of the forward call.
    weight : array_like, shape (O, C / groups, KH, KW)
        Weight of the forward call.
    stride, padding, dilation, groups, algo
        As in the forward call.
    needs_dx : bool
        False skips the gradient of the input, which a first layer does not need.
    needs_dbias : bool
        False skips the gradient of the bias, where there is none.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W), or None
    dweight : ndarray, shape (O, C / groups, KH, KW)
    dbias : ndarray, shape (O,), or None

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; also if dy does not have the shape of the output.
    """
    dy, x, weight = many(("dy", "x", "weight"), dy, x, weight)
    return active().conv2d_backward(
        dy, x, weight, stride, padding, dilation, groups, needs_dx, needs_dbias, algo
    )


def im2col(
    x: ArrayLike,
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Array:
    """Unfold images: each window becomes one row of a matrix.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images, padded with zeros.
    kernel_size : int or (int, int)
        Height KH and width KW of a window.
    stride, padding, dilation : int or (int, int)
        As in `conv2d`.

    Returns
    -------
    ndarray, shape (N * OH * OW, C * KH * KW)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If x is not four-dimensional, the window is larger than the padded image, or a number is
        out of range.

    References
    ----------
    Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
    processing", 2006.
    """
    return active().im2col(one("x", x), kernel_size, stride, padding, dilation)


def col2im(
    col: ArrayLike,
    x_shape: Sequence[int],
    kernel_size: IntPair,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
) -> Array:
    """Fold windows back into images, adding up where they overlap: the gradient of `im2col`.

    Parameters
    ----------
    col : array_like, shape (N * OH * OW, C * KH * KW)
        One window per row.
    x_shape : tuple of int
        Shape of the images, (N, C, H, W).
    kernel_size, stride, padding, dilation : int or (int, int)
        As in `im2col`.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If col does not have the shape that `im2col` gives, or as `im2col`.
    """
    return active().col2im(one("col", col), x_shape, kernel_size, stride, padding, dilation)
