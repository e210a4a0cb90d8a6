"""Optimizer steps on one parameter array of any shape.

Param and state change in place, grad does not. Where papers differ, the formulas are those of
PyTorch.
"""

import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from . import _checks
from ._checks import Array


def sgd_update(
    param: Array, grad: Array, lr: SupportsFloat, weight_decay: SupportsFloat = 0.0
) -> None:
    """Take a step of gradient descent: ``param -= lr * grad``."""
    _checks.in_place(param, grad)
    lr = _checks.number("lr", lr, 0)
    param -= lr * _decayed(grad, param, weight_decay)


def momentum_update(
    param: Array,
    grad: Array,
    velocity: Array,
    lr: SupportsFloat,
    momentum: SupportsFloat = 0.9,
    weight_decay: SupportsFloat = 0.0,
    nesterov: bool = False,
) -> None:
    """Take a step with momentum: ``velocity = momentum * velocity + grad; param -= lr * velocity``.

    Nesterov's form looks ahead: ``param -= lr * (grad + momentum * velocity)``.
    """
    _checks.in_place(param, grad, velocity=velocity)
    lr = _checks.number("lr", lr, 0)
    momentum = _checks.number("momentum", momentum, 0)
    grad = _decayed(grad, param, weight_decay)
    velocity *= momentum
    velocity += grad
    param -= lr * (grad + momentum * velocity if nesterov else velocity)


def adagrad_update(
    param: Array,
    grad: Array,
    sum_sq: Array,
    lr: SupportsFloat,
    eps: SupportsFloat = 1e-10,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take a step of AdaGrad (Duchi et al., 2011)."""
    _checks.in_place(param, grad, sum_sq=sum_sq)
    lr = _checks.number("lr", lr, 0)
    eps = _checks.number("eps", eps, 0)
    grad = _decayed(grad, param, weight_decay)
    sum_sq += grad * grad
    param -= lr * grad / (np.sqrt(sum_sq) + eps)


def rmsprop_update(
    param: Array,
    grad: Array,
    mean_sq: Array,
    lr: SupportsFloat,
    alpha: SupportsFloat = 0.99,
    eps: SupportsFloat = 1e-8,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take a step of RMSprop (Tieleman and Hinton, 2012)."""
    _checks.in_place(param, grad, mean_sq=mean_sq)
    lr = _checks.number("lr", lr, 0)
    alpha = _checks.fraction("alpha", alpha, one_included=True)
    eps = _checks.number("eps", eps, 0)
    grad = _decayed(grad, param, weight_decay)
    mean_sq *= alpha
    mean_sq += (1 - alpha) * grad * grad
    param -= lr * grad / (np.sqrt(mean_sq) + eps)


def adadelta_update(
    param: Array,
    grad: Array,
    mean_sq: Array,
    mean_delta_sq: Array,
    lr: SupportsFloat = 1.0,
    rho: SupportsFloat = 0.9,
    eps: SupportsFloat = 1e-6,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take a step of Adadelta (Zeiler, 2012)."""
    _checks.in_place(param, grad, mean_sq=mean_sq, mean_delta_sq=mean_delta_sq)
    lr = _checks.number("lr", lr, 0)
    rho = _checks.fraction("rho", rho, one_included=True)
    eps = _checks.number("eps", eps, 0)
    grad = _decayed(grad, param, weight_decay)
    mean_sq *= rho
    mean_sq += (1 - rho) * grad * grad
    delta = np.sqrt(mean_delta_sq + eps) / np.sqrt(mean_sq + eps) * grad
    mean_delta_sq *= rho
    mean_delta_sq += (1 - rho) * delta * delta
    param -= lr * delta


def adam_update(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    step: SupportsIndex,
    lr: SupportsFloat = 1e-3,
    beta1: SupportsFloat = 0.9,
    beta2: SupportsFloat = 0.999,
    eps: SupportsFloat = 1e-8,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take step `step` (from 1) of Adam (Kingma and Ba, 2015); decay is part of the gradient."""
    _checks.in_place(param, grad, m=m, v=v)
    numbers = _adam_numbers(step, lr, beta1, beta2, eps)
    _adam_step(param, _decayed(grad, param, weight_decay), m, v, *numbers)


def adamw_update(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    step: SupportsIndex,
    lr: SupportsFloat = 1e-3,
    beta1: SupportsFloat = 0.9,
    beta2: SupportsFloat = 0.999,
    eps: SupportsFloat = 1e-8,
    weight_decay: SupportsFloat = 0.01,
) -> None:
    """Take step `step` (from 1) of AdamW (Loshchilov and Hutter, 2019), decay decoupled."""
    _checks.in_place(param, grad, m=m, v=v)
    numbers = _adam_numbers(step, lr, beta1, beta2, eps)
    param *= 1 - numbers[1] * _checks.number("weight_decay", weight_decay, 0)
    _adam_step(param, grad, m, v, *numbers)


def _adam_numbers(
    step: SupportsIndex,
    lr: SupportsFloat,
    beta1: SupportsFloat,
    beta2: SupportsFloat,
    eps: SupportsFloat,
) -> tuple[int, float, float, float, float]:
    return (
        _checks.integer("step", step, 1, 2**63 - 1),
        _checks.number("lr", lr, 0),
        _checks.fraction("beta1", beta1),
        _checks.fraction("beta2", beta2),
        _checks.number("eps", eps, 0),
    )


def _adam_step(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * grad * grad
    root = np.sqrt(v) / math.sqrt(1 - beta2**step) + eps
    param -= lr / (1 - beta1**step) * m / root


def _decayed(grad: Array, param: Array, weight_decay: SupportsFloat) -> Array:
    decay = _checks.number("weight_decay", weight_decay, 0)
    return grad + decay * param if decay else grad
