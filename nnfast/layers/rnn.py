"""The plain recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast import init as _init
from nnfast.layers.checks import one_of
from nnfast.layers.parameter import Array
from nnfast.layers.recurrent import Recurrent


class RNN(Recurrent):
    """Plain recurrent network over T steps of N sequences, in layers and in both directions.

    Elman, "Finding structure in time", 1990: ``h = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh)``.
    ``y = rnn(x)`` begins with zeros, ``y = rnn(x, h)`` with a given state; ``rnn.state`` is the
    state after the last step.

    Parameters
    ----------
    input_size, hidden_size, ..., dtype
        As for `LSTM`.
    nonlinearity : {"tanh", "relu"}
        "relu" takes the place of tanh. The fourth parameter, as in PyTorch.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (H, input_size) and (H, H)
        Names and shapes as for `LSTM`, with one gate.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (H,)
        Absent without bias.
    state, dstate : ndarray, shape (num_layers * directions, N, H), or None
        After the last step; after backward: the gradient of the first state.

    Raises
    ------
    TypeError, ValueError
        As for `LSTM`, or an unknown nonlinearity.
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        stateful: bool = False,
        init: _init.Initializer | str | None = None,
        bias_init: _init.Initializer | str | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.nonlinearity: str = one_of("nonlinearity", nonlinearity, ("tanh", "relu"))
        flags = (bias, batch_first, dropout, bidirectional, stateful)
        super().__init__(input_size, hidden_size, num_layers, *flags, init, bias_init, rng, dtype)

    def _run(
        self, x: Array, weights: list[Any], start: list[Any], reverse: bool, keep: bool
    ) -> tuple[Array, list[Array], tuple[Array, ...]]:
        arguments: Any = (x, *weights, *start, self.nonlinearity, reverse)
        y = F.rnn(*arguments)
        return y, [y[0 if reverse else -1]], (y,)

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
        given: Any = (dy, x, *weights[:2], *kept, *start, *dend, self.nonlinearity)
        return F.rnn_backward(*given, *options)

    def _describe(self) -> str:
        text = super()._describe()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity='relu'"
