"""Arithmetic on arrays of one shape against its twin: the same numbers, NaN and infinity too."""

import cases
import numpy as np
import pytest
from kernel_checks import assert_same, by_threads, core
from numeric import normal

from nnfast import reference as ref


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_add_equals_its_twin(shape: tuple[int, ...], activation: str | None, dtype: type) -> None:
    a, b = normal(shape, dtype), normal(shape, dtype, seed=1)
    assert_same(by_threads(lambda: core.add(a, b, activation)), ref.add(a, b, activation))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_long_activations_come_after_the_sum(activation: str) -> None:
    a, b = normal(1000), normal(1000, seed=1)
    expected = ref.add(a, b, activation)
    np.testing.assert_allclose(core.add(a, b, activation), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_special_values(dtype: type) -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e-40] * 3, dtype)
    a, b = np.repeat(special, len(special)), np.tile(special, len(special))
    with np.errstate(invalid="ignore"):
        assert_same(core.add(a, b, "relu"), ref.add(a, b, "relu"))
