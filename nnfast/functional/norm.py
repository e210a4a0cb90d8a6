"""Batch normalisation, per channel of (N, C, H, W) or per feature of (N, C).

Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
covariate shift", 2015. The running statistics are the business of the layer.
"""

from ..backend import active
from ._cast import Array, ArrayLike, many


def batch_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Normalise with the statistics of the batch, as in training.

    ``y = weight * (x - mean) / sqrt(var + eps) + bias``

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (N, C)
        At least one value per channel.
    weight, bias : array_like, shape (C,), optional
        None stands for ones and zeros.
    eps : float
        Added to the variance, not negative.

    Returns
    -------
    y : ndarray, shape of x
    mean : ndarray, shape (C,)
        Mean over all axes but the channels.
    var : ndarray, shape (C,)
        Population variance (the sum is divided by the number of values).

    Raises
    ------
    ValueError
        If the shapes do not fit, a channel has no values, or eps is negative or not finite.
    """
    x, weight, bias = many(("x", "weight", "bias"), x, weight, bias)
    return active().batch_norm(x, weight, bias, eps)


def batch_norm_inference(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Array:
    """Normalise with given statistics, as in inference.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (N, C)
        Any number of values per channel.
    mean, var : array_like, shape (C,)
        Usually the running statistics.
    weight, bias : array_like, shape (C,), optional
        None stands for ones and zeros.
    eps : float
        Added to the variance, not negative.

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    ValueError
        If the shapes do not fit, or eps is negative or not finite.
    """
    names = ("x", "mean", "var", "weight", "bias")
    x, mean, var, weight, bias = many(names, x, mean, var, weight, bias)
    return active().batch_norm_inference(x, mean, var, weight, bias, eps)


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    weight: ArrayLike | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Gradients of `batch_norm`, through the statistics too.

    Parameters
    ----------
    dy : array_like, shape of x
        Gradient with respect to y.
    x : array_like, shape (N, C, H, W) or (N, C)
        Input of the forward call.
    mean, var : array_like, shape (C,)
        As the forward call returned them.
    weight : array_like, shape (C,), optional
        As in the forward call.
    eps : float
        As in the forward call.

    Returns
    -------
    dx : ndarray, shape of x
    dweight : ndarray, shape (C,)
    dbias : ndarray, shape (C,)

    Raises
    ------
    ValueError
        As `batch_norm`.
    """
    names = ("dy", "x", "mean", "var", "weight")
    dy, x, mean, var, weight = many(names, dy, x, mean, var, weight)
    return active().batch_norm_backward(dy, x, mean, var, weight, eps)
