"""What the layers over time share: checks, the order of steps, sums over all steps.

x: (T, N, D), weight_ih: (gates * H, D), weight_hh: (gates * H, H); the gates lie one after the
other.
"""

from collections.abc import Iterator

import numpy as np

from . import _checks
from ._checks import Array


def check(x: Array, weight_ih: Array, weight_hh: Array, gates: int) -> tuple[int, int, int]:
    """Check the arguments that all share; return the sizes T, N, H."""
    _checks.floats(x=x, weight_ih=weight_ih, weight_hh=weight_hh)
    _checks.ndim("x", x, 3)
    _checks.ndim("weight_ih", weight_ih, 2)
    _checks.ndim("weight_hh", weight_hh, 2)
    steps, batch, inputs = x.shape
    hidden = weight_hh.shape[1]
    if weight_hh.shape[0] != gates * hidden:
        raise ValueError(
            f"weight_hh must have shape ({gates} * hidden, hidden), got {weight_hh.shape}"
        )
    if weight_ih.shape != (gates * hidden, inputs):
        raise ValueError(
            f"weight_ih must have shape {(gates * hidden, inputs)} to match x {x.shape} and "
            f"weight_hh {weight_hh.shape}, got {weight_ih.shape}"
        )
    return steps, batch, hidden


def check_arrays(x: Array, shape: tuple[int, ...], **arrays: Array) -> None:
    """Check arrays of the dtype of x and of one shape."""
    _checks.floats(x=x, **arrays)
    for name, array in arrays.items():
        _checks.shape(name, array, shape)


def state(name: str, value: Array | None, x: Array, hidden: int) -> Array:
    """Check a state or its gradient, (N, H); None stands for zeros."""
    shape = (x.shape[1], hidden)
    if value is None:
        return np.zeros(shape, x.dtype)
    check_arrays(x, shape, **{name: value})
    return value


def times(steps: int, reverse: bool) -> Iterator[int]:
    """Yield the times in the order of the steps."""
    return iter(range(steps - 1, -1, -1) if reverse else range(steps))


def states_before(first: Array, states: Array, reverse: bool) -> Array:
    """Return the state before each time: `first`, then what `states` (T, N, H) holds after each."""
    if reverse:
        return np.concatenate([states[1:], first[None]])[: len(states)]
    return np.concatenate([first[None], states])[: len(states)]


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """Return ``x @ weight.T + bias``."""
    return x @ weight.T if bias is None else x @ weight.T + bias


def linear_backward(dz: Array, x: Array) -> tuple[Array, Array]:
    """Return the gradients of weight and bias of `linear`, summed over all steps."""
    return np.tensordot(dz, x, axes=([0, 1], [0, 1])), np.sum(dz, axis=(0, 1))
