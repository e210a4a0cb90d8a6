"""Long short-term memory."""

from __future__ import annotations

from typing import Any

from nnfast import functional as F
from nnfast.layers.parameter import Array
from nnfast.layers.recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory over T steps of N sequences, in layers and in both directions.

    Hochreiter & Schmidhuber, "Long short-term memory", 1997, with forget gates. ``y = lstm(x)``
    begins with zeros, ``y = lstm(x, (h, c))`` with a given state; ``lstm.state`` is the state after
    the last step. Names, shapes and formulas are those of PyTorch, whose ``y, (h, c) = lstm(x)`` is
    ``y = lstm(x); h, c = lstm.state`` here.

    Parameters
    ----------
    input_size, hidden_size : int
        Sizes of the last axis of x, and of the states.
    num_layers : int
        Layers, each taking the outputs of the one before.
    bias : bool
        Whether to add learned biases.
    batch_first : bool
        Whether x and y are (N, T, ...) instead of (T, N, ...). States are not concerned.
    dropout : float, 0 to 1 (1 not included)
        Probability of zeroing an output on its way from one layer to the next, in training.
    bidirectional : bool
        Whether each layer also goes from the last time to the first. The outputs of both directions
        are side by side.
    stateful : bool
        Whether a call begins where the one before ended, for sequences that come in pieces. No
        gradient crosses the border. ``lstm.state = None`` begins anew.
    init, bias_init : str or callable, optional
        See `nnfast.init`. None: uniform within ±1 / sqrt(hidden_size).
    rng : Generator, int or None
        Draws weights and dropout. None: that of the `Sequential` around it, else a fresh one.
    dtype : float32 or float64
        Of the weights.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (4 H, input_size) and (4 H, H)
        H being hidden_size. The gates i, f, g, o one after the other. Layer 1 ends in ``_l1``, the
        other direction in ``_reverse``; layers after the first take the outputs of the one before.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (4 H,)
        Absent without bias.
    state : (h, c) or None
        After the last step, each (num_layers * directions, N, H): layer 0, layer 0 in reverse,
        layer 1 ...
    dstate : (dh, dc) or None
        After backward: the gradient of the first state, in the same form.

    Raises
    ------
    TypeError, ValueError
        A size that is no positive integer, an unknown initialiser or dtype, a bad dropout.
    """

    _gates = 4
    _states = ("h", "c")

    def _run(
        self, x: Array, weights: list[Any], start: list[Any], reverse: bool, keep: bool
    ) -> tuple[Array, list[Array], tuple[Array, ...]]:
        arguments: Any = (x, *weights, *start, reverse)
        last = 0 if reverse else -1
        if keep:
            y, gates, cells = F.lstm(*arguments)
            return y, [y[last], cells[last]], (y, gates, cells)
        y, c = F.lstm_inference(*arguments)
        return y, [y[last], c], ()

    def _run_back(
        self,
        dy: Array,
        x: Array,
        weights: list[Any],
        start: list[Any],
        kept: tuple[Array, ...],
        dend: list[Any],
        *options: bool,
    ) -> tuple[Any, ...]:
        return F.lstm_backward(dy, x, *weights[:2], *kept, *start, *dend, *options)
