"""Layer normalisation over the last axis.

Ba, Kiros and Hinton, "Layer normalization", 2016.
"""

from ..backend import active
from ._cast import Array, ArrayLike, many


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Normalise each row of the last axis: ``y = weight * (x - mean) * rstd + bias``.

    Parameters
    ----------
    x : array_like, shape (..., D)
        At least one value in a row. To normalise over several axes, reshape them into one.
    weight, bias : array_like, shape (D,), optional
        None stands for ones and zeros.
    eps : float
        Added to the variance, not negative.

    Returns
    -------
    y : ndarray, shape of x
    mean : ndarray, shape (...)
        Mean of each row.
    rstd : ndarray, shape (...)
        ``1 / sqrt(var + eps)``, with the population variance of each row.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit, a row has no values, or eps is negative or not finite.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    x, weight, bias = many(("x", "weight", "bias"), x, weight, bias)
    return active().layer_norm(x, weight, bias, eps)


def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    rstd: ArrayLike,
    weight: ArrayLike | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `layer_norm`, through the statistics too.

    Parameters
    ----------
    dy : array_like, shape (..., D)
        Gradient with respect to y.
    x : array_like, shape (..., D)
        Input of the forward call.
    mean, rstd : array_like, shape (...)
        As the forward call returned them.
    weight : array_like, shape (D,), optional
        As in the forward call.

    Returns
    -------
    dx : ndarray, shape of x
    dweight : ndarray, shape (D,)
    dbias : ndarray, shape (D,)

    Raises
    ------
    TypeError, ValueError
        As `layer_norm`.
    """
    names = ("dy", "x", "mean", "rstd", "weight")
    dy, x, mean, rstd, weight = many(names, dy, x, mean, rstd, weight)
    return active().layer_norm_backward(dy, x, mean, rstd, weight)
