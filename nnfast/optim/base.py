"""What optimizers share: the list of parameters, their state arrays, saving and loading."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from nnfast import functional as F
from nnfast.layers.checks import integer, number
from nnfast.layers.parameter import Array, Parameter
from nnfast.layers.rowgradient import RowGradient

Arrays = Sequence[Array]


class Optimizer:
    """Base of all optimizers: parameters, their state arrays and their step counts.

    Parameters must not share memory; to use a weight twice, give both layers one Parameter.
    A subclass names its state arrays in `slots` and its settings, each with the number it must
    stay below, in `settings`, and defines `_update`.
    """

    settings: ClassVar[dict[str, float]] = {}
    lr: float

    def __init__(self, params: Iterable[Parameter], **settings: float) -> None:
        if not isinstance(params, Iterable):
            raise TypeError(
                "params must be an iterable of Parameter, as layer.parameters(), got "
                f"{type(params).__name__}"
            )
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
        self._last: tuple[Any, list[Arrays]] = (None, [])

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the state arrays that each parameter has."""
        return ()

    def _checked(self, name: str, value: Any) -> Any:
        if name == "nesterov":
            return bool(value)
        return number(name, value, below=self.settings[name])

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen, in place.

        Those that have taken as many steps, usually all, are updated together.
        """
        params, steps = self.params, self._steps
        ready = [i for i, p in enumerate(params) if p.grad is not None and p.requires_grad]
        counts = {steps[i] for i in ready}
        for count in counts:
            members = ready if len(counts) == 1 else [i for i in ready if steps[i] == count]
            data: Arrays = [params[i].data for i in members]
            grad: Any = [params[i].grad for i in members]
            update = self._update_rows if RowGradient in map(type, grad) else self._update
            try:
                update(count + 1, data, grad, self._arrays(members))
            except (TypeError, ValueError):
                self._name_unfit(members)
                raise
            for i in members:
                steps[i] = count + 1

    def _name_unfit(self, members: list[int]) -> None:
        """Raise a ValueError if an array cannot be changed in place."""
        for i in members:
            p = self.params[i]
            if not isinstance(p.data, np.ndarray) or not p.data.flags.carray:
                raise ValueError(
                    f"params[{i}].data ({p.name}) must be a C-contiguous, writable array, as it is "
                    "changed in place; assign a copy, np.array(data)"
                )

    def _arrays(self, members: list[int]) -> list[Arrays]:
        """Return, for each of `slots`, the arrays of these parameters; new ones are all zero.

        Usually they are those of the last step: these are kept ready.
        """
        slots = self.slots
        key = (members, slots, self.params[members[0]].data.dtype if members else None)
        if self._last[0] != key:
            for i in members:
                state, data = self._state[i], self.params[i].data
                if state is None or len(state) != len(slots):
                    self._state[i] = tuple(np.zeros_like(data) for _ in slots)
                else:  # astype() may have changed the precision
                    self._state[i] = tuple(old.astype(data.dtype, copy=False) for old in state)
            states: Any = [self._state[i] for i in members]
            self._last = key, list(zip(*states, strict=True)) or [()] * len(slots)
        return self._last[1]

    @property
    def _rests_at_zero(self) -> bool:
        """Whether a gradient of zero changes neither the weights nor the state."""
        return False

    def _update_rows(self, step: int, data: Arrays, grad: list[Any], state: list[Arrays]) -> None:
        """Do `_update`: of a RowGradient's rows alone, if the others would stay as they are."""
        lists, taken = [list(arrays) for arrays in (data, *state)], []
        for i, g in enumerate(grad):
            if not isinstance(g, RowGradient):
                continue
            if not self._rests_at_zero:
                grad[i] = g.dense()
                continue
            grad[i] = g.values
            for arrays in lists:
                whole, arrays[i] = arrays[i], F.embedding(g.rows, arrays[i])
                taken.append((whole, g.rows, arrays[i]))
        self._update(step, lists[0], grad, lists[1:])  # type: ignore[arg-type]
        for whole, rows, part in taken:
            whole[rows] = part

    def _update(self, step: int, data: Arrays, grad: Arrays, state: list[Arrays]) -> None:
        """Take step number `step`: weights, gradients and, for each slot, state arrays."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget all gradients (sets them to None). Not needed between steps."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return settings, step counts and copies of the state arrays (named ``0.velocity``)."""
        members = [i for i, steps in enumerate(self._steps) if steps]
        arrays = {
            f"{i}.{name}": array.copy()
            for name, slot in zip(self.slots, self._arrays(members), strict=True)
            for i, array in zip(members, slot, strict=True)
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
            Another optimizer, other parameters, something missing, or a setting out of range.
            Nothing is changed then.
        TypeError
            No state at all, or a setting that is no number. Nothing is changed then.
        """
        kind = type(self).__name__
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a state_dict of {kind}, got {type(state).__name__}")
        if state.get("optimizer") != kind:
            raise ValueError(f"state must be one of {kind}, got {state.get('optimizer')!r}")
        missing = [name for name in ("settings", "steps", "state") if name not in state]
        missing = missing or [n for n in self._setting_names() if n not in state["settings"]]
        if missing:
            raise ValueError(f"state must have {', '.join(missing)}, which is missing")
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
        fresh._last = (None, [])
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
