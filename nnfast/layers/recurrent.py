"""What the layers over time share: parameters, stacking, directions, the state between calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nnfast import init as _init
from nnfast.functional._cast import as_array
from nnfast.layers.base import Layer
from nnfast.layers.checks import dout_like, integer, number, same_dtype
from nnfast.layers.dropout import Dropout
from nnfast.layers.parameter import Array, Parameter

_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Recurrent(Layer):
    """Base of the layers over time; a subclass runs one layer in one direction.

    Directions are counted through all layers: number k belongs to layer k // directions. A state is
    an array (layers * directions, N, hidden_size), or a tuple of them where there are several.
    """

    _gates: ClassVar[int]
    _states: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
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
        self.input_size = integer("input_size", input_size)
        self.hidden_size = integer("hidden_size", hidden_size)
        self.num_layers = integer("num_layers", num_layers)
        self.bias, self.batch_first = bool(bias), bool(batch_first)
        self.dropout = number("dropout", dropout, below=1.0)
        self.bidirectional, self.stateful = bool(bidirectional), bool(stateful)
        self.state: Any = None
        self.dstate: Any = None
        bound = 1 / math.sqrt(self.hidden_size)
        usual = partial(_init.uniform, low=-bound, high=bound)
        rng = None if rng is None else np.random.default_rng(rng)
        rows, directions = self._gates * self.hidden_size, 1 + self.bidirectional
        numbers = range(self.num_layers * directions)
        self._directions = [numbers[k : k + directions] for k in numbers[::directions]]  # by layer
        self._names = [self._names_of(k) for k in numbers]
        for k in numbers:
            inputs = self.input_size if k < directions else self.hidden_size * directions
            shapes = ((rows, inputs), (rows, self.hidden_size), (rows,), (rows,))
            for name, shape in zip(self._names[k], shapes, strict=False):
                how = (bias_init if len(shape) == 1 else init) or usual
                setattr(self, name, Parameter.drawn(shape, how, rng, dtype, name))
        between = self.num_layers - 1 if self.dropout else 0
        self.dropouts = [Dropout(self.dropout, rng) for _ in range(between)]

    def _names_of(self, k: int) -> list[str]:
        layer, backwards = divmod(k, 1 + self.bidirectional)
        kinds = _KINDS if self.bias else _KINDS[:2]
        return [f"{kind}_l{layer}{'_reverse' if backwards else ''}" for kind in kinds]

    def _weights(self, k: int, get: Callable[[Parameter], Array]) -> list[Any]:
        """Return weight_ih, weight_hh, bias_ih, bias_hh; without bias the last two are None."""
        weights: list[Any] = [get(getattr(self, name)) for name in self._names[k]]
        return weights if self.bias else [*weights, None, None]

    def _run(
        self, x: Array, weights: list[Any], start: list[Any], reverse: bool, keep: bool
    ) -> tuple[Array, list[Array], tuple[Array, ...]]:
        """Return y, the state after the last step, and if `keep` what `_run_back` needs."""
        raise NotImplementedError

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
        """Return the gradients of x, of weights and biases, and of the first state.

        The options are `reverse` and `needs_dx`, in this order.
        """
        raise NotImplementedError

    def __call__(self, x: Array, state: Any = None) -> Array:
        """Do `forward`."""
        return self.forward(x, state)

    def forward(self, x: Array, state: Any = None) -> Array:
        """Go through all steps of x; `self.state` is then the last state.

        Parameters
        ----------
        x : ndarray, shape (T, N, input_size), or (N, T, input_size) with `batch_first`
            At least one step.
        state : optional
            The first state. None: zeros, or with `stateful` the last state of the call before.

        Returns
        -------
        ndarray, shape (T, N, hidden_size), or (N, T, hidden_size) with `batch_first`
            The output after each step; with `bidirectional` those of both directions side by side.

        Raises
        ------
        ValueError
            x or state has another shape, or x no steps.
        TypeError
            x or state is float64 and the weights are float32.
        """
        x = as_array("x", x)
        if x.ndim != 3 or x.shape[2] != self.input_size or not x.shape[self.batch_first]:
            axes = "N, T" if self.batch_first else "T, N"
            raise ValueError(
                f"x must have shape ({axes}, {self.input_size}) with at least one step for "
                f"{type(self).__name__}, got {x.shape}"
            )
        x = np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first else x
        state = self.state if state is None and self.stateful else state
        starts, ends, saved = self._split("state", state, x.shape[1]), [], []
        for layer, numbers in enumerate(self._directions):
            if layer and self.dropouts:
                x = self.dropouts[layer - 1].forward(x)
            ys = []
            for reverse, k in enumerate(numbers):
                weights = self._weights(k, Parameter.expect)
                y, end, kept = self._run(x, weights, starts[k], bool(reverse), self.training)
                same_dtype(self, y, weights[0])
                ys.append(y)
                ends.append(end)
                saved.append((x, starts[k], kept))
            x = ys[0] if len(ys) == 1 else np.concatenate(ys, axis=2)
        self.state = self._join(ends)
        self._saved = saved
        return x.swapaxes(0, 1) if self.batch_first else x

    def backward(
        self, dout: Array | None, needs_dx: bool = True, dstate: Any = None
    ) -> Array | None:
        """Go back through all steps; `self.dstate` is then the gradient of the first state.

        Parameters
        ----------
        dout : ndarray or None
            Gradient of what forward returned. None: nothing but the last state was used.
        needs_dx : bool
            False: the caller has no use for the gradient of x, and None is returned.
        dstate : optional
            Gradient of the last state, where that was used. Of several parts, any may be None.
        """
        saved = self._take()
        steps, batch = saved[0][0].shape[:2]
        size = self.hidden_size
        rows = (batch, steps) if self.batch_first else (steps, batch)
        shape = (*rows, size * (1 + self.bidirectional))
        dtype = getattr(self, self._names[0][0]).dtype
        dy: Any = np.zeros(shape, dtype) if dout is None else dout_like(dout, shape)
        dy = dy.swapaxes(0, 1) if self.batch_first else dy
        dends = self._split("dstate", dstate, batch)
        dstarts: list[list[Array]] = [[]] * len(saved)
        for layer, numbers in reversed(list(enumerate(self._directions))):
            dxs = []
            for reverse, k in enumerate(numbers):
                x, start, kept = saved[k]
                weights = self._weights(k, lambda p: p.data)
                if not kept:  # in inference nothing is
                    _, _, kept = self._run(x, weights, start, bool(reverse), True)
                own = dy[..., reverse * size : (reverse + 1) * size]
                options = (bool(reverse), needs_dx or layer > 0)
                dx, *grads = self._run_back(own, x, weights, start, kept, dends[k], *options)
                for name, grad in zip(self._names[k], grads, strict=False):
                    getattr(self, name).collect(grad)
                dxs.append(dx)
                dstarts[k] = grads[len(_KINDS) :]
            dy = dxs[0] if len(dxs) == 1 or dxs[0] is None else dxs[0] + dxs[1]
            if layer and self.dropouts:
                dy = self.dropouts[layer - 1].backward(dy)
        self.dstate = self._join(dstarts)
        return dy.swapaxes(0, 1) if self.batch_first and needs_dx else dy

    def _cast(self, dtype: np.dtype[Any]) -> None:
        super()._cast(dtype)
        if isinstance(self.state, tuple | list):
            self.state = tuple(np.asarray(part, dtype) for part in self.state)
        elif self.state is not None:
            self.state = np.asarray(self.state, dtype)

    def _split(self, name: str, state: Any, batch: int) -> list[list[Any]]:
        """Return a state, or the gradient of one, as arrays (N, hidden_size) of each direction."""
        count, names = self.num_layers * (1 + self.bidirectional), self._states
        if state is None:
            return [[None] * len(names)] * count
        given = list(state) if isinstance(state, tuple | list) else [state]
        parts = [None if part is None else np.asarray(part) for part in given]
        shape, dtype = (count, batch, self.hidden_size), getattr(self, self._names[0][0]).dtype
        if len(parts) != len(names) or any(p is not None and p.shape != shape for p in parts):
            wanted = "an array" if len(names) == 1 else f"({', '.join(names)}), arrays"
            got = ", ".join("None" if part is None else str(part.shape) for part in parts)
            hint = "; set state = None to begin anew" if state is self.state else ""
            raise ValueError(f"{name} must be {wanted} of shape {shape}, got {got}{hint}")
        for part in parts:
            if part is not None and part.dtype.itemsize > dtype.itemsize:
                raise TypeError(f"{name} must be {dtype}, as the weights are, got {part.dtype}")
        return [[None if part is None else part[k] for part in parts] for k in range(count)]

    def _join(self, parts: list[Any]) -> Any:
        """Return what `_split` splits, of new arrays."""
        state = tuple(np.array(part) for part in zip(*parts, strict=True))
        return state if len(state) > 1 else state[0]

    def _describe(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        for name, value in (usual | {"bidirectional": False, "stateful": False}).items():
            text += f", {name}={getattr(self, name)}" if getattr(self, name) != value else ""
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._describe()})"  # its dropouts are no children to show
