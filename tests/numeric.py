"""What tests of numbers share: random inputs, finite differences and the error bounds."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def normal(shape: Any, dtype: Any = np.float64, seed: int = 0) -> Array:
    """Return standard normal numbers, the same for each call."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def integers(shape: Any, dtype: Any = np.float64, seed: int = 0, most: int = 3) -> Array:
    """Return small whole numbers, whose sums of products have no rounding error."""
    return np.asarray(np.random.default_rng(seed).integers(-most, most + 1, shape), dtype)


def distinct(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> Array:
    """Return numbers 0.1 apart in random order: a small step changes no maximum."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    return ((order - count / 2 + 0.25) * 0.1).reshape(shape).astype(dtype)


def finite_difference(f: Callable[[Array], Any], x: Array, dy: Any, step: float = 1e-6) -> Array:
    """Return the gradient of ``sum(f(x) * dy)`` with respect to x by central differences."""
    assert x.dtype == np.float64, "finite differences need float64"
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        shifted = x.copy()
        shifted[i] = x[i] + step
        above = np.sum(f(shifted) * dy)
        shifted[i] = x[i] - step
        gradient[i] = (above - np.sum(f(shifted) * dy)) / (2 * step)
    return gradient


def assert_gradient(
    gradient: Any, f: Callable[[Array], Any], x: Array, dy: Any, tolerance: float = 1e-7
) -> None:
    """Assert that a gradient agrees with finite differences, relative to its largest value."""
    expected = finite_difference(f, x, dy)
    assert gradient.shape == x.shape
    assert gradient.dtype == x.dtype
    scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * scale)


def assert_bound(actual: Any, exact: Any, magnitude: Any, c: float) -> None:
    """Assert ``|actual - exact| <= c * eps * magnitude`` element by element.

    `exact` is the result in float64, `magnitude` the same sum of products over absolute values,
    |A|.|B|, and eps that of the dtype of `actual`. Not finite elements must be equal.
    """
    actual, exact = np.asarray(actual), np.asarray(exact)
    assert actual.shape == exact.shape
    eps = np.finfo(actual.dtype).eps
    with np.errstate(invalid="ignore"):
        error = np.abs(actual.astype(np.float64) - exact)
        bound = c * eps * np.abs(magnitude) + np.finfo(actual.dtype).tiny
        fine = (error <= bound) | ~np.isfinite(exact)
    np.testing.assert_array_equal(actual[~np.isfinite(exact)], exact[~np.isfinite(exact)])
    if not fine.all():
        worst = np.nanmax(np.where(fine, 0, error / bound))
        raise AssertionError(
            f"{np.count_nonzero(~fine)} of {fine.size} elements exceed the bound of c={c}; "
            f"the worst error is {worst:.3g} times the bound"
        )
