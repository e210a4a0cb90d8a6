"""Initial weights: named initialisers, each ``(shape, rng, dtype) -> array``.

Layers take one by name (``init="he_normal"``) or as any callable of that form; options are given
with ``functools.partial(normal, std=0.1)``. Numbers are drawn in float64 and then cast, so that a
seed gives the same weights in either precision. Weight layouts are (out, in) and
(out, in / groups, kh, kw).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Initializer = Callable[..., Array]
if TYPE_CHECKING:  # naming numpy.random would import it, a fifth of NumPy's own import time
    Rng = np.random.Generator | int | None


def float_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as np.dtype; TypeError unless it is float32 or float64."""
    result = np.dtype(dtype)
    if result not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {result}")
    return result


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return (fan_in, fan_out), the inputs of an output unit and the outputs of an input unit.

    Raises
    ------
    ValueError
        Fewer than two dimensions: a vector has no fans.
    """
    if len(shape) < 2:
        raise ValueError(f"shape must have at least 2 dimensions to have fans, got {tuple(shape)}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _normal(shape: Sequence[int], rng: Rng, dtype: npt.DTypeLike, std: float) -> Array:
    return (np.random.default_rng(rng).standard_normal(shape) * std).astype(float_dtype(dtype))


def _uniform(shape: Sequence[int], rng: Rng, dtype: npt.DTypeLike, bound: float) -> Array:
    return np.random.default_rng(rng).uniform(-bound, bound, shape).astype(float_dtype(dtype))


def _std(variance_times_fan: float, fan: float) -> float:
    return math.sqrt(variance_times_fan / fan) if fan else 0.0  # an empty weight has no scale


def normal(
    shape: Sequence[int],
    rng: Rng = None,
    dtype: npt.DTypeLike = np.float32,
    mean: float = 0.0,
    std: float = 0.01,
) -> Array:
    """Draw from N(mean, std^2)."""
    drawn = mean + std * np.random.default_rng(rng).standard_normal(shape)
    return np.asarray(drawn, float_dtype(dtype))


def uniform(
    shape: Sequence[int],
    rng: Rng = None,
    dtype: npt.DTypeLike = np.float32,
    low: float = -0.05,
    high: float = 0.05,
) -> Array:
    """Draw from U(low, high)."""
    return np.asarray(np.random.default_rng(rng).uniform(low, high, shape), float_dtype(dtype))


def he_normal(shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32) -> Array:
    """N(0, 2 / fan_in), for ReLU. He et al., "Delving Deep into Rectifiers", ICCV 2015."""
    return _normal(shape, rng, dtype, _std(2.0, fans(shape)[0]))


def he_uniform(shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32) -> Array:
    """U(±sqrt(6 / fan_in)), for ReLU. He et al., ICCV 2015."""
    return _uniform(shape, rng, dtype, _std(6.0, fans(shape)[0]))


def xavier_normal(
    shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32
) -> Array:
    """N(0, 2 / (fan_in + fan_out)), for tanh and sigmoid. Glorot & Bengio, AISTATS 2010."""
    return _normal(shape, rng, dtype, _std(2.0, sum(fans(shape))))


def xavier_uniform(
    shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32
) -> Array:
    """U(±sqrt(6 / (fan_in + fan_out))), for tanh and sigmoid. Glorot & Bengio, AISTATS 2010."""
    return _uniform(shape, rng, dtype, _std(6.0, sum(fans(shape))))


def lecun_normal(shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32) -> Array:
    """N(0, 1 / fan_in). LeCun et al., "Efficient BackProp", 1998."""
    return _normal(shape, rng, dtype, _std(1.0, fans(shape)[0]))


def lecun_uniform(
    shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32
) -> Array:
    """U(±sqrt(3 / fan_in)). LeCun et al., "Efficient BackProp", 1998."""
    return _uniform(shape, rng, dtype, _std(3.0, fans(shape)[0]))


def orthogonal(
    shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32, gain: float = 1.0
) -> Array:
    """Orthonormal rows (or columns, if fewer) of the matrix (shape[0], rest), times `gain`.

    Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", ICLR 2014.
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    tall = np.random.default_rng(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # makes the draw uniform over all orthogonal ones
    return np.ascontiguousarray(gain * (q if rows >= columns else q.T), float_dtype(dtype)).reshape(
        shape
    )


def constant(
    shape: Sequence[int],
    rng: Rng = None,
    dtype: npt.DTypeLike = np.float32,
    value: float = 0.0,
) -> Array:
    """Every element `value`; `rng` is not used."""
    return np.full(shape, value, float_dtype(dtype))


def zeros(shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32) -> Array:
    """All zeros; `rng` is not used."""
    return constant(shape, rng, dtype, 0.0)


def ones(shape: Sequence[int], rng: Rng = None, dtype: npt.DTypeLike = np.float32) -> Array:
    """All ones; `rng` is not used."""
    return constant(shape, rng, dtype, 1.0)


NAMES: dict[str, Initializer] = {
    f.__name__: f
    for f in (
        *(he_normal, he_uniform, xavier_normal, xavier_uniform, lecun_normal, lecun_uniform),
        *(normal, uniform, orthogonal, constant, zeros, ones),
    )
}


def get(how: str | Initializer) -> Initializer:
    """Return the initialiser named `how`, or `how` itself if it is callable.

    Raises
    ------
    ValueError
        An unknown name; the message lists the known ones.
    TypeError
        Neither a string nor callable.
    """
    if isinstance(how, str):
        if how not in NAMES:
            raise ValueError(f"init must be one of {', '.join(NAMES)}, got {how!r}")
        return NAMES[how]
    if not callable(how):
        raise TypeError(f"init must be a name or a callable, got {type(how).__name__}")
    return how
