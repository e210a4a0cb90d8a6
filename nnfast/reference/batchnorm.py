"""Batch normalisation, per channel of (N, C, H, W) or per feature of (N, D).

The statistics of a channel are the mean and the population variance over all its values.
"""

from typing import SupportsFloat, SupportsIndex

import numpy as np

from . import _checks
from ._checks import RECTIFIERS, Array
from .activation import apply, relu_backward


def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: SupportsFloat = 1e-5,
    activation: str | None = None,
) -> tuple[Array, Array, Array]:
    """Normalise with the statistics of this batch, activated; return ``(y, mean, var)``.

    x, y: (N, C, H, W) or (N, C); weight, bias, mean, var: (C,).
    """
    eps = _check(x, eps, activation, weight=weight, bias=bias)
    _check_values(x)
    axes = _axes(x)
    mean = np.mean(x, axis=axes)
    centred = x - _wide(mean, x)
    var = np.mean(centred * centred, axis=axes)
    y = _scaled(centred / _wide(np.sqrt(var + eps), x), weight, bias)
    return apply(y, activation), mean, var


def batch_norm_inference(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: SupportsFloat = 1e-5,
    activation: str | None = None,
) -> Array:
    """Normalise with given statistics, activated.

    x, result: (N, C, H, W) or (N, C); mean, var, weight, bias: (C,).
    """
    _checks.floats(x=x, mean=mean, var=var)
    eps = _check(x, eps, activation, mean=mean, var=var, weight=weight, bias=bias)
    y = _scaled((x - _wide(mean, x)) / _wide(np.sqrt(var + eps), x), weight, bias)
    return apply(y, activation)


def batch_norm_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    eps: SupportsFloat = 1e-5,
    bias: Array | None = None,
    activation: str | None = None,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    """Return the gradients ``(dx, dweight, dbias)`` of `batch_norm`, through its statistics.

    dy, x: (N, C, H, W) or (N, C); mean, var, weight, bias: (C,). The bias is needed to see what an
    activation cut off. Without `needs_dx`, dx is None.
    """
    _checks.floats(x=x, dy=dy, mean=mean, var=var)
    eps = _check(x, eps, activation, mean=mean, var=var, weight=weight, bias=bias)
    _checks.shape("dy", dy, x.shape)
    _check_values(x)
    if activation:
        dy = relu_backward(dy, batch_norm_inference(x, mean, var, weight, bias, eps))
    axes, count = _axes(x), x.size // x.shape[1] if x.shape[1] else 1
    inv_std = 1 / np.sqrt(var + eps)
    xhat = (x - _wide(mean, x)) * _wide(inv_std, x)
    dbias = np.sum(dy, axis=axes)
    dweight = np.sum(dy * xhat, axis=axes)
    if not needs_dx:
        return None, dweight, dbias
    scale = inv_std if weight is None else weight * inv_std
    dx = dy - _wide(dbias / count, x) - xhat * _wide(dweight / count, x)
    return dx * _wide(scale, x), dweight, dbias


def batch_norm_update(
    running_mean: Array,
    running_var: Array,
    mean: Array,
    var: Array,
    count: SupportsIndex,
    momentum: SupportsFloat = 0.1,
) -> None:
    """Move the running statistics towards those of a batch of `count` values per channel.

    All arrays: (C,). The variance becomes the unbiased one.
    """
    _checks.in_place({"running_mean": running_mean, "running_var": running_var}, mean=mean, var=var)
    _checks.ndim("running_mean", running_mean, 1)
    count = _checks.integer("count", count, 1, 2**63 - 1)
    take = _checks.fraction("momentum", momentum, one_included=True)
    running_mean *= 1 - take
    running_mean += take * mean
    running_var *= 1 - take
    running_var += take * count / max(count - 1, 1) * var


def _check(
    x: Array, eps: SupportsFloat, activation: str | None, **per_channel: Array | None
) -> float:
    _checks.floats(x=x)
    _checks.ndim("x", x, 2, 4)
    _checks.choice("activation", activation, RECTIFIERS)
    for name, array in per_channel.items():
        _checks.vector(name, array, x.shape[1], like=x)
    return _checks.number("eps", eps, 0)


def _check_values(x: Array) -> None:
    if 0 in (x.shape[0], *x.shape[2:]):
        raise ValueError(f"x must have at least one value per channel, got shape {x.shape}")


def _axes(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _wide(per_channel: Array, x: Array) -> Array:
    """Return one value per channel in a shape that broadcasts over x."""
    return per_channel.reshape(-1, *(1,) * (x.ndim - 2))


def _scaled(y: Array, weight: Array | None, bias: Array | None) -> Array:
    if weight is not None:
        y *= _wide(weight, y)
    if bias is not None:
        y += _wide(bias, y)
    return y
