"""Gated recurrent units: one layer, one direction.

A step makes three gates of the input and of the last output, each of H units::

    r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
    n = tanh(a_n + r * b_n)          where a = x W_ih^T + b_ih, b = h W_hh^T + b_hh
    h = (1 - z) * n + z * h
"""

import numpy as np

from . import _checks, _recurrent
from ._checks import Array
from .activation import sigmoid


def gru(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """Return ``(y, gates, inner)`` of all steps.

    x: (T, N, D), weight_ih: (3 H, D), weight_hh: (3 H, H), biases: (3 H,), h0: (N, H), zeros if
    missing; y: (T, N, H), gates: (T, N, 3 H), the values of r, z, n, inner: (T, N, H), that of b_n.
    """
    steps, batch, hidden = _recurrent.check(x, weight_ih, weight_hh, 3)
    _checks.vector("bias_ih", bias_ih, 3 * hidden, like=x)
    _checks.vector("bias_hh", bias_hh, 3 * hidden, like=x)
    h = _recurrent.state("h0", h0, x, hidden)
    y, inner = np.empty((2, steps, batch, hidden), x.dtype)
    gates = np.empty((steps, batch, 3 * hidden), x.dtype)
    for t in _recurrent.times(steps, reverse):
        a_r, a_z, a_n = np.split(_recurrent.linear(x[t], weight_ih, bias_ih), 3, axis=1)
        b_r, b_z, b_n = np.split(_recurrent.linear(h, weight_hh, bias_hh), 3, axis=1)
        r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
        n = np.tanh(a_n + r * b_n)
        h = (1 - z) * n + z * h
        y[t], gates[t], inner[t] = h, np.concatenate([r, z, n], axis=1), b_n
    return y, gates, inner


def gru_inference(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    reverse: bool = False,
) -> Array:
    """Return the y of `gru`."""
    return gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, reverse)[0]


def gru_backward(
    dy: Array,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    y: Array,
    gates: Array,
    inner: Array,
    h0: Array | None = None,
    dhn: Array | None = None,
    reverse: bool = False,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of `gru`: those of x, weights, biases and h0, in this order.

    dy: (T, N, H), that of y; dhn: (N, H), that of h after the last step, besides dy.
    """
    steps, batch, hidden = _recurrent.check(x, weight_ih, weight_hh, 3)
    _recurrent.check_arrays(x, (steps, batch, hidden), dy=dy, y=y, inner=inner)
    _recurrent.check_arrays(x, (steps, batch, 3 * hidden), gates=gates)
    h_before = _recurrent.states_before(_recurrent.state("h0", h0, x, hidden), y, reverse)
    dh = _recurrent.state("dhn", dhn, x, hidden)
    da, db = np.empty_like(gates), np.empty_like(gates)
    for t in _recurrent.times(steps, not reverse):
        r, z, n = np.split(gates[t], 3, axis=1)
        dh = dh + dy[t]
        dn = dh * (1 - z) * (1 - n * n)
        dr = dn * inner[t] * r * (1 - r)
        dz = dh * (h_before[t] - n) * z * (1 - z)
        da[t] = np.concatenate([dr, dz, dn], axis=1)
        db[t] = np.concatenate([dr, dz, dn * r], axis=1)
        dh = dh * z + db[t] @ weight_hh
    dweight_ih, dbias_ih = _recurrent.linear_backward(da, x)
    dweight_hh, dbias_hh = _recurrent.linear_backward(db, h_before)
    dx = da @ weight_ih if needs_dx else None
    return dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh, np.array(dh)
