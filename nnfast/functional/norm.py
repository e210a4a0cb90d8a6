"""Batch normalisation, per channel of (N, C, H, W) or per feature of (N, C).

Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
covariate shift", 2015. The running statistics are the business of the layer. A ReLU that follows,
as it usually does, is computed along: ``activation="relu"``.
"""

from typing import Any

from ..backend import active
from ._cast import Array, ArrayLike, like, many


def batch_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    activation: str | None = None,
) -> tuple[Array, Array, Array]:
    """Normalise with the statistics of the batch, as in training.

    ``y = weight * (x - mean) / sqrt(var + eps) + bias``, activated

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (N, C)
        At least one value per channel.
    weight, bias : array_like, shape (C,), optional
        None stands for ones and zeros.
    eps : float
        Added to the variance, not negative.
    activation : {None, "relu"}
        Applied to the result, with the same bits as in a pass of its own.

    Returns
    -------
    y : ndarray, shape of x
    mean : ndarray, shape (C,)
        Mean over all axes but the channels.
    var : ndarray, shape (C,)
        Population variance (the sum is divided by the number of values).

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit, a channel has no values, eps is negative or not finite, or there
        is no such activation.
    """
    x, weight, bias = many(("x", "weight", "bias"), x, weight, bias)
    return active().batch_norm(x, weight, bias, eps, activation)


def batch_norm_inference(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    activation: str | None = None,
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
    activation : {None, "relu"}
        Applied to the result.

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit, eps is negative or not finite, or there is no such activation.
    """
    names = ("x", "mean", "var", "weight", "bias")
    x, mean, var, weight, bias = many(names, x, mean, var, weight, bias)
    return active().batch_norm_inference(x, mean, var, weight, bias, eps, activation)


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    weight: ArrayLike | None = None,
    eps: float = 1e-5,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    needs_dx: bool = True,
) -> tuple[Any, Array, Array]:
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
    bias : array_like, shape (C,), optional
        As in the forward call. Matters with an activation, whose argument is computed once more.
    activation : {None, "relu"}
        As in the forward call.
    needs_dx : bool
        Whether dx is wanted; it costs half the time.

    Returns
    -------
    dx : ndarray, shape of x, or None without needs_dx
    dweight : ndarray, shape (C,)
    dbias : ndarray, shape (C,)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        As `batch_norm`.
    """
    names = ("dy", "x", "mean", "var", "weight", "bias")
    dy, x, mean, var, weight, bias = many(names, dy, x, mean, var, weight, bias)
    rest = (weight, eps, bias, activation, needs_dx)
    return active().batch_norm_backward(dy, x, mean, var, *rest)


def batch_norm_update(
    running_mean: Array,
    running_var: Array,
    mean: ArrayLike,
    var: ArrayLike,
    count: int,
    momentum: float = 0.1,
) -> None:
    """Move running statistics towards those of a batch, in place.

    ``running = (1 - momentum) * running + momentum * new``, where the new variance is the unbiased
    one, ``var * count / (count - 1)``, as in PyTorch; of a single value it is var.

    Parameters
    ----------
    running_mean, running_var : ndarray, shape (C,)
        Updated in place: writable, C-contiguous, of float32 or float64 and of one dtype.
    mean, var : array_like, shape (C,)
        As `batch_norm` returned them; cast to the dtype of the running statistics.
    count : int
        Number of values per channel in the batch, at least 1.
    momentum : float
        In [0, 1].

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers or cannot be updated in place.
    ValueError
        If the shapes differ, arrays share memory, or a number is out of range.
    """
    mean, var = like("mean", mean, running_mean), like("var", var, running_mean)
    active().batch_norm_update(running_mean, running_var, mean, var, count, momentum)
