"""Dropout against its twin: the same mask and the same bits, for any thread count."""

import cases
import numpy as np
import pytest
from kernel_checks import assert_same, assert_same_bits, by_threads, core
from numeric import normal

from nnfast import reference as ref

STREAMS = [(0, 0), (1, 0), (0, 1), (2**64 - 1, 5), (12345678901234, 2**64 - 1)]


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [*cases.ELEMENTWISE, (4,), (63,), (64,), (65,)], ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 2**-9, 2**-32, 0.999, 1 - 2**-40])
def test_equals_twin(p: float, shape: tuple[int, ...], dtype: type) -> None:
    x = normal(shape, dtype)
    for seed, offset in STREAMS:
        y = by_threads(lambda s=seed, o=offset: core.dropout(x, p, s, o))
        assert_same(y, ref.dropout(x, p, seed, offset))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_backward_has_the_mask_of_forward(dtype: type) -> None:
    ones = np.ones((50, 70), dtype)
    y = core.dropout(ones, 0.3, 7, 8)
    assert_same_bits(core.dropout_backward(ones, 0.3, 7, 8), y)
    assert_same_bits(core.dropout(ones, 0.3, 7, 8), y)
    assert np.any(core.dropout(ones, 0.3, 7, 9) != y)
    assert np.any(core.dropout(ones, 0.3, 8, 8) != y)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p: float, dtype: type) -> None:
    count = 200_000
    y = core.dropout(np.ones(count, dtype), p, 3)
    kept = np.count_nonzero(y)
    assert abs(kept - count * (1 - p)) < 5 * np.sqrt(count * p * (1 - p))  # five deviations
    assert np.all((y == 0) | (y == dtype(1 / (1 - p))))


def test_result_larger_than_the_cache() -> None:
    x = normal(12_000_011, np.float32)
    y = by_threads(lambda: core.dropout(x, 0.25, 3, 4))
    assert_same(y[:1000], ref.dropout(x[:1000], 0.25, 3, 4))
    kept = np.flatnonzero(y)
    np.testing.assert_array_equal(y[kept], x[kept] * np.float32(1 / 0.75))
    assert abs(kept.size / x.size - 0.75) < 0.001


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_dropped_numbers_leave_no_trace(dtype: type) -> None:
    x = np.full(1000, np.nan, dtype)
    x[::2] = np.inf
    y = core.dropout(x, 0.5)
    dropped = core.dropout(np.ones(1000, dtype), 0.5) == 0
    np.testing.assert_array_equal(y, np.where(dropped, dtype(0), x))


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("seed", 2**64), ("offset", 2**64)])
def test_stream_out_of_range_is_named(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        core.dropout(np.ones(3), 0.5, **{name: value})
