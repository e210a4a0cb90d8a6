"""Arithmetic on arrays of one shape."""

from ..backend import active
from ._cast import Array, ArrayLike, many


def add(a: ArrayLike, b: ArrayLike, activation: str | None = None) -> Array:
    """Sum of two arrays and an activation in one pass: ``activation(a + b)``.

    The end of a residual block. The gradient with respect to either array is that of the
    activation, such as ``relu_backward(dy, y)``.

    Parameters
    ----------
    a, b : array_like
        Arrays of one shape.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last; the slope of "leaky_relu" is 0.01.

    Returns
    -------
    ndarray
        Same shape as a.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ or there is no such activation.

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    a, b = many(("a", "b"), a, b)
    return active().add(a, b, activation)
