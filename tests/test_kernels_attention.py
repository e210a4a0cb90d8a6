"""Attention against its twin in float64: bounded everywhere, exact where a query has one key."""

import subprocess
import sys
from typing import Any

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same, assert_same_bits, by_threads, core, wide
from numeric import Array, assert_bound, integers, normal

from nnfast import reference as ref

MASKS = ("none", "padding", "pairs", "heads", "numbers")


def inputs(case: cases.Attention, dtype: type) -> tuple[Array, Array, Array, Array]:
    """Return q, k, v and dy; scores of some size, so that the softmax is far from a mean."""
    n, heads, tq, tk, d, dv = case
    q, k = 2 * normal((n, tq, heads * d), dtype, 1), normal((n, tk, heads * d), dtype, 2)
    return q, k, normal((n, tk, heads * dv), dtype, 3), normal((n, tq, heads * dv), dtype, 4)


def mask_like(kind: str, case: cases.Attention, dtype: type) -> Array | None:
    """Return a mask of this kind; some queries are left without a key."""
    shape = {
        "padding": (case.n, 1, 1, case.tk),
        "pairs": (case.tq, case.tk),
        "heads": (case.heads, case.tq, 1),
        "numbers": (case.n, 1, case.tq, case.tk),
    }
    if kind == "none":
        return None
    draw = normal(shape[kind], dtype, 5)
    if kind != "numbers":
        return draw > -0.5
    return np.where(draw > -1, draw, -np.inf).astype(dtype)


def split(x: Array, heads: int) -> Array:
    """(N, T, heads * d) to (N, heads, T, d)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).swapaxes(1, 2)


def join(x: Array) -> Array:
    """(N, heads, T, d) to (N, T, heads * d)."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


def magnitudes(q: Array, k: Array, v: Array, dy: Array, heads: int, *masks: Any) -> list[Array]:
    """Return what the errors of y, lse, dq, dk and dv are relative to.

    A score's error is eps times |q| |k|, and that is the relative error of its weight; from there
    on the products are those of the definition, over absolute values.
    """
    n, tk = k.shape[:2]
    one_hot = np.tile(np.eye(tk), (n, 1, heads))
    if tk:  # attention to a one-hot code of the keys gives the weights
        weights, lse = ref.attention(q, k, one_hot, heads, *masks)
        weights = split(weights, heads)
    else:
        weights, lse = np.zeros((n, heads, q.shape[1], 0)), np.zeros((n, heads, q.shape[1]))
    q_, k_, v_, dy_ = (split(np.abs(x), heads) for x in (q, k, v, dy))
    scores = np.where(weights > 0, q_ @ k_.swapaxes(2, 3) / np.sqrt(q_.shape[3]), 0)
    size = 1 + np.max(scores, axis=-1, keepdims=True, initial=0)
    y = size * (weights @ v_)
    slopes = size * weights * (dy_ @ v_.swapaxes(2, 3) + np.sum(dy_ * y, axis=-1, keepdims=True))
    slopes /= np.sqrt(q_.shape[3])
    finite = np.where(np.isfinite(lse), np.abs(lse), 0)
    sums = (y, slopes @ k_, slopes.swapaxes(2, 3) @ q_, (size * weights).swapaxes(2, 3) @ dy_)
    y, dq, dk, dv = map(join, sums)
    return [y, size[..., 0] + finite, dq, dk, dv]


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("case", cases.ATTENTION, ids=str)
def test_errors_are_bounded(case: cases.Attention, kind: str, causal: bool, dtype: type) -> None:
    q, k, v, dy = inputs(case, dtype)
    masks = (mask_like(kind, case, dtype), causal)
    y, lse = by_threads(lambda: core.attention(q, k, v, case.heads, *masks))
    got = (dy, q, k, v, y, lse, case.heads, *masks)
    results = y, lse, *by_threads(lambda: core.attention_backward(*got))

    q, k, v, dy = map(wide, (q, k, v, dy))
    exact_masks = tuple(map(wide, masks))
    exact = ref.attention(q, k, v, case.heads, *exact_masks)
    given_ = (dy, q, k, v, *exact, case.heads, *exact_masks)
    expected = *exact, *ref.attention_backward(*given_)
    sizes = magnitudes(q, k, v, dy, case.heads, *exact_masks)
    for result, wanted, size in zip(results, expected, sizes, strict=True):
        assert result.dtype == dtype
        assert_bound(result, wanted, size, c=4)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("t, heads, d", [(7, 2, 3), (33, 1, 16), (150, 3, 20), (300, 2, 8)])
