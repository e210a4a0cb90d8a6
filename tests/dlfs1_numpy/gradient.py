"""Gradients by central differences in plain NumPy."""

import numpy as np

H = 1e-4


def numerical_gradient(f, x):
    grad = np.zeros_like(x)
    for idx in np.ndindex(x.shape):
        kept = x[idx]
        x[idx] = float(kept) + H
        up = f(x)
        x[idx] = kept - H
        down = f(x)
        x[idx] = kept
        grad[idx] = (up - down) / (2 * H)
    return grad


def numerical_gradient_2d(f, X):
    if X.ndim == 1:
        return numerical_gradient(f, X)
    return np.array([numerical_gradient(f, x) for x in X])
