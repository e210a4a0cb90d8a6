"""Layer normalisation over the last axis.

The statistics of a row are its mean and the reciprocal of its standard deviation (of the population
variance plus eps).
"""

from typing import SupportsFloat

import numpy as np

from . import _checks
from ._checks import Array


def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: SupportsFloat = 1e-5,
) -> tuple[Array, Array, Array]:
    """Normalise each row of the last axis; return ``(y, mean, rstd)``.

    x, y: (..., D); weight, bias: (D,); mean, rstd: (...).
    """
    _check(x, weight=weight, bias=bias)
    eps = _checks.number("eps", eps, 0)
    mean = np.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    rstd = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps)
    y = centred * rstd
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y, mean[..., 0], rstd[..., 0]


def layer_norm_backward(
    dy: Array, x: Array, mean: Array, rstd: Array, weight: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return the gradients ``(dx, dweight, dbias)`` of `layer_norm`, through its statistics.

    dy, x, dx: (..., D); mean, rstd: (...), as the forward call returned them; weight: (D,).
    """
    _check(x, weight=weight)
    _checks.floats(x=x, dy=dy, mean=mean, rstd=rstd)
    _checks.shape("dy", dy, x.shape)
    _checks.shape("mean", mean, x.shape[:-1])
    _checks.shape("rstd", rstd, x.shape[:-1])
    rows = tuple(range(x.ndim - 1))
    scale = rstd[..., np.newaxis]
    xhat = (x - mean[..., np.newaxis]) * scale
    dweight, dbias = np.sum(dy * xhat, axis=rows), np.sum(dy, axis=rows)
    g = dy if weight is None else dy * weight
    slope = np.mean(g * xhat, axis=-1, keepdims=True)
    dx = (g - np.mean(g, axis=-1, keepdims=True) - xhat * slope) * scale
    return dx, dweight, dbias


def _check(x: Array, **vectors: Array | None) -> None:
    _checks.floats(x=x)
    if not x.ndim:
        raise ValueError("x must have at least 1 dimension, got shape ()")
    if not x.shape[-1]:
        raise ValueError(f"x must have at least one value in its last axis, got shape {x.shape}")
    for name, array in vectors.items():
        _checks.vector(name, array, x.shape[-1], like=x)