def test_a_query_with_one_key_takes_its_value(t: int, heads: int, d: int, dtype: type) -> None:
    """Weights are 1 and 0 then: whole numbers come out exactly, gradients too."""
    q, k, v, dy = (integers((2, t, heads * d), dtype, seed) for seed in range(4))
    order = np.random.default_rng(0).permutation(t)
    mask = np.eye(t, dtype=bool)[order]
    y, lse = core.attention(q, k, v, heads, mask, False, 1.0)
    np.testing.assert_array_equal(y, v[:, order])
    scores = split(q, heads) * split(k, heads)[:, :, order]
    np.testing.assert_array_equal(lse, np.sum(scores, axis=-1))
    dq, dk, dv = core.attention_backward(dy, q, k, v, y, lse, heads, mask, False, 1.0)
    np.testing.assert_array_equal(dv[:, order], dy)
    assert not dq.any() and not dk.any()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("t, heads, d", [(1, 1, 1), (20, 4, 16), (130, 2, 7), (400, 1, 32)])
def test_packed_is_the_same_as_apart(t: int, heads: int, d: int, dtype: type) -> None:
    qkv, dy = normal((2, t, 3 * heads * d), dtype), normal((2, t, heads * d), dtype, 1)
    q, k, v = (np.ascontiguousarray(part) for part in np.split(qkv, 3, axis=2))
    mask = normal((t, t), seed=2) > -1
    y, lse = core.self_attention(qkv, heads, mask, True, 0.3)
    assert_same_bits((y, lse), core.attention(q, k, v, heads, mask, True, 0.3))
    dqkv = core.self_attention_backward(dy, qkv, y, lse, heads, mask, True, 0.3)
    apart = core.attention_backward(dy, q, k, v, y, lse, heads, mask, True, 0.3)
    assert_same_bits(dqkv, np.concatenate(apart, axis=2))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_mask_may_be_given_in_any_form(dtype: type) -> None:
    case = cases.Attention(2, 3, 140, 135, 5, 6)
    q, k, v, dy = inputs(case, dtype)
    causal, keep = np.tri(case.tq, case.tk, dtype=bool), normal((2, 1, 1, 135)) > 0
    added = np.where(keep & causal, dtype(0), dtype(-np.inf))
    wanted = core.attention(q, k, v, 3, keep, True)
    for mask, also_causal in (
        (keep & causal, False),
        (np.broadcast_to(keep & causal, (2, 3, 140, 135)).copy(), False),
        (added, False),
        (added, True),
    ):
        y, lse = core.attention(q, k, v, 3, mask, also_causal)
        assert_same((y, lse), wanted)
        got = core.attention_backward(dy, q, k, v, y, lse, 3, mask, also_causal)
        assert_same(got, core.attention_backward(dy, q, k, v, y, lse, 3, keep, True))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_query_without_keys_gives_zero(dtype: type) -> None:
    q, k, v, dy = inputs(cases.Attention(2, 2, 150, 140, 8, 8), dtype)
    mask = np.ones((150, 140), bool)
    mask[[0, 77, 149]] = False
    y, lse = core.attention(q, k, v, 2, mask)
    assert not y[:, [0, 77, 149]].any() and np.all(lse[..., [0, 77, 149]] == -np.inf)
    dq, dk, dv = core.attention_backward(dy, q, k, v, y, lse, 2, mask)
    assert not dq[:, [0, 77, 149]].any()
    kept = np.delete(np.arange(150), [0, 77, 149])
    q, dy, y, lse = q[:, kept].copy(), dy[:, kept].copy(), y[:, kept].copy(), lse[..., kept].copy()
    _, dk_kept, dv_kept = core.attention_backward(dy, q, k, v, y, lse, 2)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(dk, dk_kept, atol=tolerance)
    np.testing.assert_allclose(dv, dv_kept, atol=tolerance)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("t", [9, 200])
