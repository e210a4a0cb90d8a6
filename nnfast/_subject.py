"""A layer under test: any object with forward and backward, its parameters wherever it keeps them.

Known places: the parameters of an `nnfast.Layer`; `params` and `grads`, both dicts or both lists;
pairs of attributes such as `W` and `dW`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast.layers.base import Layer

Array = npt.NDArray[Any]


class Subject:
    """A float64 copy of a layer with its input. `arrays` are live: to change one is to move there.

    Every forward pass runs on a copy of the copy, so running statistics and counters stay as they
    are.
    """

    def __init__(self, layer: Any, x: npt.ArrayLike, args: tuple[Any, ...]) -> None:
        if isinstance(layer, tuple):
            layer = _Functions(*layer)
        self.name = getattr(layer, "name", type(layer).__name__)
        self.layer, self.args = copy.deepcopy(layer), args
        self.x = np.array(x)
        self.arrays: dict[str, Array] = {}
        if self.x.dtype.kind == "f":
            self.arrays["x"] = self.x = np.array(x, np.float64, order="C")
        if isinstance(self.layer, Layer):
            self.layer.astype(np.float64)
        for name, (box, key, _) in _parameters(self.layer).items():
            array = np.array(_get(box, key), np.float64, order="C")
            _put(box, key, array)
            self.arrays[name] = array

    def forward(self) -> Array:
        """Return the result for the input as it is now."""
        return np.array(copy.deepcopy(self.layer).forward(self.x.copy(), *self.args))

    def gradients(self, dout: Any) -> dict[str, Any]:
        """Run forward and backward; return the gradients by the names of `arrays`."""
        layer = copy.deepcopy(self.layer)
        layer.forward(self.x.copy(), *self.args)
        ours = isinstance(layer, Layer)
        dx = layer.backward(dout, needs_dx=True) if ours else layer.backward(dout)
        found = {name: grad() for name, (_, _, grad) in _parameters(layer).items()}
        return {"x": dx, **found}


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


def _parameters(layer: Any) -> dict[str, tuple[Any, Any, Callable[[], Any]]]:
    """Return by name: what holds the parameter, under which key, and how to get its gradient."""
    if isinstance(layer, Layer):
        return {
            name: (p, "data", partial(getattr, p, "grad"))
            for name, p in layer.named_parameters()
            if p.requires_grad
        }
    params = getattr(layer, "params", None)
    if isinstance(params, dict):
        return {str(key): (params, key, partial(_grad, layer, key)) for key in params}
    if isinstance(params, list):
        return {f"params[{i}]": (params, i, partial(_grad, layer, i)) for i in range(len(params))}
    return {
        name: (layer, name, partial(getattr, layer, f"d{name}"))
        for name, value in vars(layer).items()
        if isinstance(value, np.ndarray) and hasattr(layer, f"d{name}")
    }


def _grad(layer: Any, key: Any) -> Any:
    return layer.grads[key]


def _get(box: Any, key: Any) -> Any:
    return box[key] if isinstance(box, dict | list) else getattr(box, key)


def _put(box: Any, key: Any, array: Array) -> None:
    if isinstance(box, dict | list):
        box[key] = array
    else:
        setattr(box, key, array)
