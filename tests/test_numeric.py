"""The helpers of the other tests are able to fail."""

import numpy as np
import pytest
from numeric import assert_bound, assert_gradient, distinct, finite_difference, integers, normal


def test_bound_is_met_and_exceeded() -> None:
    exact = normal(50)
    eps = np.finfo(np.float32).eps
    assert_bound(exact.astype(np.float32), exact, np.abs(exact), c=1)
    wrong = exact.astype(np.float32)
    wrong[7] *= 1 + 8 * eps
    with pytest.raises(AssertionError, match="1 of 50 elements exceed the bound of c=4"):
        assert_bound(wrong, exact, np.abs(exact), c=4)


def test_bound_wants_nan_and_infinity_in_place() -> None:
    exact = np.array([np.nan, np.inf, 1.0])
    assert_bound(exact.astype(np.float32), exact, exact, c=1)
    for wrong in ([1.0, np.inf, 1.0], [np.nan, -np.inf, 1.0], [np.nan, np.inf, np.nan]):
        with pytest.raises(AssertionError):
            assert_bound(np.array(wrong, np.float32), exact, exact, c=1)


def test_gradient_of_a_square() -> None:
    x, dy = normal((3, 2)), normal((3, 2), seed=1)
    np.testing.assert_allclose(finite_difference(np.square, x, dy), 2 * x * dy, atol=1e-8)
    assert_gradient(2 * x * dy, np.square, x, dy)
    with pytest.raises(AssertionError):
        assert_gradient(2.001 * x * dy, np.square, x, dy)


def test_inputs_are_what_they_say() -> None:
    assert (normal(9) == normal(9)).all()
    assert set(integers(1000, np.float32)) == set(range(-3, 4))
    steps = np.diff(np.sort(distinct((5, 7)).ravel()))
    np.testing.assert_allclose(steps, 0.1)
