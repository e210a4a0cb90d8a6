"""Every layer of the network against its twin in NumPy: the largest error of each result.

The twin computes in float64 from the very same inputs. An error is a difference divided by what
rounding acts on, the same sums of products over absolute values, |A|.|B|; its bound is a small
multiple of the machine epsilon of the precision in use. ReLU and pooling only choose among numbers:
their bound is zero.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nnfast as nn
from nnfast import functional as F
from nnfast.demo.trace import Station, Trace

Array = NDArray[Any]
Results = dict[str, Array]

SUM = 16  # epsilons for a sum of products: convolution, linear, and their gradients
FUNCTION = 8  # epsilons for exp and log in a loss, root and quotient in an optimizer


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    layer: str
    result: str
    error: float
    bound: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the bound (NaN is not)."""
        return self.error <= self.bound


def compare(trace: Trace, optimizer: nn.optim.Adam, backend: str) -> list[Row]:
    """Hold all layers, the loss and a step of Adam, run on `backend`, against the twins."""
    rows: list[Row] = []
    for station in trace.stations:
        if not isinstance(station.layer, nn.Flatten):  # it computes nothing
            rows += _layer(station, backend)
    rows += _loss(trace.scores, trace.labels, backend)
    rows += _adam(optimizer, backend)
    return rows


def _layer(station: Station, backend: str) -> list[Row]:
    layer, x, dout = station.layer, station.x, station.dout
    with nn.use_backend(backend):
        ours = _both_ways(deepcopy(layer), x, dout)
    twin = deepcopy(layer).astype(np.float64)
    with nn.use_backend("reference"):
        exact = _both_ways(twin, x.astype(np.float64), dout.astype(np.float64))
        if not exact.keys() - {"forward", "d input"}:
            return _rows(station.name, ours, exact, None, 0)
        for parameter in twin.parameters():
            np.abs(parameter.data, out=parameter.data)
        scale = _both_ways(twin, np.abs(x, dtype=np.float64), np.abs(dout, dtype=np.float64))
    return _rows(station.name, ours, exact, scale, SUM)


def _both_ways(layer: nn.Layer, x: Array, dout: Array) -> Results:
    """Return what forward and backward compute."""
    results: dict[str, Any] = {"forward": layer(x), "d input": layer.backward(dout)}
    results |= {f"d {name}": p.grad for name, p in layer.named_parameters()}
    return results


def _loss(scores: Array, labels: Array, backend: str) -> list[Row]:
    with nn.use_backend(backend):
        ours = _loss_results(scores, labels)
    with nn.use_backend("reference"):
        wide = scores.astype(np.float64)
        exact = _loss_results(wide, labels)
        chances = F.softmax(wide)
    # a score's own rounding comes back as the relative error of its exp
    size = 1 + np.abs(wide).max(axis=1, keepdims=True)
    target = np.eye(wide.shape[1])[labels]
    scale = {"forward": np.mean(size), "d input": (chances + target) * size / len(labels)}
    return _rows("softmax cross-entropy", ours, exact, scale, FUNCTION)


def _loss_results(scores: Array, labels: Array) -> Results:
    criterion = nn.CrossEntropyLoss()
    return {"forward": criterion(scores, labels), "d input": criterion.backward()}


def _adam(optimizer: nn.optim.Adam, backend: str) -> list[Row]:
    """Update copies of the largest weight, from the state that training has left."""
    index = max(range(len(optimizer.params)), key=lambda i: optimizer.params[i].data.size)
    parameter, state = optimizer.params[index], optimizer.state_dict()["state"]
    step = optimizer.state_dict()["steps"][index] + 1
    arrays: list[Any] = [parameter.data, parameter.grad, state[f"{index}.m"], state[f"{index}.v"]]

    def updated(weight: Array, grad: Array, m: Array, v: Array) -> Results:
        F.adam_update(weight, grad, m, v, step, 1e-3)
        return {"weight": weight, "m": m, "v": v}

    with nn.use_backend(backend):
        ours = updated(*(array.copy() for array in arrays))
    with nn.use_backend("reference"):
        exact = updated(*(array.astype(np.float64) for array in arrays))
        # the update is subtracted: from -|weight|, and with |m| and |grad|, everything adds up
        weight, *others = (np.abs(array, dtype=np.float64) for array in arrays)
        scale = updated(-weight, *others)
    return _rows("Adam step", ours, exact, scale, FUNCTION)


def _rows(
    layer: str, ours: Results, exact: Results, scale: dict[str, Any] | None, factor: int
) -> list[Row]:
    rows = []
    for result, value in exact.items():
        error = np.abs(ours[result].astype(np.float64) - value)
        info = np.finfo(ours[result].dtype)
        if scale is not None:
            error = error / np.maximum(np.abs(scale[result]), info.tiny)
        rows.append(Row(layer, result, float(np.max(error)), factor * float(info.eps)))
    return rows
