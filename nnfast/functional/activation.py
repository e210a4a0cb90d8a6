"""Activation functions, element by element on arrays of any shape."""

from ..backend import active
from ._cast import Array, ArrayLike, many, one


def relu(x: ArrayLike) -> Array:
    """Rectified linear unit: 0 where ``x <= 0``, else x.

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    ndarray
        Same shape as x. NaN stays NaN.

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers.

    References
    ----------
    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.
    """
    return active().relu(one("x", x))


def relu_backward(dy: ArrayLike, x: ArrayLike) -> Array:
    """Gradient of `relu`: 0 where ``x <= 0``, else dy.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    x : array_like
        Input of the forward call, or its output, which tells as much; same shape as dy.

    Returns
    -------
    ndarray
        Gradient with respect to x.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ.
    """
    dy, x = many(("dy", "x"), dy, x)
    return active().relu_backward(dy, x)


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """Leaky rectifier: ``negative_slope * x`` where ``x <= 0``, else x.

    Parameters
    ----------
    x : array_like
        Any shape.
    negative_slope : float
        A finite number.

    Returns
    -------
    ndarray
        Same shape as x.

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers.
    ValueError
        If negative_slope is not finite.

    References
    ----------
    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    return active().leaky_relu(one("x", x), negative_slope)


def leaky_relu_backward(dy: ArrayLike, x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """Gradient of `leaky_relu`: ``negative_slope * dy`` where ``x <= 0``, else dy.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    x : array_like
        Input of the forward call, same shape as dy.
    negative_slope : float
        As in the forward call.

    Returns
    -------
    ndarray
        Gradient with respect to x.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ or negative_slope is not finite.
    """
    dy, x = many(("dy", "x"), dy, x)
    return active().leaky_relu_backward(dy, x, negative_slope)


def sigmoid(x: ArrayLike) -> Array:
    """Logistic function, ``1 / (1 + exp(-x))``, without overflow for any x.

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    ndarray
        Same shape as x, values in [0, 1].

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers.
    """
    return active().sigmoid(one("x", x))


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """Gradient of `sigmoid`: ``dy * y * (1 - y)``.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    y : array_like
        Output of the forward call, same shape as dy.

    Returns
    -------
    ndarray
        Gradient with respect to the input.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ.
    """
    dy, y = many(("dy", "y"), dy, y)
    return active().sigmoid_backward(dy, y)


def tanh(x: ArrayLike) -> Array:
    """Hyperbolic tangent.

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    ndarray
        Same shape as x, values in [-1, 1].

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers.
    """
    return active().tanh(one("x", x))


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """Gradient of `tanh`: ``dy * (1 - y**2)``.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    y : array_like
        Output of the forward call, same shape as dy.

    Returns
    -------
    ndarray
        Gradient with respect to the input.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ.
    """
    dy, y = many(("dy", "y"), dy, y)
    return active().tanh_backward(dy, y)
