"""Layer: a forward/backward pair with parameters.

A layer is found by its attributes: a `Parameter` is a weight, a `Layer` is a child, each also in a
list, tuple or dict; the names in `buffers` are arrays that are saved but not learned. There is no
tape: `forward` puts what `backward` needs into `self._saved`, and `backward` takes it out again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nnfast import init
from nnfast.layers.parameter import Array, Parameter
from nnfast.layers.rowgradient import RowGradient
from nnfast.layers.state import LoadResult, load

L = TypeVar("L", bound="Layer")
T = TypeVar("T")


class Step:
    """One forward, then at most one backward: keeps what was saved in between."""

    _saved: Any = None

    def _take(self) -> Any:
        saved, self._saved = self._saved, None
        if saved is None:
            name = type(self).__name__
            raise RuntimeError(
                f"{name}.backward: call forward first; each forward allows one backward. So one "
                "layer stands at one place of a network, and what a Sequential computes along "
                "with another layer is left to the backward of the Sequential"
            )
        return saved


class Layer(Step):
    """Base of all layers; derive from it for your own.

    A subclass defines ``forward(x)``, which takes each parameter with ``self.weight.expect()``, so
    that a new gradient begins, and keeps what it needs in ``self._saved``; and
    ``backward(dout, needs_dx=True)``, which takes that with ``self._take()``, gives each parameter
    its gradient with ``self.weight.collect(dw)`` and returns the gradient with respect to ``x``
    (or None where `needs_dx` is false: the caller has no use for it).

    Examples
    --------
    >>> import numpy as np, nnfast as nn
    >>> class Scale(nn.Layer):
    ...     def __init__(self):
    ...         self.weight = nn.Parameter(np.ones((), np.float32), name="weight")
    ...     def forward(self, x):
    ...         self._saved = x
    ...         return x * self.weight.expect()
    ...     def backward(self, dout, needs_dx=True):
    ...         self.weight.collect(np.sum(dout * self._take()))
    ...         return dout * self.weight.data
    """

    training: bool = True
    stateful: bool = False  # whether forward changes the layer in inference too
    buffers: tuple[str, ...] = ()

    def forward(self, x: Array) -> Array:
        """Compute the output of the layer."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, dout: Array, needs_dx: bool = True) -> Array | None:
        """Take the gradient of the output, store those of the parameters, return that of x."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def __call__(self, x: Array) -> Array:
        """Do `forward`."""
        return self.forward(x)

    def _members(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        """Yield the attributes of a kind, and those in a list, tuple or dict as ``list.0``."""
        for name, value in vars(self).items():
            if isinstance(value, kind):
                yield name, value
            elif isinstance(value, list | tuple | dict) and name != "_saved":
                for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                    if isinstance(item, kind):
                        yield f"{name}.{key}", item

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the direct sublayers with their names; items of a list are called ``list.0``."""
        return self._members(Layer)

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield this layer and all below it, each with its dotted name ending in a dot (or "")."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_layers(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its dotted name; a shared one comes once for each name."""
        for prefix, layer in self.named_layers():
            for name, parameter in layer._members(Parameter):
                yield prefix + name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter."""
        for _, parameter in self.named_parameters():
            yield parameter

    @property
    def params(self) -> dict[str, Array]:
        """The weights by dotted name: the arrays themselves, no copies."""
        return {name: p.data for name, p in self.named_parameters()}

    @property
    def grads(self) -> dict[str, Array | RowGradient | None]:
        """The gradients by dotted name; None where there is none yet."""
        return {name: p.grad for name, p in self.named_parameters()}

    def zero_grad(self) -> None:
        """Forget all gradients (sets them to None). Not needed between steps."""
        for p in self.parameters():
            p.grad = None

    def train(self: L, mode: bool = True) -> L:
        """Switch to training (or with False to inference) behaviour; returns the layer."""
        for _, layer in self.named_layers():
            layer.training = mode
        return self

    def eval(self: L) -> L:
        """Switch to inference behaviour: no dropout, batch norm with its running statistics."""
        return self.train(False)

    def seed(self: L, rng: np.random.Generator | int) -> L:
        """Draw, in order, whatever is still undrawn below this layer from `rng`."""
        rng = np.random.default_rng(rng)
        for _, layer in self.named_layers():
            layer._seed(rng)
        return self

    def _seed(self, rng: np.random.Generator) -> None:
        for _, parameter in self._members(Parameter):
            parameter.draw(rng)

    def astype(self: L, dtype: npt.DTypeLike) -> L:
        """Change parameters and floating buffers to float32 or float64; returns the layer."""
        for p in self.parameters():
            p.astype(dtype)
        for _, layer in self.named_layers():
            layer._cast(init.float_dtype(dtype))
        return self

    def _cast(self, dtype: np.dtype[Any]) -> None:
        """Change what is floating and no parameter: the buffers."""
        for name in self.buffers:
            buffer = getattr(self, name)
            if buffer.dtype.kind == "f":
                setattr(self, name, buffer.astype(dtype, copy=False))

    def _state(self) -> dict[str, Array]:
        state: dict[str, Array] = {}
        for prefix, layer in self.named_layers():
            state |= {prefix + name: p.data for name, p in layer._members(Parameter)}
            state |= {prefix + name: getattr(layer, name) for name in layer.buffers}
        return state

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers by dotted name."""
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy `state` into the parameters and buffers, in place.

        Parameters
        ----------
        state : mapping of name to array
            As returned by `state_dict`; values are cast to the dtype of the layer.
        strict : bool
            False leaves alone what is missing in `state` and ignores what is unexpected there.

        Raises
        ------
        ValueError
            Keys missing or unexpected (strict), or a shape that differs. Nothing is changed then.
        TypeError
            A value that cannot become the array's dtype. Nothing is changed then.
        """
        return load(type(self).__name__, self._state(), state, strict)

    def _describe(self) -> str:
        """Return the arguments shown by `repr`."""
        return ""

    def __repr__(self) -> str:
        text, lines = self._describe(), [f"({n}): {child!r}" for n, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({text})"
        body = "\n".join([text, *lines] if text else lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"
