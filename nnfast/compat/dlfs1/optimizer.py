"""The book's ``common.optimizer``: six update rules over dicts.

``update(params, grads)`` changes the arrays of params in place. Where a parameter is something else
than a float32 or float64 array with a gradient of the same kind (a plain number, say: the book's
first example of an optimizer has those), or a setting is none that a kernel takes (a negative rate,
which climbs), NumPy does the arithmetic, with its own promotion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from ... import functional as F
from ._promote import is_native

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop"]

_EPS = 1e-7


def _in_one_pass(*arrays: Any) -> bool:
    """Tell whether a kernel can update the first array in place from the others."""
    return all(
        isinstance(a, np.ndarray) and a.shape == arrays[0].shape and a.flags.c_contiguous
        for a in arrays
    ) and is_native(*arrays)


def _in_one_call(
    function: Callable[..., None],
    settings: Sequence[float],
    params: Mapping[Any, Any],
    *others: Mapping[Any, Any],
) -> list[Any]:
    """Update by one call what a kernel can, from gradients and state; return the other keys."""
    ours, rest = [], []
    for key, p in params.items():
        arrays = (p, *(other[key] for other in others))
        if _in_one_pass(*arrays):
            ours.append(arrays)
        else:
            rest.append(key)
    if ours:
        try:
            function(*zip(*ours, strict=True), *settings)
        except ValueError:  # nothing is updated yet
            # One array under two keys, which is updated twice, or a setting that NumPy takes alone.
            return list(params)
    return rest


def _zeros_like(params: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: np.zeros_like(value, order="C") for key, value in params.items()}


class SGD:
    """Stochastic gradient descent: p -= lr g."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any]) -> None:
        """Move every parameter against its gradient."""
        for key in _in_one_call(F.sgd_update, (self.lr,), params, grads):
            params[key] -= self.lr * grads[key]


class Momentum:
    """Gradient descent with momentum: v = momentum v - lr g, p += v."""

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.lr = lr
        self.momentum = momentum
        self.v: dict[Any, Any] | None = None

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any]) -> None:
        """Move every parameter by its velocity."""
        if self.v is None:
            self.v = _zeros_like(params)
        for key, p in params.items():
            step = self.lr * grads[key]
            v = self.v[key] = self._accelerate(self.v[key], step)
            p += self._move(v, step)
            params[key] = p

    def _accelerate(self, v: Any, step: Any) -> Any:
        """Give the new velocity, in place unless a float64 gradient turns it to float64."""
        if np.result_type(v, step) != v.dtype:
            return self.momentum * v - step
        v *= self.momentum
        v -= step
        return v

    def _move(self, v: Any, step: Any) -> Any:
        """Say how far a parameter moves, from its new velocity and its scaled gradient."""
        return v


class Nesterov(Momentum):
    """Nesterov's accelerated gradient (Bengio et al., 2013), in the form that the book's code has.

    v = momentum v - lr g, then p += momentum^2 v - (1 + momentum) lr g with the new v.
    """

    def _accelerate(self, v: Any, step: Any) -> Any:
        v *= self.momentum
        v -= step
        return v

    def _move(self, v: Any, step: Any) -> Any:
        return self.momentum * self.momentum * v - (1 + self.momentum) * step


class NesterovCorrected(Nesterov):
    """Nesterov's accelerated gradient as derived, which some editions have: p moves by the old v.

    p += momentum^2 v - (1 + momentum) lr g, then v = momentum v - lr g.
    """

    def _move(self, v: Any, step: Any) -> Any:
        return self.momentum * v - step


class AdaGrad:
    """AdaGrad (Duchi et al., 2011): h += g^2, p -= lr g / (sqrt(h) + 1e-7)."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr
        self.h: dict[Any, Any] | None = None

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any]) -> None:
        """Move every parameter, each element at its own rate."""
        if self.h is None:
            self.h = _zeros_like(params)
        for key in _in_one_call(F.adagrad_update, (self.lr, _EPS), params, grads, self.h):
            g = grads[key]
            self.h[key] += g * g
            params[key] -= self.lr * g / (np.sqrt(self.h[key]) + _EPS)


class RMSprop:
    """RMSprop (Tieleman and Hinton, 2012): h is the decaying mean of g^2, p as in AdaGrad."""

    def __init__(self, lr: float = 0.01, decay_rate: float = 0.99) -> None:
        self.lr = lr
        self.decay_rate = decay_rate
        self.h: dict[Any, Any] | None = None

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any]) -> None:
        """Move every parameter, each element at its own rate."""
        if self.h is None:
            self.h = _zeros_like(params)
        settings = (self.lr, self.decay_rate, _EPS)
        for key in _in_one_call(F.rmsprop_update, settings, params, grads, self.h):
            g = grads[key]
            self.h[key] *= self.decay_rate
            self.h[key] += (1 - self.decay_rate) * g * g
            params[key] -= self.lr * g / (np.sqrt(self.h[key]) + _EPS)


class Adam:
    """Adam (Kingma and Ba, 2015), its bias corrected through the learning rate."""

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.iter = 0
        self.m: dict[Any, Any] | None = None
        self.v: dict[Any, Any] | None = None

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any]) -> None:
        """Move every parameter by the ratio of its gradient's two moments."""
        if self.m is None or self.v is None:
            self.m, self.v = _zeros_like(params), _zeros_like(params)
        self.iter += 1
        correction1, correction2 = 1.0 - self.beta1**self.iter, sqrt(1.0 - self.beta2**self.iter)
        lr = self.lr * correction2 / correction1
        # The kernel divides sqrt(v) by correction2 before it adds its epsilon.
        settings = (self.iter, self.lr, self.beta1, self.beta2, _EPS / correction2)
        for key in _in_one_call(F.adam_update, settings, params, grads, self.m, self.v):
            g = grads[key]
            self.m[key] += (1 - self.beta1) * (g - self.m[key])
            self.v[key] += (1 - self.beta2) * (g * g - self.v[key])
            params[key] -= lr * self.m[key] / (np.sqrt(self.v[key]) + _EPS)
