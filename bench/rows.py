"""What is measured: one `Row` for each layer of `layers` and network of `networks`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bench.layers import LAYERS
from bench.networks import INFERENCE, NETWORKS

FORWARD, BOTH, STEP = "f", "f+b", "step"  # what one timed call does
# Arguments that are arrays: given by their shapes, drawn at random or all zero.
RANDOM = {"x", "weight", "bias", "a", "b", "col", "target", "param", "grad", "qkv"}
RECURRENT = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}  # at random, of the usual size
ZERO = {"velocity", "sum_sq", "mean_sq", "mean_delta_sq", "m", "v"}
# How much faster than the best peer a training step is to be.
STEP_TARGETS = {
    **{"mlp": 3.0, "mlp5": 2.8, "simpleconv": 7.0, "deepconv": 3.0, "vgg": 2.3, "resnet18": 2.3},
    **{"mobilenet": 2.5, "lstm": 1.7, "transformer": 1.6},
}
CONV_TARGET = 1.5  # forward + backward
TARGET = 1.0


class Row(NamedTuple):
    """A function of nnfast.functional with its arguments, or one of these with a network.

    "train" is a training step, "infer" a forward pass in use, "optimize" the step of an optimizer.
    """

    name: str
    function: str
    arguments: dict[str, Any]
    dtype: str | None = None  # None: the plan's

    @property
    def has_images(self) -> bool:
        """Whether an argument is a batch of images."""
        return any(
            isinstance(value, list | tuple) and len(value) == 4 for value in self[2].values()
        )

    def target(self, what: str) -> float:
        """Return the ratio to the best peer that a pass of this row is to reach."""
        if self.function == "train":
            return STEP_TARGETS[self.arguments["network"]]
        return CONV_TARGET if self.function == "conv2d" and what == BOTH else TARGET

    def arrays(self, dtype: str) -> dict[str, Any]:
        """Return the arguments with arrays in place of shapes; the same ones for every peer."""
        rng = np.random.default_rng(0)
        arguments = dict(self.arguments)
        for name, value in arguments.items():
            if name in ZERO:
                arguments[name] = np.zeros(value, dtype)
            elif name == "target" and self.function == "cross_entropy":
                arguments[name] = rng.integers(0, arguments["x"].shape[1], value)
            elif name == "indices":
                arguments[name] = rng.integers(0, self.arguments["weight"][0], value)
            elif name in RANDOM:
                arguments[name] = rng.standard_normal(value).astype(dtype)
            elif name in RECURRENT:
                arguments[name] = (0.1 * rng.standard_normal(value)).astype(dtype)
        return arguments


def layer_rows() -> list[Row]:
    """Return one row for each layer."""
    return [Row(name, *layer) for name, layer in LAYERS.items()]


def step_rows() -> list[Row]:
    """Return one row for each training step."""
    return [
        Row(name, "train", {"network": name, "batch": network.batch})
        for name, network in NETWORKS.items()
    ]


def inference_rows() -> list[Row]:
    """Return one row for each network and batch size in use."""
    return [
        Row(row, "infer", {"network": name, "batch": shape})
        for row, (name, shape) in INFERENCE.items()
    ]


ROWS = {"steps": step_rows, "inference": inference_rows, "layers": layer_rows}


def select(rows: list[Row], names: str | None) -> list[Row]:
    """Return the rows that the comma-separated `names` name in full or begin; all without."""
    if not names:
        return rows
    chosen = []
    for name in names.split(","):
        found = [row for row in rows if row.name == name]
        found = found or [row for row in rows if row.name.startswith(name)]
        if not found:
            known = "\n  ".join(row.name for row in rows)
            raise SystemExit(f"--rows: none begins with {name!r}; there are\n  {known}")
        chosen += found
    return chosen
