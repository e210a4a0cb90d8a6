"""The Gaussian error linear unit.

Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.
"""

from ..backend import active
from ._cast import Array, ArrayLike, many, one


def gelu(x: ArrayLike, approximate: str = "none") -> Array:
    """Gaussian error linear unit: ``x * Phi(x)``, Phi being the normal distribution function.

    Accurate to 3.5 units in the last place where x is positive. Where it is negative, the result
    has all its digits however small it is: the relative error is below ``(40 + x**2) * eps``, for
    the tanh form ``(10 + abs(x)**3 / 2) * eps``.

    Parameters
    ----------
    x : array_like
        Any shape.
    approximate : {"none", "tanh"}
        "tanh" takes ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2`` for Phi, as models do
        that were trained with it. It is hardly faster here.

    Returns
    -------
    ndarray
        Same shape as x; 0 at minus infinity.

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers or approximate is no string.
    ValueError
        If approximate is another string.

    References
    ----------
    Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.
    """
    return active().gelu(one("x", x), approximate)


def gelu_backward(dy: ArrayLike, x: ArrayLike, approximate: str = "none") -> Array:
    """Gradient of `gelu`: ``dy * (Phi(x) + x * Phi'(x))``.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    x : array_like
        Input of the forward call; same shape as dy.
    approximate : {"none", "tanh"}
        As in the forward call.

    Returns
    -------
    ndarray
        Gradient with respect to x.

    Raises
    ------
    TypeError
        As `gelu`.
    ValueError
        If the shapes differ, or approximate is another string.
    """
    dy, x = many(("dy", "x"), dy, x)
    return active().gelu_backward(dy, x, approximate)
