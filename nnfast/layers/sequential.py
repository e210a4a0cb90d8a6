"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nnfast.layers.activation import ReLU
from nnfast.layers.base import Layer
from nnfast.layers.conv import Conv2d
from nnfast.layers.linear import Linear
from nnfast.layers.parameter import Array


class Sequential(Layer):
    """Calls its layers in order; `backward` goes through them the other way.

    Parameters
    ----------
    *layers : Layer
    rng : Generator, int or None
        Draws, in order, the weights of all layers that were built without one.
    dtype : float32 or float64, optional
        Given to every layer; None leaves each as it was built.

    Examples
    --------
    >>> import nnfast as nn
    >>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10), rng=0)
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(
        self,
        *layers: Layer,
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self._layers: list[Layer] = []
        self._rng = None if rng is None else np.random.default_rng(rng)
        self._dtype = dtype
        for layer in layers:
            self.append(layer)

    def append(self, layer: Layer) -> Sequential:
        """Add a layer at the end; returns the Sequential."""
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be an nnfast Layer, got {type(layer).__name__}")
        if self._dtype is not None:
            layer.astype(self._dtype)
        if self._rng is not None:
            layer.seed(self._rng)
        self._layers.append(layer)
        return self

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers, named by their position as in PyTorch."""
        for i, layer in enumerate(self._layers):
            yield str(i), layer

    def forward(self, x: Array) -> Array:
        """Pass x through all layers; a ReLU after a Linear or Conv2d is computed with it."""
        layers, i = self._layers, 0
        while i < len(layers):
            if self._fuses_relu(i):
                x = layers[i].forward_fused(x, "relu")  # type: ignore[attr-defined]
                layers[i + 1]._saved = x
                i += 2
            else:
                x = layers[i].forward(x)
                i += 1
        self._saved = True
        return x

    def _fuses_relu(self, i: int) -> bool:
        """Whether layer i has no activation of its own and a ReLU behind it: saves a pass."""
        if i + 1 == len(self._layers) or type(self._layers[i + 1]) is not ReLU:
            return False
        layer = self._layers[i]
        return type(layer) in (Linear, Conv2d) and layer.activation is None  # type: ignore[attr-defined]

    def backward(self, dout: Array, needs_dx: bool = False) -> Array | None:
        """Pass dout back through the layers and fill the gradients of their parameters.

        By default the way ends at the first layer that has something to learn, without its input
        gradient, and None is returned. Ask for it with ``needs_dx=True``.
        """
        self._take()
        first = 0 if needs_dx else self._first_learning()
        grad: Any = dout
        for i in range(len(self._layers) - 1, first - 1, -1):
            grad = self._layers[i].backward(grad, needs_dx or i > first)
        return grad if needs_dx else None

    def _first_learning(self) -> int:
        """Return the position of the first layer with a parameter that is not frozen."""
        for i, layer in enumerate(self._layers):
            if any(p.requires_grad for p in layer.parameters()):
                return i
        return len(self._layers)

    def _seed(self, rng: np.random.Generator) -> None:
        if self._rng is None:
            self._rng = rng  # also for layers appended later

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        if isinstance(index, slice):
            return Sequential(*self._layers[index])
        return self._layers[index]
