"""Embeddings against their twins: equal, since rows are copied, or added in the same order."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same, assert_same_bits, by_threads, core
from numeric import Array, normal

from nnfast import reference as ref

every_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)
every_case = pytest.mark.parametrize(("shape", "rows", "dim"), cases.EMBEDDING, ids=str)


def indices_for(shape: tuple[int, ...], rows: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).integers(0, max(rows, 1), shape), np.int64)


@every_dtype
@every_case
def test_forward_equals_twin(shape: tuple[int, ...], rows: int, dim: int, dtype: type) -> None:
    indices, weight = indices_for(shape, rows), normal((rows, dim), dtype)
    assert_same_bits(by_threads(lambda: core.embedding(indices, weight)), weight[indices])


@every_dtype
@every_case
def test_backward_equals_twin(shape: tuple[int, ...], rows: int, dim: int, dtype: type) -> None:
    indices, dy = indices_for(shape, rows), normal((*shape, dim), dtype)
    dense = by_threads(lambda: core.embedding_backward(dy, indices, rows))
    assert_same(dense, ref.embedding_backward(dy, indices, rows))
    sparse = by_threads(lambda: core.embedding_backward_rows(dy, indices, rows))
    assert_same(sparse, ref.embedding_backward_rows(dy, indices, rows))
    found, values = sparse
    assert_same_bits(values, dense[found])


@every_dtype
@pytest.mark.parametrize("order", ["ascending", "descending", "all the same", "last row alone"])
def test_any_order(order: str, dtype: type) -> None:
    rows = 70_000
    indices = np.arange(0, rows, 13)
    if order == "descending":
        indices = indices[::-1].copy()
    elif order != "ascending":
        indices[:] = 0 if order == "all the same" else rows - 1
    dy = normal((indices.size, 3), dtype)
    dense = by_threads(lambda: core.embedding_backward(dy, indices, rows))
    assert_same(dense, ref.embedding_backward(dy, indices, rows))


@every_dtype
def test_nan_stays_in_its_row(dtype: type) -> None:
    dy = np.ones((4, 3), dtype)
    dy[1, 2], dy[2, 0] = np.nan, np.inf
    dense = core.embedding_backward(dy, np.array([5, 2, 2, 5]), 8)
    expected = np.zeros((8, 3))
    expected[5], expected[2] = 2, [np.inf, 2, np.nan]
    np.testing.assert_array_equal(dense, expected)


@pytest.mark.parametrize("bad", [-1, 5, 2**62, -(2**63)])
@pytest.mark.parametrize("place", [0, 3])
def test_an_index_out_of_range_is_named(bad: int, place: int) -> None:
    indices = np.array([[1, 2], [3, 4]])
    indices.flat[place] = bad
    dy, message = (
        np.ones((2, 2, 3)),
        rf"indices must lie in \[0, 4\].* got {bad} at position {place}",
    )
    with pytest.raises(ValueError, match=message):
        core.embedding(indices, np.ones((5, 3)))
    for backward in (core.embedding_backward, core.embedding_backward_rows):
        with pytest.raises(ValueError, match=message):
            backward(dy, indices, 5)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 400),
    rows=st.integers(1, 100_000),
    used=st.integers(1, 100_000),
    dim=st.integers(0, 70),
)
def test_any_geometry(count: int, rows: int, used: int, dim: int) -> None:
    indices = indices_for((count,), min(used, rows), seed=count)
    dy = normal((count, dim), np.float32)
    assert_same(
        core.embedding_backward_rows(dy, indices, rows),
        ref.embedding_backward_rows(dy, indices, rows),
    )
    if rows * dim < 1_000_000:
        dense = core.embedding_backward(dy, indices, rows)
        assert_same(dense, ref.embedding_backward(dy, indices, rows))
