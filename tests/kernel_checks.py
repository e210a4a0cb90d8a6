"""What tests of the compiled kernels share: the module under test and runs by several threads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

core = pytest.importorskip("nnfast._core", reason="nnfast._core is not built")

THREADS = (1, 2, 3, 8)


def by_threads(call: Callable[[], Any]) -> Any:
    """Return the result of a call, having seen that it has the same bits for any thread count."""
    before = core.runtime_get_threads()
    try:
        results = []
        for threads in THREADS:
            core.runtime_set_threads(threads)
            results.append(call())
    finally:
        core.runtime_set_threads(before)
    for result in results[1:]:
        assert_same_bits(result, results[0])
    return results[0]


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Assert that arrays, or tuples of them, are equal in dtype, shape and every bit."""
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same_bits(one, other)
        return
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes()


def assert_same(actual: Any, expected: Any) -> None:
    """Assert that arrays, or tuples of them, are equal in dtype, shape and value (NaN as NaN)."""
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other)
        return
    assert np.asarray(actual).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(actual, expected, strict=True)


def wide(value: Any) -> Any:
    """Return a float32 array as float64, anything else as it is."""
    return value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value
