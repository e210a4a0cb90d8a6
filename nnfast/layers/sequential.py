"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, overload

import numpy as np
import numpy.typing as npt

from nnfast.layers.base import Layer
from nnfast.layers.fusion import (
    FUSING_BACKWARD,
    Work,
    backward_order,
    inference_plan,
    training_plan,
)
from nnfast.layers.parameter import Array, Parameter

# What a Sequential has saved when its layers hold the rest: the same object in every copy.
LEARNED = ...


class Sequential(Layer):
    """Calls its layers in order; `backward` goes through them the other way.

    Parameters
    ----------
    *layers : Layer, or one dict of them
        The names of a dict become those of the layers, which else are called by their position.
        ``model["fc"]``, ``model.fc`` and ``model[-1]`` are a layer, and replace it if assigned to.
    rng : Generator, int or None
        Draws, in order, the weights of all layers that were built without one.
    dtype : float32 or float64, optional
        Given to every layer; None leaves each as it was built.

    Raises
    ------
    TypeError, ValueError
        What is no layer, or a name that is no identifier or taken twice.

    Examples
    --------
    >>> import nnfast as nn
    >>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10), rng=0)
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    _changes: ClassVar[int] = 0  # of all Sequentials, one of which may lie below another

    def __init__(
        self,
        *layers: Layer | Mapping[str, Layer],
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self._layers: list[Layer] = []
        self._names: list[str | None] = []  # None: its position
        self._training_plan: list[tuple[Layer, Layer | None]] | None = None
        self._backward_order: list[Layer] = []  # of the training plan
        self._inference_plan: list[Work] | None = None
        self._below: tuple[int, list[Layer]] = (-1, [])  # all layers, after so many changes
        self._rng = None if rng is None else np.random.default_rng(rng)
        self._dtype = dtype
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, named in layers[0].items():
                self.append(named, name)
        else:
            for layer in layers:
                self.append(layer)

    def append(self, layer: Layer | Any, name: str | None = None) -> Sequential:
        """Add a layer at the end, called by its position or by a name; returns the Sequential."""
        if name is not None and (
            not isinstance(name, str) or name in self._names or not name.isidentifier()
        ):
            raise ValueError(f"name must be a new identifier, got {name!r}")
        self._layers.append(self._admit(layer))
        self._names.append(name)
        return self

    def _admit(self, layer: Any) -> Layer:
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be an nnfast Layer, got {type(layer).__name__}")
        if self._dtype is not None:
            layer.astype(self._dtype)
        if self._rng is not None:
            layer.seed(self._rng)
        self._training_plan = self._inference_plan = None
        Sequential._changes += 1
        return layer

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers with their names, then those a subclass has as attributes."""
        yield from zip(self._called(), self._layers, strict=True)
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value

    def _called(self) -> list[str]:
        return [name or str(i) for i, name in enumerate(self._names)]

    def forward(self, x: Array) -> Array:
        """Pass x through all layers; those that can be are computed together.

        In inference nothing is kept but x: should a backward follow, it goes forward once more,
        unless that would not be the same.
        """
        if self.training or self._moves_on():
            return self.learn(x)
        self._keep(x)
        return self.infer(x)

    def _moves_on(self) -> bool:
        """Whether a layer carries a state on, or has been put into training by itself."""
        if self._below[0] != Sequential._changes:
            layers = [layer for _, layer in self.named_layers() if layer is not self]
            self._below = (Sequential._changes, layers)
        return any([layer.training or layer.stateful for layer in self._below[1]])

    def _keep(self, saved: Any) -> None:
        self.__dict__["_saved"] = saved  # past __setattr__, which costs more than all the rest

    def learn(self, x: Array) -> Array:
        """Do `forward`, and keep what backward needs."""
        if self._training_plan is None:
            self._training_plan = training_plan(self._layers)
            self._backward_order = backward_order(self._training_plan)
        for layer, relu in self._training_plan:
            if type(layer).forward is Sequential.forward:  # not a subclass with its own
                x = layer.learn(x)  # type: ignore[attr-defined]
            elif relu is None:
                x = layer.forward(x)
            else:
                x = layer.forward_fused(x, "relu")  # type: ignore[attr-defined]
                if not isinstance(layer, FUSING_BACKWARD):
                    relu._saved = x
        self._keep(LEARNED)
        return x

    def infer(self, x: Array) -> Array:
        """Do `forward`, and keep nothing."""
        if self._inference_plan is None:
            self._inference_plan = inference_plan(self._layers)
        for call, layers in self._inference_plan:
            x = call(x)
            for layer in layers:
                layer._saved = None
        return x

    def backward(self, dout: Array, needs_dx: bool = False) -> Array | None:
        """Pass dout back through the layers and fill the gradients of their parameters.

        By default the way ends at the first layer that has something to learn, without its input
        gradient, and None is returned. Ask for it with ``needs_dx=True``.
        """
        self._recall()
        return self._back(dout, needs_dx)

    def _recall(self) -> None:
        """Have the layers hold what backward needs."""
        saved = self._take()
        if saved is LEARNED:
            return
        if self.training:
            raise RuntimeError("backward of a forward in inference: train() came in between")
        self.learn(saved)
        self._keep(None)

    def _back(self, dout: Array, needs_dx: bool) -> Array | None:
        layers: list[Layer] = self._backward_order
        grad: Any = dout
        first = 0 if needs_dx else _first_learning(layers)
        for i in range(len(layers) - 1, first - 1, -1):
            grad = layers[i].backward(grad, needs_dx or i > first)
        return grad if needs_dx else None

    def _seed(self, rng: np.random.Generator) -> None:
        if self._rng is None:
            self._rng = rng  # also for layers appended later

    def __len__(self) -> int:
        return len(self._layers)

    # Of any kind, for a type checker: what the layers are is known to their user alone.
    def __iter__(self) -> Iterator[Any]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: int | str) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | str | slice) -> Any:
        if isinstance(index, slice):
            part = Sequential()
            for layer, name in zip(self._layers[index], self._names[index], strict=True):
                part.append(layer, name)
            return part
        return self._layers[self._position(index)]

    def __setitem__(self, index: int | str, layer: Layer) -> None:
        self._layers[self._position(index)] = self._admit(layer)

    def _position(self, index: int | str) -> int:
        if not isinstance(index, str):
            return index
        names = self._called()
        if index not in names:
            raise KeyError(f"{index!r} is none of the layers {', '.join(names)}")
        return names.index(index)

    def __getattr__(self, name: str) -> Any:
        # Reached only where there is no such attribute.
        if name in self.__dict__.get("_names", ()):
            return self[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Layer) and name in self.__dict__.get("_names", ()):
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *filter(None, self._names)]


def _first_learning(layers: list[Layer]) -> int:
    """Return the position of the first layer with a parameter that is not frozen."""
    for i, layer in enumerate(layers):
        if _learns(layer):
            return i
    return len(layers)


def _learns(layer: Layer) -> bool:
    # in every step, hence not by the generators, which are slow, if it can be seen at once
    for value in vars(layer).values():
        if isinstance(value, Parameter) and value.requires_grad:
            return True
    if any(parameter.requires_grad for _, parameter in layer._members(Parameter)):
        return True
    return any(_learns(child) for _, child in layer.named_children())
