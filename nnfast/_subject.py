"""A layer under test: any object with forward and backward, in float64, its weights at hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast._places import NOWHERE, Array, layers, places
from nnfast.layers.base import Layer


class Subject:
    """A float64 copy of a layer with its input. `arrays` are live: to change one is to move there.

    Every pass runs on a copy of the copy, so running statistics and counters stay as they are.
    `notes` tell by name what is not among the arrays, and why.
    """

    def __init__(self, layer: Any, x: npt.ArrayLike, args: tuple[Any, ...]) -> None:
        if isinstance(layer, tuple):
            layer = _Functions(*layer)
        self.name = getattr(layer, "name", type(layer).__name__)
        self.layer, self.args = copy.deepcopy(layer), args
        self.x = np.array(x)
        self.arrays: dict[str, Array] = {}
        self.notes: dict[str, str] = {}
        if self.x.dtype.kind == "f":
            self.arrays["x"] = self.x = np.array(x, np.float64, order="C")
        for _, one in layers(self.layer):
            if isinstance(one, Layer):
                one.astype(np.float64)
        self._names: dict[str, list[str]] = {}  # of each array, all that lead to it
        self._find()

    @property
    def ours(self) -> bool:
        """Whether it is an `nnfast.Layer`, so that we know what its gradients have to be like."""
        return isinstance(self.layer, Layer)

    def forward(self) -> Array:
        """Return the result for the input as it is now."""
        return self._forward(copy.deepcopy(self.layer))

    def gradients(self, dout: Any) -> dict[str, Any]:
        """Run forward and backward; return the gradients by the names of `arrays`."""
        return self.passes(dout, 1)[0][1]

    def passes(self, dout: Any, count: int) -> list[tuple[Array, dict[str, Any]]]:
        """Run forward and backward of one copy several times; return results and gradients."""
        layer, results = copy.deepcopy(self.layer), []
        for _ in range(count):
            y, dx = self._forward(layer), self._backward(layer, dout)
            found = {place.name: place.gradient for place in places(layer)}
            grads = {
                label: _sum([found.get(name) for name in names])
                for label, names in self._names.items()
            }
            results.append((y, {"x": None if dx is None else np.array(dx), **grads}))
        return results

    def _forward(self, layer: Any) -> Array:
        return np.array(layer.forward(self.x.copy(), *self.args))

    def _backward(self, layer: Any, dout: Any) -> Any:
        if self.ours:
            return layer.backward(dout, needs_dx=True)
        if callable(getattr(layer, "zero_grad", None)):
            layer.zero_grad()  # the layer adds up on purpose
        return layer.backward(dout)

    def _find(self) -> None:
        """Put the parameters into `arrays`: those there from the start that have a gradient."""
        # Gradients may come into being in the first backward, so look for them after one.
        trial = copy.deepcopy(self.layer)
        before = {place.name: place.array for place in places(trial)}
        y = self._pass(trial)
        after = [place for place in places(trial) if place.gradient is not NOWHERE]
        made = {place.name: place.array for place in after if place.name not in before}
        if made:
            self._pass(trial)
            if any(made.get(place.name) is place.array for place in places(trial)):
                self.layer = trial  # the first forward makes weights: start behind it
                return self._find()
        own = {place.name: place.array for place in places(self.layer)}
        learned: dict[int, list[str]] = {}
        for place in after:
            # What forward sets anew is a saved input, a mask or the like.
            if place.array is before.get(place.name):
                learned.setdefault(id(own[place.name]), []).append(place.name)
        self._note_others({n: a for n, a in own.items() if id(a) not in learned}, y)
        live: dict[int, Any] = {}
        for key, (first, *others) in learned.items():
            label = f"layer.{first}" if first in self.arrays else first
            live[key] = self.arrays[label] = np.array(own[first], np.float64, order="C")
            self._names[label] = [first, *others]
            self.notes.update({name: f"is the same array as {label}" for name in others})
        # Wherever the layer holds one of them, the copy holds the live one.
        self.layer = copy.deepcopy(self.layer, live)

    def _note_others(self, others: dict[str, Array], y: Array) -> None:
        """Note the floating arrays on which the result depends."""
        seen: set[int] = set()
        for name, array in others.items():
            if array.dtype.kind != "f" or id(array) in seen:
                continue
            seen.add(id(array))
            other = array * 1.25 + np.linspace(0.1, 0.2, array.size).reshape(array.shape)
            moved = copy.deepcopy(self.layer, {id(array): other.astype(array.dtype)})
            with np.errstate(all="ignore"):
                if not np.array_equal(y, self._forward(moved), equal_nan=True):
                    self.notes[name] = "takes part, but no gradient found: not checked"

    def _pass(self, layer: Any) -> Array:
        y = self._forward(layer)
        self._backward(layer, np.ones(y.shape) if y.ndim else np.float64(1.0))
        return y


class _Functions:
    """A pair of functions in the form of a layer."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self._forward, self._backward = forward, backward
        self.name = getattr(forward, "__name__", "function")

    def forward(self, x: Array, *args: Any) -> Any:
        self._saved = (x, *args)
        return self._forward(x, *args)

    def backward(self, dout: Any) -> Any:
        return self._backward(dout, *self._saved)


def _sum(gradients: list[Any]) -> Array | None:
    """Add up the gradients of one array under several names; each counts once."""
    distinct = {id(g): np.array(g) for g in gradients if g is not None and g is not NOWHERE}
    return sum(distinct.values()) if distinct else None  # type: ignore[return-value]


def differences(f: Callable[[], float], array: Array, places: Array, eps: float) -> Array:
    """Return df/da at some places of a live array, each moved by ±eps and put back."""
    result = np.empty(len(places))
    flat = array.reshape(-1)  # contiguous, so a view
    for i, place in enumerate(places):
        value = flat[place]
        flat[place] = value + eps
        above = f()
        flat[place] = value - eps
        result[i] = (above - f()) / (2 * eps)
        flat[place] = value
    return result
