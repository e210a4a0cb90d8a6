"""Long short-term memory: one layer, one direction.

A step makes four gates of the input and of the last output, each of H units::

    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)
    g = tanh(z_g)                  where z = x W_ih^T + b_ih + h W_hh^T + b_hh
    c = f * c + i * g
    h = o * tanh(c)
"""

import numpy as np

from . import _checks, _recurrent
from ._checks import Array
from .activation import sigmoid


def lstm(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """Return ``(y, gates, cells)`` of all steps.

    x: (T, N, D), weight_ih: (4 H, D), weight_hh: (4 H, H), biases: (4 H,), h0, c0: (N, H), zeros
    where missing; y, cells: (T, N, H), gates: (T, N, 4 H), the values of i, f, g, o.
    """
    steps, batch, hidden = _recurrent.check(x, weight_ih, weight_hh, 4)
    _checks.vector("bias_ih", bias_ih, 4 * hidden, like=x)
    _checks.vector("bias_hh", bias_hh, 4 * hidden, like=x)
    h = _recurrent.state("h0", h0, x, hidden)
    c = _recurrent.state("c0", c0, x, hidden)
    y, cells = np.empty((2, steps, batch, hidden), x.dtype)
    gates = np.empty((steps, batch, 4 * hidden), x.dtype)
    for t in _recurrent.times(steps, reverse):
        z = _recurrent.linear(x[t], weight_ih, bias_ih) + _recurrent.linear(h, weight_hh, bias_hh)
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        y[t], cells[t], gates[t] = h, c, np.concatenate([i, f, g, o], axis=1)
    return y, gates, cells


def lstm_inference(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array]:
    """Return ``(y, c)`` of `lstm`, c: (N, H) being the cells after the last step."""
    y, _, cells = lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, reverse)
    if not len(x):
        return y, _recurrent.state("c0", c0, x, weight_hh.shape[1]).copy()
    return y, cells[0 if reverse else -1]


def lstm_backward(
    dy: Array,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    y: Array,
    gates: Array,
    cells: Array,
    h0: Array | None = None,
    c0: Array | None = None,
    dhn: Array | None = None,
    dcn: Array | None = None,
    reverse: bool = False,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array]:
    """Return the gradients of `lstm`: those of x, weights, biases, h0 and c0, in this order.

    dy: (T, N, H), that of y; dhn, dcn: (N, H), those of h and c after the last step, besides dy.
    """
    steps, batch, hidden = _recurrent.check(x, weight_ih, weight_hh, 4)
    _recurrent.check_arrays(x, (steps, batch, hidden), dy=dy, y=y, cells=cells)
    _recurrent.check_arrays(x, (steps, batch, 4 * hidden), gates=gates)
    h_before = _recurrent.states_before(_recurrent.state("h0", h0, x, hidden), y, reverse)
    c_before = _recurrent.states_before(_recurrent.state("c0", c0, x, hidden), cells, reverse)
    dh = _recurrent.state("dhn", dhn, x, hidden)
    dc = _recurrent.state("dcn", dcn, x, hidden)
    dz = np.empty_like(gates)
    for t in _recurrent.times(steps, not reverse):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        tanh_c = np.tanh(cells[t])
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        di, df, dg, do = dc * g, dc * c_before[t], dc * i, dh * tanh_c
        dz[t] = np.concatenate(
            [di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o)], axis=1
        )
        dh, dc = dz[t] @ weight_hh, dc * f
    dweight_ih, dbias = _recurrent.linear_backward(dz, x)
    dweight_hh, _ = _recurrent.linear_backward(dz, h_before)
    dx = dz @ weight_ih if needs_dx else None
    return dx, dweight_ih, dweight_hh, dbias, dbias.copy(), np.array(dh), np.array(dc)
