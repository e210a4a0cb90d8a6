"""Losses: softmax cross-entropy over labels or soft targets, and the mean squared error."""

from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from . import _checks
from ._checks import REDUCTIONS, Array


def cross_entropy(
    x: Array,
    target: Array,
    sample_weight: Array | None = None,
    ignore_index: SupportsIndex = -100,
    label_smoothing: SupportsFloat = 0.0,
    reduction: str = "mean",
) -> tuple[Any, Array]:
    """Return the loss of the scores x against the target, and the log-sum-exp of each row.

    x: (N, C); target: (N,) integer labels, or (N, C) probabilities; sample_weight, lse: (N,). The
    loss is a scalar, for ``reduction="none"`` (N,). The mean is over the weights of the samples
    not ignored. Smoothing s replaces the target q by ``(1 - s) q + s / C``.
    """
    weight, keep, smoothing = _check(
        x, target, sample_weight, ignore_index, label_smoothing, reduction
    )
    with np.errstate(invalid="ignore"):
        top = np.max(x, axis=1, keepdims=True, initial=-np.inf)
        lse = top[:, 0] + np.log(np.sum(np.exp(x - top), axis=1))
    if target.ndim == 1:
        rows = np.flatnonzero(keep)
        nll = np.zeros_like(lse)
        nll[rows] = lse[rows] - x[rows, target[rows]]
    else:
        nll = np.sum(target * (lse[:, np.newaxis] - x), axis=1)
    if smoothing:
        uniform = np.sum(lse[:, np.newaxis] - x, axis=1) / x.shape[1]
        nll = (1 - smoothing) * nll + smoothing * uniform
    loss = np.where(keep, weight * nll, x.dtype.type(0))
    if reduction == "none":
        return loss, lse
    total = np.sum(loss)
    return total if reduction == "sum" else _divide(total, np.sum(weight[keep])), lse


def cross_entropy_backward(
    x: Array,
    target: Array,
    lse: Array,
    sample_weight: Array | None = None,
    ignore_index: SupportsIndex = -100,
    label_smoothing: SupportsFloat = 0.0,
    reduction: str = "mean",
    dloss: Any = 1.0,
) -> Array:
    """Return the gradient of `cross_entropy` with respect to x, of shape (N, C).

    dloss, the gradient of the loss, is a scalar; for ``reduction="none"`` also (N,).
    """
    weight, keep, smoothing = _check(
        x, target, sample_weight, ignore_index, label_smoothing, reduction
    )
    _checks.floats(x=x, lse=lse)
    _checks.shape("lse", lse, (x.shape[0],))
    scale = weight * _dloss(dloss, lse.shape, x, reduction)
    if reduction == "mean":
        scale = _divide(scale, np.sum(weight[keep]))
    dx = np.exp(x - lse[:, np.newaxis])
    if target.ndim == 1:
        rows = np.flatnonzero(keep)
        dx[rows, target[rows]] -= 1 - smoothing
        if smoothing:
            dx -= smoothing / max(x.shape[1], 1)
    else:
        mix = (1 - smoothing) * target + smoothing / max(x.shape[1], 1)
        dx *= np.sum(mix, axis=1, keepdims=True)
        dx -= mix
    dx *= scale[:, np.newaxis]
    dx[~keep] = 0
    return dx


def mse_loss(x: Array, target: Array, reduction: str = "mean") -> Any:
    """Return the squared error ``(x - target)**2``: its mean, its sum, or each ("none")."""
    _check_mse(x, target, reduction)
    error = x - target
    error *= error
    if reduction == "none":
        return error
    total = np.sum(error)
    return total if reduction == "sum" else _divide(total, x.dtype.type(x.size))


def mse_loss_backward(x: Array, target: Array, reduction: str = "mean", dloss: Any = 1.0) -> Array:
    """Return the gradient of `mse_loss` with respect to x.

    dloss is a scalar; for ``reduction="none"`` also an array of the shape of x.
    """
    _check_mse(x, target, reduction)
    scale = x.dtype.type(2) * _dloss(dloss, x.shape, x, reduction)
    if reduction == "mean":
        scale = _divide(scale, x.dtype.type(x.size))
    return scale * (x - target)


def _check(
    x: Array,
    target: Array,
    sample_weight: Array | None,
    ignore_index: SupportsIndex,
    label_smoothing: SupportsFloat,
    reduction: str,
) -> tuple[Array, Array, float]:
    """Return the weight of each sample, which samples count, and the smoothing."""
    _checks.floats(x=x)
    _checks.ndim("x", x, 2)
    _checks.choice("reduction", reduction, REDUCTIONS)
    ignored = _checks.integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
    smoothing = _checks.fraction("label_smoothing", label_smoothing, one_included=True)
    _checks.vector("sample_weight", sample_weight, x.shape[0], like=x)
    weight = np.ones(x.shape[0], x.dtype) if sample_weight is None else sample_weight
    if not isinstance(target, np.ndarray):
        raise TypeError(f"target must be a NumPy array, got {type(target).__name__}")
    _checks.ndim("target", target, 1, 2)
    if target.ndim == 2:
        _checks.floats(x=x, target=target)
        _checks.shape("target", target, x.shape)
        return weight, np.ones(x.shape[0], bool), smoothing
    if target.dtype != np.int64:
        raise TypeError(f"target must hold int64 labels, got {target.dtype}")
    _checks.shape("target", target, (x.shape[0],))
    keep = target != ignored
    wrong = keep & ((target < 0) | (target >= x.shape[1]))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"target must hold labels in [0, {x.shape[1] - 1}] or ignore_index={ignored}, "
            f"got {target[at]} at {at}"
        )
    return weight, keep, smoothing


def _check_mse(x: Array, target: Array, reduction: str) -> None:
    _checks.floats(x=x, target=target)
    _checks.shape("target", target, x.shape)
    _checks.choice("reduction", reduction, REDUCTIONS)


def _dloss(dloss: Any, shape: tuple[int, ...], x: Array, reduction: str) -> Any:
    """Return dloss as an array of the dtype of x; one value unless reduction is "none"."""
    if isinstance(dloss, np.ndarray) and dloss.ndim and reduction == "none":
        _checks.floats(x=x, dloss=dloss)
        _checks.shape("dloss", dloss, shape)
        return dloss
    if np.ndim(dloss):
        allowed = f"a number or of shape {shape}" if reduction == "none" else "a number"
        raise ValueError(f"dloss must be {allowed} for reduction={reduction!r}, got {dloss!r}")
    return x.dtype.type(_checks.real("dloss", dloss))


def _divide(value: Any, count: Any) -> Any:
    """Return value / count; nothing to average over gives NaN, without a warning."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return value / count
