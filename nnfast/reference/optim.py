"""Optimizer steps on a parameter array of any shape, or on several at once.

Param and state change in place, grad does not. Each may be a list or tuple of arrays, as long as
that of param: the tensors are then updated one after the other, with the same step number. Where
papers differ, the formulas are those of PyTorch.
"""

import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from . import _checks
from ._checks import Array, Arrays


def sgd_update(
    param: Arrays, grad: Arrays, lr: SupportsFloat, weight_decay: SupportsFloat = 0.0
) -> None:
    """Take a step of gradient descent: ``param -= lr * grad``."""
    lr = _checks.number("lr", lr, 0)
    decay = _checks.number("weight_decay", weight_decay, 0)
    for p, g in _checks.tensors(param=param, grad=grad):
        p -= lr * _decayed(g, p, decay)


def momentum_update(
    param: Arrays,
    grad: Arrays,
    velocity: Arrays,
    lr: SupportsFloat,
    momentum: SupportsFloat = 0.9,
    weight_decay: SupportsFloat = 0.0,
    nesterov: bool = False,
) -> None:
    """Take a step with momentum: ``velocity = momentum * velocity + grad; param -= lr * velocity``.

    Nesterov's form looks ahead: ``param -= lr * (grad + momentum * velocity)``.
    """
    lr = _checks.number("lr", lr, 0)
    momentum = _checks.number("momentum", momentum, 0)
    decay = _checks.number("weight_decay", weight_decay, 0)
    for p, g, v in _checks.tensors(param=param, grad=grad, velocity=velocity):
        g = _decayed(g, p, decay)
        v *= momentum
        v += g
        p -= lr * (g + momentum * v if nesterov else v)


def adagrad_update(
    param: Arrays,
    grad: Arrays,
    sum_sq: Arrays,
    lr: SupportsFloat,
    eps: SupportsFloat = 1e-10,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take a step of AdaGrad (Duchi et al., 2011)."""
    lr = _checks.number("lr", lr, 0)
    eps = _checks.number("eps", eps, 0)
    decay = _checks.number("weight_decay", weight_decay, 0)
    for p, g, s in _checks.tensors(param=param, grad=grad, sum_sq=sum_sq):
        g = _decayed(g, p, decay)
        s += g * g
        p -= lr * g / (np.sqrt(s) + eps)


def rmsprop_update(
    param: Arrays,
    grad: Arrays,
    mean_sq: Arrays,
    lr: SupportsFloat,
    alpha: SupportsFloat = 0.99,
    eps: SupportsFloat = 1e-8,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take a step of RMSprop (Tieleman and Hinton, 2012)."""
    lr = _checks.number("lr", lr, 0)
    alpha = _checks.fraction("alpha", alpha, one_included=True)
    eps = _checks.number("eps", eps, 0)
    decay = _checks.number("weight_decay", weight_decay, 0)
    for p, g, s in _checks.tensors(param=param, grad=grad, mean_sq=mean_sq):
        g = _decayed(g, p, decay)
        s *= alpha
        s += (1 - alpha) * g * g
        p -= lr * g / (np.sqrt(s) + eps)


def adadelta_update(
    param: Arrays,
    grad: Arrays,
    mean_sq: Arrays,
    mean_delta_sq: Arrays,
    lr: SupportsFloat = 1.0,
    rho: SupportsFloat = 0.9,
    eps: SupportsFloat = 1e-6,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take a step of Adadelta (Zeiler, 2012)."""
    lr = _checks.number("lr", lr, 0)
    rho = _checks.fraction("rho", rho, one_included=True)
    eps = _checks.number("eps", eps, 0)
    decay = _checks.number("weight_decay", weight_decay, 0)
    arrays = {"param": param, "grad": grad, "mean_sq": mean_sq, "mean_delta_sq": mean_delta_sq}
    for p, g, s, d in _checks.tensors(**arrays):
        g = _decayed(g, p, decay)
        s *= rho
        s += (1 - rho) * g * g
        delta = np.sqrt(d + eps) / np.sqrt(s + eps) * g
        d *= rho
        d += (1 - rho) * delta * delta
        p -= lr * delta


def adam_update(
    param: Arrays,
    grad: Arrays,
    m: Arrays,
    v: Arrays,
    step: SupportsIndex,
    lr: SupportsFloat = 1e-3,
    beta1: SupportsFloat = 0.9,
    beta2: SupportsFloat = 0.999,
    eps: SupportsFloat = 1e-8,
    weight_decay: SupportsFloat = 0.0,
) -> None:
    """Take step `step` (from 1) of Adam (Kingma and Ba, 2015); decay is part of the gradient."""
    numbers = _adam_numbers(step, lr, beta1, beta2, eps)
    decay = _checks.number("weight_decay", weight_decay, 0)
    for p, g, mean, square in _checks.tensors(param=param, grad=grad, m=m, v=v):
        _adam_step(p, _decayed(g, p, decay), mean, square, *numbers)


def adamw_update(
    param: Arrays,
    grad: Arrays,
    m: Arrays,
    v: Arrays,
    step: SupportsIndex,
    lr: SupportsFloat = 1e-3,
    beta1: SupportsFloat = 0.9,
    beta2: SupportsFloat = 0.999,
    eps: SupportsFloat = 1e-8,
    weight_decay: SupportsFloat = 0.01,
) -> None:
    """Take step `step` (from 1) of AdamW (Loshchilov and Hutter, 2019), decay decoupled."""
    numbers = _adam_numbers(step, lr, beta1, beta2, eps)
    keep = 1 - numbers[1] * _checks.number("weight_decay", weight_decay, 0)
    for p, g, mean, square in _checks.tensors(param=param, grad=grad, m=m, v=v):
        p *= keep
        _adam_step(p, g, mean, square, *numbers)


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


def _decayed(grad: Array, param: Array, decay: float) -> Array:
    return grad + decay * param if decay else grad
