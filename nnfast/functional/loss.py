"""Losses."""

from typing import Any

import numpy as np

from ..backend import active
from ._cast import Array, ArrayLike, labels, many, one


def cross_entropy(
    x: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Any, Array]:
    """Softmax cross-entropy of scores against labels or probabilities.

    Parameters
    ----------
    x : array_like, shape (N, C)
        Scores before the softmax.
    target : array_like of integers, shape (N,), or of numbers, shape (N, C)
        Labels in [0, C), or one distribution over the classes per row.
    sample_weight : array_like, shape (N,), optional
        Factor of each sample's loss; None stands for ones.
    ignore_index : int
        Samples of this label count nothing. Has no effect on probabilities.
    label_smoothing : float
        s in [0, 1] replaces a target distribution q by ``(1 - s) * q + s / C``.
    reduction : {"mean", "sum", "none"}
        The mean divides by the sum of the weights of the samples not ignored; it is NaN if there
        are none.

    Returns
    -------
    loss : NumPy scalar, or ndarray of shape (N,) for "none"
    lse : ndarray, shape (N,)
        ``log(sum(exp(x)))`` of each row, which the backward function needs.

    Raises
    ------
    TypeError
        If labels are not integers or another array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit, a label is out of range, or an option is.

    References
    ----------
    Label smoothing: Szegedy et al., "Rethinking the inception architecture for computer vision",
    2016.
    """
    x, target, sample_weight, _ = _inputs(x, target, sample_weight)
    return active().cross_entropy(
        x, target, sample_weight, ignore_index, label_smoothing, reduction
    )


def cross_entropy_backward(
    x: ArrayLike,
    target: ArrayLike,
    lse: ArrayLike,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    dloss: Any = 1.0,
) -> Array:
    """Gradient of `cross_entropy` with respect to the scores.

    Parameters
    ----------
    x, target, sample_weight, ignore_index, label_smoothing, reduction
        As in the forward call.
    lse : array_like, shape (N,)
        As the forward call returned it.
    dloss : float, or array_like of shape (N,) for ``reduction="none"``
        Gradient with respect to the loss.

    Returns
    -------
    ndarray, shape (N, C)
        Zero in the rows of ignored samples.

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`.
    """
    x, target, sample_weight, lse = _inputs(x, target, sample_weight, lse)
    return active().cross_entropy_backward(
        x, target, lse, sample_weight, ignore_index, label_smoothing, reduction, _dloss(dloss, x)
    )


def mse_loss(x: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Any:
    """Squared error, ``(x - target)**2``.

    Parameters
    ----------
    x, target : array_like
        One shape, any.
    reduction : {"mean", "sum", "none"}
        The mean is over all elements; it is NaN if there are none.

    Returns
    -------
    NumPy scalar, or ndarray of the shape of x for "none"

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ or there is no such reduction.
    """
    x, target = many(("x", "target"), x, target)
    return active().mse_loss(x, target, reduction)


def mse_loss_backward(
    x: ArrayLike, target: ArrayLike, reduction: str = "mean", dloss: Any = 1.0
) -> Array:
    """Gradient of `mse_loss` with respect to x.

    Parameters
    ----------
    x, target, reduction
        As in the forward call.
    dloss : float, or array_like of the shape of x for ``reduction="none"``
        Gradient with respect to the loss.

    Returns
    -------
    ndarray
        Same shape as x.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ or there is no such reduction.
    """
    x, target = many(("x", "target"), x, target)
    return active().mse_loss_backward(x, target, reduction, _dloss(dloss, x))


def _inputs(x: Any, target: Any, sample_weight: Any, lse: Any = None) -> tuple[Any, ...]:
    """Return scores, target, weights and log-sum-exps in forms that fit each other."""
    x, sample_weight, lse = many(("x", "sample_weight", "lse"), x, sample_weight, lse)
    target = labels(target, x)
    if target.dtype.kind == "f":
        names = ("x", "target", "sample_weight", "lse")
        x, target, sample_weight, lse = many(names, x, target, sample_weight, lse)
    return x, target, sample_weight, lse


def _dloss(dloss: Any, like: Any) -> Any:
    """Return dloss as an array of the dtype of x, unless it is one number."""
    if isinstance(dloss, (float, int)) or np.ndim(dloss) == 0 or like is None:
        return dloss
    return np.require(one("dloss", dloss), like.dtype, ["C", "A"])
