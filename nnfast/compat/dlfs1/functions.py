"""The book's ``common.functions``: activations and losses on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ... import functional as F
from ._promote import Array, is_native

__all__ = [
    "cross_entropy_error",
    "identity_function",
    "mean_squared_error",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
]


def _kernel_takes(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.ndim > 0 and is_native(x)


def identity_function(x: Any) -> Any:
    """Give x back."""
    return x


def step_function(x: Any) -> Array:
    """Give 1 where x > 0, else 0, as integers."""
    return np.array(x > 0, dtype=int)


def sigmoid(x: Any) -> Any:
    """Logistic function of an array of any shape, or of a number."""
    return F.sigmoid(x) if _kernel_takes(x) else 1 / (1 + np.exp(-x))


def sigmoid_grad(x: Any) -> Any:
    """Differentiate the sigmoid at x."""
    y = sigmoid(x)
    return (1.0 - y) * y


def relu(x: Any) -> Any:
    """Maximum of 0 and x."""
    return F.relu(x) if _kernel_takes(x) else np.maximum(0, x)


def relu_grad(x: Array) -> Array:
    """Give 1 where x >= 0, else 0, in x's dtype."""
    grad = np.zeros_like(x)
    grad[x >= 0] = 1
    return grad


def softmax(x: Any) -> Array:
    """Softmax over the last axis of an array of one or more dimensions."""
    if _kernel_takes(x):
        return F.softmax(x, axis=-1)
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return np.asarray(e / np.sum(e, axis=-1, keepdims=True))


def sum_squared_error(y: Any, t: Any) -> Any:
    """Half the sum of squared differences."""
    return 0.5 * np.sum((y - t) ** 2)


mean_squared_error = sum_squared_error  # its name in early editions


def cross_entropy_error(y: Array, t: Array) -> Any:
    """Mean of ``-log(y + 1e-7)`` at the true classes.

    Parameters
    ----------
    y : (C,) or (N, C) array
        Probabilities.
    t : array
        Labels, (N,) integers, or one-hot rows of y's size.
    """
    if y.ndim == 1:
        y, t = y.reshape(1, y.size), t.reshape(1, t.size)
    labels: npt.NDArray[Any] = t.argmax(axis=1) if t.size == y.size else t
    n = y.shape[0]
    return -np.sum(np.log(y[np.arange(n), labels] + 1e-7)) / n


def softmax_loss(X: Array, t: Array) -> Any:
    """Cross entropy of the softmax of X against t."""
    return cross_entropy_error(softmax(X), t)