def test_large_scores_do_not_overflow(t: int, dtype: type) -> None:
    q, k, v, dy = inputs(cases.Attention(1, 2, t, t, 16, 8), dtype)
    q, k = q * dtype(1e15), k * dtype(1e15)
    y, lse = core.attention(q, k, v, 2)
    best = np.argmax(split(q, 2) @ split(k, 2).swapaxes(2, 3), axis=-1)
    chosen = np.take_along_axis(split(v, 2), best[..., np.newaxis], axis=2)
    np.testing.assert_array_equal(y, join(chosen))
    gradients = core.attention_backward(dy, q, k, v, y, lse, 2)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_nan_and_infinity_reach_who_attends_to_them(special: float, dtype: type) -> None:
    q, k, v, dy = inputs(cases.Attention(2, 2, 200, 200, 4, 4), dtype)
    clean = core.attention(q, k, v, 2, None, True)[0]

    def spread(where: Array, row: int, column: int) -> Array:
        where[1, row, column] = special
        y, lse = core.attention(q, k, v, 2, None, True)
        with np.errstate(invalid="ignore"):
            assert_same(np.isfinite(y), np.isfinite(ref.attention(q, k, v, 2, None, True)[0]))
        core.attention_backward(dy, q, k, v, y, lse, 2, None, True)
        where[1, row, column] = 0
        return y

    expected = clean.copy()
    expected[1, 150, 4:] = np.nan
    y = spread(q, 150, 5)
    assert_same(y, expected)
    y = spread(k, 150, 5)
    assert_same(y[0], clean[0])
    assert_same(y[1, :150], clean[1, :150])
    assert_same(y[1, :, :4], clean[1, :, :4])


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_nan_in_the_gradient_reaches_its_head_and_batch(dtype: type) -> None:
    q, k, v, dy = inputs(cases.Attention(2, 2, 40, 150, 4, 4), dtype)
    y, lse = core.attention(q, k, v, 2)
    clean = core.attention_backward(dy, q, k, v, y, lse, 2)
    dy[1, 7, 2] = np.nan
    dq, dk, dv = core.attention_backward(dy, q, k, v, y, lse, 2)
    assert_same((dq[0], dk[0], dv[0]), tuple(gradient[0] for gradient in clean))
    assert_same((dq[..., 4:], dk[..., 4:]), tuple(gradient[..., 4:] for gradient in clean[:2]))
    assert np.isnan(dq[1, 7, :4]).all() and np.isnan(dk[1, :, :4]).all()
    assert_same(np.delete(dq, 7, axis=1), np.delete(clean[0], 7, axis=1))
    assert np.isnan(dv[1, :, 2]).all() and np.isfinite(np.delete(dv[1], 2, axis=1)).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_query_does_not_depend_on_its_place(dtype: type) -> None:
    q, k, v, _ = inputs(cases.Attention(3, 1, 150, 260, 9, 11), dtype)
    y, lse = core.attention(q, k, v)
    for start, stop in ((0, 1), (3, 50), (37, 149), (149, 150)):
        part = core.attention(q[1:2, start:stop].copy(), k[1:2].copy(), v[1:2].copy())
        assert_same_bits(part, (y[1:2, start:stop], lse[1:2, :, start:stop]))


def test_memory_does_not_grow_with_the_square_of_the_length() -> None:
    code = """if True:
        import numpy as np
        from nnfast import _core as core
        qkv = np.ones((1, 6000, 3 * 8), np.float32)
        y, lse = core.self_attention(qkv)
        core.self_attention_backward(y, qkv, y, lse)
        print(core.runtime_memory()["peak"])"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stdout.split()[-1]) < 6000 * 6000 * 4 / 8  # an eighth of all scores


@settings(deadline=None, max_examples=60)
@given(
    shape=st.builds(
        cases.Attention,
        n=st.integers(0, 3),
        heads=st.integers(1, 4),
        tq=st.integers(0, 150),
        tk=st.integers(0, 150),
        d=st.integers(1, 40),
        dv=st.integers(1, 40),
    ),
    kind=st.sampled_from(MASKS),
    causal=st.booleans(),
    dtype=st.sampled_from(cases.DTYPES),
)
def test_any_shape(shape: cases.Attention, kind: str, causal: bool, dtype: type) -> None:
    q, k, v, dy = inputs(shape, dtype)
    masks = (mask_like(kind, shape, dtype), causal)
    y, lse = core.attention(q, k, v, shape.heads, *masks)
    expected = ref.attention(*map(wide, (q, k, v)), shape.heads, *map(wide, masks))
    got = core.attention_backward(dy, q, k, v, y, lse, shape.heads, *masks)
    wanted = ref.attention_backward(
        *map(wide, (dy, q, k, v)), *expected, shape.heads, *map(wide, masks)
    )
    tolerance = 2e-3 if dtype is np.float32 else 1e-11
    for one, other in zip((y, lse, *got), (*expected, *wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
