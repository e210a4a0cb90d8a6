"""Gated recurrent units."""

from __future__ import annotations

from typing import Any

from nnfast import functional as F
from nnfast.layers.parameter import Array
from nnfast.layers.recurrent import Recurrent


class GRU(Recurrent):
    """Gated recurrent units over T steps of N sequences, in layers and in both directions.

    Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, with the reset
    gate applied after the product, as in PyTorch. ``y = gru(x)`` begins with zeros, ``y = gru(x,
    h)`` with a given state; ``gru.state`` is the state after the last step.

    Parameters
    ----------
    input_size, hidden_size, ..., dtype
        As for `LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (3 H, input_size) and (3 H, H)
        The gates r, z, n one after the other; names and shapes as for `LSTM`.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (3 H,)
        Absent without bias.
    state, dstate : ndarray, shape (num_layers * directions, N, H), or None
        After the last step; after backward: the gradient of the first state.

    Raises
    ------
    TypeError, ValueError
        As for `LSTM`.
    """

    _gates = 3

    def _run(
        self, x: Array, weights: list[Any], start: list[Any], reverse: bool, keep: bool
    ) -> tuple[Array, list[Array], tuple[Array, ...]]:
        arguments: Any = (x, *weights, *start, reverse)
        kept = F.gru(*arguments) if keep else ()
        y = kept[0] if kept else F.gru_inference(*arguments)
        return y, [y[0 if reverse else -1]], kept

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
        return F.gru_backward(dy, x, *weights[:2], *kept, *start, *dend, *options)
