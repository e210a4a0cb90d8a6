"""Matrix products and the fully connected layer: product, bias and activation in one call."""

import math

import numpy as np

from . import _checks
from ._checks import ACTIVATIONS, Array
from .activation import apply, apply_backward


def gemm(
    a: Array,
    b: Array,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: Array | None = None,
    activation: str | None = None,
) -> Array:
    """Return ``activation(op(a) @ op(b) + bias)``.

    op(a): (M, K), op(b): (K, N), bias: (N,), result: (M, N). A transposed operand is stored as
    (K, M) or (N, K).
    """
    _checks.floats(a=a, b=b)
    _checks.ndim("a", a, 2)
    _checks.ndim("b", b, 2)
    _checks.choice("activation", activation, ACTIVATIONS)
    left = a.T if transpose_a else a
    right = b.T if transpose_b else b
    if left.shape[1] != right.shape[0]:
        raise ValueError(
            f"b must have {left.shape[1]} rows to follow a: "
            f"the shapes are {left.shape} and {right.shape} after transposition"
        )
    _checks.vector("bias", bias, right.shape[1], like=a)
    y = left @ right
    if bias is not None:
        y += bias
    return apply(y, activation)


def linear(
    x: Array, weight: Array, bias: Array | None = None, activation: str | None = None
) -> Array:
    """Return ``activation(x @ weight.T + bias)``.

    x: (..., I), weight: (O, I), bias: (O,), result: (..., O).
    """
    _check_linear(x, weight)
    _checks.vector("bias", bias, weight.shape[0], like=x)
    y = gemm(_rows(x), weight, transpose_b=True, bias=bias, activation=activation)
    return y.reshape(*x.shape[:-1], weight.shape[0])


def linear_backward(
    dy: Array,
    x: Array,
    weight: Array,
    y: Array | None = None,
    activation: str | None = None,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    """Return the gradients ``(dx, dweight, dbias)`` of `linear`.

    dy, y: (..., O), x: (..., I), weight: (O, I). An activation was applied in the forward call when
    `activation` names one; its gradient is taken from the output `y`.
    """
    _check_linear(x, weight)
    _checks.floats(x=x, dy=dy)
    _checks.shape("dy", dy, (*x.shape[:-1], weight.shape[0]))
    _checks.choice("activation", activation, ACTIVATIONS)
    if activation is not None:
        if y is None:
            raise ValueError(f"y must be given when activation is {activation!r}, got None")
        _checks.floats(dy=dy, y=y)
        _checks.shape("y", y, dy.shape)
        dy = apply_backward(dy, y, activation)
    dx = dy @ weight if needs_dx else None
    dy = _rows(dy)
    return dx, dy.T @ _rows(x), np.sum(dy, axis=0)


def _rows(x: Array) -> Array:
    """(..., I) to (N, I)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _check_linear(x: Array, weight: Array) -> None:
    _checks.floats(x=x, weight=weight)
    _checks.ndim("weight", weight, 2)
    if not x.ndim:
        raise ValueError("x must have at least 1 dimension, got shape ()")
    if weight.shape[1] != x.shape[-1]:
        raise ValueError(
            f"weight must have shape (out, {x.shape[-1]}) to fit x, got {weight.shape}"
        )
