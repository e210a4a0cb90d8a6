"""Pooling of images.

Where a window, stride or padding is asked for, one integer stands for height and width, a pair
for each. Without a stride the windows lie side by side. The padding is at most half the window, so
that no window lies in the padding alone.
"""

from collections.abc import Sequence

from ..backend import active
from ._cast import Array, ArrayLike, IntPair, contiguous, one


def max_pool2d(
    x: ArrayLike,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    activation: str | None = None,
) -> tuple[Array, Array]:
    """Largest value of each window, and where it was.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images. The padding is never the largest.
    kernel_size : int or (int, int)
        Height KH and width KW of a window.
    stride : int or (int, int), optional
        Pixels between neighbouring windows; None means kernel_size.
    padding : int or (int, int)
        Rows and columns added on each side.
    activation : {None, "relu"}
        Applied to y; `max_pool2d_backward` needs nothing but the indices to go through it.

    Returns
    -------
    y : ndarray, shape (N, C, OH, OW)
        ``OH = (H + 2 * padding - KH) // stride + 1``; OW likewise. NaN wins.
    indices : ndarray, shape (N, C, OH, OW)
        Position of the maximum in its window, row by row, the first of equals; ``KH * KW`` if the
        activation has cut it off. Of dtype uint8 if ``KH * KW < 256``, else int32.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If x is not four-dimensional or has no pixels, the window is larger than the padded image,
        a number is out of range, or there is no such activation.
    """
    return active().max_pool2d(one("x", x), kernel_size, stride, padding, activation)


def max_pool2d_backward(
    dy: ArrayLike,
    indices: Array,
    x_shape: Sequence[int],
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
) -> Array:
    """Gradient of `max_pool2d`: each dy is added where the maximum was, if it was not cut off.

    Parameters
    ----------
    dy : array_like, shape (N, C, OH, OW)
        Gradient with respect to y.
    indices : ndarray, shape (N, C, OH, OW)
        As the forward call returned them.
    x_shape : tuple of int
        Shape of the images, (N, C, H, W).
    kernel_size, stride, padding
        As in the forward call.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Raises
    ------
    TypeError
        If the indices have the wrong dtype.
    ValueError
        If the shapes do not fit or an index is greater than ``KH * KW``.
    """
    return active().max_pool2d_backward(
        one("dy", dy), contiguous(indices), x_shape, kernel_size, stride, padding
    )


def avg_pool2d(
    x: ArrayLike,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    count_include_pad: bool = True,
) -> Array:
    """Mean of each window.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images.
    kernel_size, stride, padding
        As in `max_pool2d`.
    count_include_pad : bool
        Whether the padding counts as zeros; otherwise the mean is over the pixels alone.

    Returns
    -------
    ndarray, shape (N, C, OH, OW)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        As `max_pool2d`.
    """
    return active().avg_pool2d(one("x", x), kernel_size, stride, padding, count_include_pad)


def avg_pool2d_backward(
    dy: ArrayLike,
    x_shape: Sequence[int],
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    count_include_pad: bool = True,
) -> Array:
    """Gradient of `avg_pool2d`: each dy is shared evenly by its window.

    Parameters
    ----------
    dy : array_like, shape (N, C, OH, OW)
        Gradient with respect to the output.
    x_shape : tuple of int
        Shape of the images, (N, C, H, W).
    kernel_size, stride, padding, count_include_pad
        As in the forward call.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit, or as `max_pool2d`.
    """
    return active().avg_pool2d_backward(
        one("dy", dy), x_shape, kernel_size, stride, padding, count_include_pad
    )


def global_avg_pool2d(x: ArrayLike) -> Array:
    """Mean of each channel.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images of at least one pixel.

    Returns
    -------
    ndarray, shape (N, C)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If x is not four-dimensional or has no pixels.

    References
    ----------
    Lin, Chen and Yan, "Network in network", 2014.
    """
    return active().global_avg_pool2d(one("x", x))


def global_avg_pool2d_backward(dy: ArrayLike, x_shape: Sequence[int]) -> Array:
    """Gradient of `global_avg_pool2d`: each dy is shared evenly by its channel.

    Parameters
    ----------
    dy : array_like, shape (N, C)
        Gradient with respect to the output.
    x_shape : tuple of int
        Shape of the images, (N, C, H, W).

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit or the images have no pixels.
    """
    return active().global_avg_pool2d_backward(one("dy", dy), x_shape)
