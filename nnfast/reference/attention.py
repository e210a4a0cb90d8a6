"""Scaled dot-product attention (Vaswani et al., 2017) over several heads.

Heads lie side by side in the last axis: head h of q are its features from ``h * d`` to
``(h + 1) * d``. The compiled twin gives the same without the (Tq, Tk) matrices made here.
"""

import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from . import _checks
from ._checks import Array


def attention(
    q: Array,
    k: Array,
    v: Array,
    heads: SupportsIndex = 1,
    mask: Array | None = None,
    causal: bool = False,
    scale: SupportsFloat | None = None,
) -> tuple[Array, Array]:
    """Return y, ``softmax(scale * q @ k.T + mask) @ v`` for each head, and the log-sum-exp.

    q: (N, Tq, heads * d), k: (N, Tk, heads * d), v: (N, Tk, heads * dv), y: (N, Tq, heads * dv),
    lse: (N, heads, Tq). A query that no key is left for has y = 0 and lse = -inf.
    """
    heads = _check_inputs(q, k, v, heads)
    scores = _scores(q, k, heads, mask, causal, scale)
    top = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
    weights = _exp(scores, top)
    total = np.sum(weights, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = top + np.log(total)
    return _join(weights / np.where(total == 0, 1, total) @ _split(v, heads)), lse[..., 0]


def attention_backward(
    dy: Array,
    q: Array,
    k: Array,
    v: Array,
    y: Array,
    lse: Array,
    heads: SupportsIndex = 1,
    mask: Array | None = None,
    causal: bool = False,
    scale: SupportsFloat | None = None,
) -> tuple[Array, Array, Array]:
    """Return the gradients ``(dq, dk, dv)`` of `attention` from its results y and lse."""
    heads = _check_inputs(q, k, v, heads)
    scores = _scores(q, k, heads, mask, causal, scale)
    _checks.floats(q=q, dy=dy, y=y, lse=lse)
    shape = (*q.shape[:2], v.shape[2])
    _checks.shape("dy", dy, shape)
    _checks.shape("y", y, shape)
    _checks.shape("lse", lse, scores.shape[:3])
    weights = _exp(scores, lse[..., np.newaxis])
    dy_, q_, k_, v_ = (_split(array, heads) for array in (dy, q, k, v))
    dweights = dy_ @ v_.swapaxes(2, 3)
    mean = np.sum(dy_ * _split(y, heads), axis=-1, keepdims=True)  # of dweights, by weights
    dscores = weights * (dweights - mean) * _scale(scale, q_)
    return (
        _join(dscores @ k_),
        _join(dscores.swapaxes(2, 3) @ q_),
        _join(weights.swapaxes(2, 3) @ dy_),
    )


def self_attention(
    qkv: Array,
    heads: SupportsIndex = 1,
    mask: Array | None = None,
    causal: bool = False,
    scale: SupportsFloat | None = None,
) -> tuple[Array, Array]:
    """Return `attention` of queries, keys and values that lie side by side.

    qkv: (N, T, 3 * heads * d), y: (N, T, heads * d), lse: (N, heads, T).
    """
    return attention(*_parts(qkv, heads), heads, mask, causal, scale)


def self_attention_backward(
    dy: Array,
    qkv: Array,
    y: Array,
    lse: Array,
    heads: SupportsIndex = 1,
    mask: Array | None = None,
    causal: bool = False,
    scale: SupportsFloat | None = None,
) -> Array:
    """Return the gradient of `self_attention`, of the shape of qkv."""
    parts = _parts(qkv, heads)
    gradients = attention_backward(dy, *parts, y, lse, heads, mask, causal, scale)
    return np.concatenate(gradients, axis=2)


def _split(x: Array, heads: int) -> Array:
    """(N, T, heads * d) to (N, heads, T, d)."""
    n, t, width = x.shape
    return x.reshape(n, t, heads, width // heads).swapaxes(1, 2)


def _join(x: Array) -> Array:
    """(N, heads, T, d) to (N, T, heads * d)."""
    n, heads, t, d = x.shape
    return x.swapaxes(1, 2).reshape(n, t, heads * d)


def _scale(scale: SupportsFloat | None, q: Array) -> Array:
    number = 1 / math.sqrt(q.shape[-1]) if scale is None else _checks.number("scale", scale)
    return np.asarray(number, q.dtype)


def _scores(
    q: Array,
    k: Array,
    heads: int,
    mask: Array | None,
    causal: bool,
    scale: SupportsFloat | None,
) -> Array:
    """Return scale * q @ k.T, masked: (N, heads, Tq, Tk)."""
    q_ = _split(q, heads)
    scores = q_ @ _split(k, heads).swapaxes(2, 3) * _scale(scale, q_)
    if mask is not None:
        scores += _bias(mask, scores)
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[2:], bool)), scores, q.dtype.type(-np.inf))
    return scores


def _bias(mask: Array, scores: Array) -> Array:
    """Return what a mask adds to the scores."""
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"mask must be a NumPy array or None, got {type(mask).__name__}")
    if mask.dtype != bool and mask.dtype != scores.dtype:
        raise TypeError(f"mask must be bool or {scores.dtype}, got {mask.dtype}")
    pairs = zip(mask.shape[::-1], scores.shape[::-1], strict=False)
    if mask.ndim > 4 or any(size not in (1, whole) for size, whole in pairs):
        raise ValueError(
            f"mask must broadcast to (N, heads, Tq, Tk) = {scores.shape}, got {mask.shape}"
        )
    return np.where(mask, 0, -np.inf).astype(scores.dtype) if mask.dtype == bool else mask


def _exp(scores: Array, shift: Array) -> Array:
    """Return ``exp(scores - shift)``, 0 where the shift is -inf: no key counts there."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, without a warning
        return np.exp(scores - np.where(shift == -np.inf, 0, shift))


def _parts(qkv: Array, heads: SupportsIndex) -> tuple[Array, Array, Array]:
    _checks.floats(qkv=qkv)
    _checks.ndim("qkv", qkv, 3)
    _check_heads("qkv", qkv, 3 * _checks.integer("heads", heads, 1))
    q, k, v = np.split(qkv, 3, axis=2)
    return q, k, v


def _check_heads(name: str, x: Array, parts: int) -> None:
    if x.shape[2] == 0 or x.shape[2] % parts:
        raise ValueError(
            f"the last axis of {name} must be a positive multiple of {parts} (heads), "
            f"got shape {x.shape}"
        )


def _check_inputs(q: Array, k: Array, v: Array, heads: SupportsIndex) -> int:
    _checks.floats(q=q, k=k, v=v)
    count = _checks.integer("heads", heads, 1)
    for name, array in {"q": q, "k": k, "v": v}.items():
        _checks.ndim(name, array, 3)
    _check_heads("q", q, count)
    _check_heads("v", v, count)
    n, t = k.shape[:2]
    _checks.shape("k", k, (q.shape[0], t, q.shape[2]))
    _checks.shape("v", v, (n, t, v.shape[2]))
    return count
