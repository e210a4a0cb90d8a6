"""Filling the arrays of a layer from a saved state: all of it fits, or nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nnfast.functional._cast import as_array
from nnfast.layers.parameter import Array


class LoadResult(NamedTuple):
    """What was not loaded: names missing in the state, and names unexpected there."""

    missing: list[str]
    unexpected: list[str]


def load(owner: str, own: dict[str, Array], state: Mapping[str, Any], strict: bool) -> LoadResult:
    """Copy the arrays of `state` into those of `own`, by name; see `Layer.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must map names to arrays, got {type(state).__name__}")
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    new = {name: as_array(f"state[{name!r}]", state[name]) for name in own if name in state}
    problems = [f"missing: {', '.join(missing)}"] if missing and strict else []
    if unexpected and strict:
        problems.append(f"unexpected: {', '.join(unexpected)}")
    problems += [
        f"{name} must have shape {own[name].shape}, got {array.shape}"
        for name, array in new.items()
        if array.shape != own[name].shape
    ]
    if problems:
        raise ValueError(f"state does not fit {owner}: {'; '.join(problems)}")
    for name, array in new.items():
        if not np.can_cast(array.dtype, own[name].dtype, "same_kind"):
            raise TypeError(f"state[{name!r}] must fit {own[name].dtype}, got {array.dtype}")
    for name, array in new.items():
        own[name][...] = array
    return LoadResult(missing, unexpected)
