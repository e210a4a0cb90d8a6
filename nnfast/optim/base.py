"""What optimizers share: the list of parameters, their state arrays, saving and loading."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from nnfast import functional as F
from nnfast.layers.checks import integer, number
from nnfast.layers.parameter import Array, Parameter
from nnfast.layers.rowgradient import RowGradient


class Optimizer:
    """Base of all optimizers: parameters, their state arrays and their step counts.

    A subclass names its state arrays in `slots` and its settings, each with the number it must
    stay below, in `settings`, and defines `_update`.
    """

    settings: ClassVar[dict[str, float]] = {}
    lr: float

    def __init__(self, params: Iterable[Parameter], **settings: float) -> None:
        if isinstance(params, Parameter):
            raise TypeError("params must be an iterable of Parameter, got a single one")
        distinct: dict[int, Parameter] = {}  # a shared weight is updated once
        for p in params:
            if not isinstance(p, Parameter):
                raise TypeError(f"params must hold nnfast Parameters, got {type(p).__name__}")
            distinct[id(p)] = p
        self.params = list(distinct.values())
        if not self.params:
            raise ValueError("params must hold at least one Parameter, got none")
        for name, value in settings.items():
            setattr(self, name, self._checked(name, value))
        self._state: list[tuple[Array, ...] | None] = [None] * len(self.params)
        self._steps = [0] * len(self.params)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the state arrays that each parameter has."""
        return ()

    def _checked(self, name: str, value: Any) -> Any:
        if name == "nesterov":
            return bool(value)
        return number(name, value, below=self.settings[name])

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen, in place."""
        for i, p in enumerate(self.params):
            if p.grad is None or not p.requires_grad:
                continue
            state = self._state[i]
            if state is None or len(state) != len(self.slots):
                self._state[i] = state = tuple(np.zeros_like(p.data) for _ in self.slots)
            self._steps[i] += 1
            if isinstance(p.grad, RowGradient):
                self._update_rows(p.data, p.grad, state, self._steps[i])
            else:
                self._update(p.data, p.grad, state, self._steps[i])

    @property
    def _rests_at_zero(self) -> bool:
        """Whether a gradient of zero changes neither the weights nor the state."""
        return False

    def _update_rows(
        self, data: Array, grad: RowGradient, state: tuple[Array, ...], step: int
    ) -> None:
        """Do `_update`: of the rows of the gradient alone, if the others would stay as they are."""
        if not self._rests_at_zero:
            self._update(data, grad.dense(), state, step)
            return
        wholes = (data, *state)
        parts = tuple(F.embedding(grad.rows, whole) for whole in wholes)
        self._update(parts[0], grad.values, parts[1:], step)
        for whole, part in zip(wholes, parts, strict=True):
            whole[grad.rows] = part

    def _update(self, data: Array, grad: Array, state: tuple[Array, ...], step: int) -> None:
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget all gradients (sets them to None). Not needed between steps."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return settings, step counts and copies of the state arrays (named ``0.velocity``)."""
        arrays = {
            f"{i}.{name}": array.copy()
            for i, state in enumerate(self._state)
            if state is not None
            for name, array in zip(self.slots, state, strict=True)
        }
        settings = {name: getattr(self, name) for name in self._setting_names()}
        return {
            "optimizer": type(self).__name__,
            "settings": settings,
            "steps": list(self._steps),
            "state": arrays,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same kind of optimizer over the same parameters.

        Raises
        ------
        ValueError
            Another optimizer, other parameters, or a setting out of range. Nothing is changed then.
        """
        kind = type(self).__name__
        if state.get("optimizer") != kind:
            raise ValueError(f"state must be one of {kind}, got {state.get('optimizer')!r}")
        if len(state["steps"]) != len(self.params):
            raise ValueError(
                f"state must be for {len(self.params)} parameters, got {len(state['steps'])}"
            )
        fresh = copy.copy(self)
        for name in self._setting_names():
            setattr(fresh, name, self._checked(name, state["settings"][name]))
        fresh._steps = [integer("steps", n, 0) for n in state["steps"]]
        fresh._state = [
            fresh._load(i, state["state"]) if n else None for i, n in enumerate(fresh._steps)
        ]
        vars(self).update(vars(fresh))

    def _load(self, i: int, arrays: Mapping[str, Any]) -> tuple[Array, ...]:
        p, result = self.params[i], []
        for name in self.slots:
            key = f"{i}.{name}"
            if key not in arrays:
                raise ValueError(f"state must have {key!r}, which is missing")
            array = np.array(arrays[key], p.dtype)
            if array.shape != p.shape:
                raise ValueError(f"state[{key!r}] must have shape {p.shape}, got {array.shape}")
            result.append(array)
        return tuple(result)

    def _setting_names(self) -> list[str]:
        return [*self.settings, *(["nesterov"] if hasattr(self, "nesterov") else [])]

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._setting_names())
        return f"{type(self).__name__}({len(self.params)} parameters, {settings})"
