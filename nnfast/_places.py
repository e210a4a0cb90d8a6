"""Where a layer keeps its arrays and their gradients, whoever wrote it.

A weight of an `nnfast.Layer` is a `Parameter`. Elsewhere it is an array in an attribute, or in a
list or dict that is one, and its gradient has the same name with a mark (`dW`, `grad_W`, `W_grad`,
`gW`) or the same place in `grads`. Layers below are attributes with a forward and a backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast.layers.base import Layer

Array = npt.NDArray[Any]

NOWHERE = object()  # no place for a gradient; None is a place that has none yet
_LISTS = {"params": "grads", "parameters": "gradients"}
_MARKS = ("d{}", "grad_{}", "{}_grad", "g{}")


@dataclass(frozen=True)
class Place:
    """An array of a layer, its dotted name, and its gradient as it is now or `NOWHERE`."""

    name: str
    array: Array
    gradient: Any


def places(root: Any) -> Iterator[Place]:
    """Yield the arrays of a layer and of those below it, weights or not."""
    listed: list[tuple[str, set[int]]] = []
    names: set[str] = set()
    for prefix, layer in layers(root):
        for attribute in sorted(_attributes(layer), key=lambda name: name not in _LISTS):
            found = list(_of_attribute(layer, prefix, attribute))
            # What `params` lists is often an attribute too, here or further down: the same
            # gradient under another name, not one more to add.
            for place in found:
                if any(prefix.startswith(p) and id(place.array) in ids for p, ids in listed):
                    continue
                name = place.name + "'" * (place.name in names)
                names.add(name)
                yield replace(place, name=name)
            if attribute in _LISTS:
                known = {id(place.array) for place in found if place.gradient is not NOWHERE}
                listed.append((prefix, known))


def layers(layer: Any, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield a layer and all below it, each once, with its dotted name ending in a dot (or "")."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield prefix, layer
    children = dict(layer.named_children()) if isinstance(layer, Layer) else {}
    for name, value in _attributes(layer).items():
        children |= {f"{name}.{key}": item for key, item in _items(value)} or {name: value}
    for name, child in children.items():
        if not isinstance(child, type) and hasattr(child, "forward") and hasattr(child, "backward"):
            yield from layers(child, f"{prefix}{name}.", seen)


def _attributes(layer: Any) -> dict[str, Any]:
    return getattr(layer, "__dict__", {})


def _items(box: Any) -> list[tuple[Any, Any]]:
    if isinstance(box, dict):
        return list(box.items())
    return list(enumerate(box)) if isinstance(box, list | tuple) else []


def _of_attribute(layer: Any, prefix: str, attribute: str) -> Iterator[Place]:
    value, ours = getattr(layer, attribute), isinstance(layer, Layer)
    found = [(attribute, value, NOWHERE if ours else _gradient(layer, attribute))]
    for key, item in _items(value):
        # The keys of params are names of their own.
        named = "" if attribute in _LISTS and isinstance(key, str) else attribute
        name = f"{named}.{key}".lstrip(".") if isinstance(key, str) else f"{named}[{key!r}]"
        found.append((name, item, NOWHERE if ours else _gradient_of_item(layer, attribute, key)))
    for name, value, gradient in found:
        if hasattr(value, "grad") and isinstance(getattr(value, "data", None), np.ndarray):
            if not getattr(value, "requires_grad", True):
                continue
            gradient, value = value.grad, value.data
        elif ours and (attribute.startswith("_") or attribute in layer.buffers):
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            yield Place(prefix + name, value, gradient)


def _marked(name: str) -> list[str]:
    """Return the names that the gradient of `name` may have; underscores stay in front."""
    bare = name.lstrip("_")
    return [name[: len(name) - len(bare)] + mark.format(bare) for mark in _MARKS]


def _gradient(layer: Any, name: str) -> Any:
    for marked in _marked(name):
        if hasattr(layer, marked):
            return getattr(layer, marked)
    return _look_up(getattr(layer, "grads", None), name)


def _gradient_of_item(layer: Any, attribute: str, key: Any) -> Any:
    grads = _LISTS.get(attribute, "")
    if hasattr(layer, grads):
        found = _look_up(getattr(layer, grads), key)
        return None if found is NOWHERE else found  # the optimizer will look there in vain
    found = _look_up(_gradient(layer, attribute), key)
    return _gradient(layer, key) if found is NOWHERE and isinstance(key, str) else found


def _look_up(box: Any, key: Any) -> Any:
    """Return what a dict or list of gradients has under a key, itself or marked."""
    if isinstance(box, list | tuple) and isinstance(key, int):
        return box[key] if key < len(box) else NOWHERE
    if isinstance(box, dict):
        for name in (key, *(_marked(key) if isinstance(key, str) else ())):
            if name in box:
                return box[name]
    return NOWHERE
