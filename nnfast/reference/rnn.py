"""The plain recurrent network: one layer, one direction.

A step is ``h = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh)``, or the rectifier instead of tanh.
"""

import numpy as np

from . import _checks, _recurrent
from ._checks import Array
from .activation import apply, apply_backward

NONLINEARITIES = ("tanh", "relu")


def rnn(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Array:
    """Return y, h after each step.

    x: (T, N, D), weight_ih: (H, D), weight_hh: (H, H), biases: (H,), h0: (N, H), zeros if missing;
    y: (T, N, H).
    """
    steps, batch, hidden = _recurrent.check(x, weight_ih, weight_hh, 1)
    _checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)
    _checks.vector("bias_ih", bias_ih, hidden, like=x)
    _checks.vector("bias_hh", bias_hh, hidden, like=x)
    h = _recurrent.state("h0", h0, x, hidden)
    y = np.empty((steps, batch, hidden), x.dtype)
    for t in _recurrent.times(steps, reverse):
        z = _recurrent.linear(x[t], weight_ih, bias_ih) + _recurrent.linear(h, weight_hh, bias_hh)
        y[t] = h = apply(z, nonlinearity)
    return y


def rnn_backward(
    dy: Array,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    y: Array,
    h0: Array | None = None,
    dhn: Array | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of `rnn`: those of x, weights, biases and h0, in this order.

    dy: (T, N, H), that of y; dhn: (N, H), that of h after the last step, besides dy.
    """
    steps, batch, hidden = _recurrent.check(x, weight_ih, weight_hh, 1)
    _checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)
    _recurrent.check_arrays(x, (steps, batch, hidden), dy=dy, y=y)
    h_before = _recurrent.states_before(_recurrent.state("h0", h0, x, hidden), y, reverse)
    dh = _recurrent.state("dhn", dhn, x, hidden)
    dz = np.empty_like(y)
    for t in _recurrent.times(steps, not reverse):
        dz[t] = apply_backward(dh + dy[t], y[t], nonlinearity)
        dh = dz[t] @ weight_hh
    dweight_ih, dbias = _recurrent.linear_backward(dz, x)
    dweight_hh, _ = _recurrent.linear_backward(dz, h_before)
    dx = dz @ weight_ih if needs_dx else None
    return dx, dweight_ih, dweight_hh, dbias, dbias.copy(), np.array(dh)
