"""Cross-entropy and the squared error against their twins in float64."""

from itertools import product
from typing import Any

import cases
import numpy as np
import pytest
from kernel_checks import assert_same_bits, by_threads, core, wide
from numeric import Array, assert_bound, assert_gradient, normal

from nnfast import reference as ref

SHAPES = [(1, 1), (7, 2), (100, 10), (9, 33), (5, 100), (3, 1000), (2, 16385), (1, 50_000), (0, 3)]
REDUCTIONS = ("mean", "sum", "none")
OPTIONS = list(product(("labels", "soft"), (False, True), (0.0, 0.1, 1.0), REDUCTIONS))


def problem(shape: tuple[int, int], dtype: type, kind: str, weighted: bool) -> tuple[Any, ...]:
    """Return scores, a target with an ignored row where it can have one, and weights or None."""
    rows, cols = shape
    rng = np.random.default_rng(0)
    x = 5 * normal(shape, dtype)
    weight = rng.random(rows).astype(dtype) if weighted else None
    if kind == "soft":
        return x, rng.random(shape).astype(dtype), weight
    labels = rng.integers(0, cols, rows)
    if rows > 3:
        labels[rows // 2] = -100
    return x, labels, weight


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cross_entropy_is_bounded(shape: tuple[int, int], dtype: type) -> None:
    for kind, weighted, smoothing, reduction in OPTIONS:
        arguments = problem(shape, dtype, kind, weighted)
        rest = (-100, smoothing, reduction)
        loss, lse = by_threads(lambda a=arguments, r=rest: core.cross_entropy(*a, *r))
        with np.errstate(invalid="ignore"):
            exact, exact_lse = ref.cross_entropy(*map(wide, arguments), *rest)
        assert loss.dtype == lse.dtype == dtype
        assert isinstance(loss, np.ndarray) == (reduction == "none")
        assert_bound(lse, exact_lse, 1 + np.abs(exact_lse), c=4)
        assert_bound(loss, exact, 20 + np.abs(exact), c=12)  # |x| and the loss of a row reach 20


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cross_entropy_gradient_is_bounded(shape: tuple[int, int], dtype: type) -> None:
    for kind, weighted, smoothing, reduction in OPTIONS:
        x, target, weight = problem(shape, dtype, kind, weighted)
        lse = core.cross_entropy(x, target, weight)[1]
        dloss = normal(shape[0], dtype, seed=3) if reduction == "none" else 1.5
        rest = (weight, -100, smoothing, reduction, dloss)
        dx = by_threads(lambda a=(x, target, lse, *rest): core.cross_entropy_backward(*a))
        assert dx.dtype == dtype
        exact = ref.cross_entropy_backward(*map(wide, (x, target, lse, *rest)))
        # e^(x - lse) is off by the rounding of x - lse; mass: a soft target need not sum to one.
        mass = np.sum(wide(target), axis=1, keepdims=True) if kind == "soft" else 1
        magnitude = 1 + np.abs(x - lse[:, np.newaxis]) * mass * np.exp(x - lse[:, np.newaxis])
        scale = 3 * np.abs(dloss).max(initial=0) if reduction != "mean" else 3 / max(shape[0], 1)
        assert_bound(dx, exact, magnitude * (1 + np.float64(mass)) * scale, c=8)


@pytest.mark.parametrize("kind", ["labels", "soft"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_are_derivatives(kind: str, reduction: str) -> None:
    x, target, weight = problem((6, 5), np.float64, kind, True)
    rest = (weight, -100, 0.1, reduction)
    lse = core.cross_entropy(x, target, *rest)[1]
    dx = core.cross_entropy_backward(x, target, lse, *rest, 0.7)
    assert_gradient(dx, lambda x: core.cross_entropy(x, target, *rest)[0], x, 0.7)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_every_sample_ignored(dtype: type) -> None:
    x, labels = normal((4, 3), dtype), np.full(4, 7)
    assert np.isnan(core.cross_entropy(x, labels, None, 7)[0])
    assert core.cross_entropy(x, labels, None, 7, 0.0, "sum")[0] == 0
    lse = core.cross_entropy(x, labels, None, 7)[1]
    assert not core.cross_entropy_backward(x, labels, lse, None, 7).any()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("cols", [3, 100, 20_000])
def test_not_finite_as_in_twin(cols: int, dtype: type) -> None:
    x = np.tile(normal(cols, dtype), (6, 1))
    x[0, 1], x[1, :], x[2, 0], x[3, 2] = -np.inf, -np.inf, np.nan, np.inf
    x[4, :] = np.nan
    labels = np.array([0, 0, 1, 1, -100, 1])
    with np.errstate(all="ignore"):
        loss, lse = ref.cross_entropy(x, labels, reduction="none")
        dx = ref.cross_entropy_backward(x, labels, lse, reduction="none")
        ours, our_lse = core.cross_entropy(x, labels, reduction="none")
        our_dx = core.cross_entropy_backward(x, labels, lse, reduction="none")
    for actual, expected in ((ours, loss), (our_lse, lse), (our_dx, dx)):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-7)
    assert ours[4] == 0
    assert not our_dx[4].any()


@pytest.mark.parametrize("cols", [3, 300])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_infinite_weights_as_in_twin(cols: int, smoothing: float) -> None:
    x, labels = normal((3, cols)), np.array([0, 1, 2])
    weight = np.array([np.inf, -np.inf, np.nan])
    lse = ref.cross_entropy(x, labels)[1]
    with np.errstate(all="ignore"):
        dx, expected = (
            module.cross_entropy_backward(x, labels, lse, weight, -100, smoothing, "sum")
            for module in (core, ref)
        )
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize("bad", [-1, 3, 2**40, -(2**63)])
def test_label_out_of_range_is_named(bad: int) -> None:
    labels = np.array([0, 1, bad, 2])
    with pytest.raises(ValueError, match=rf"target.*{bad} at position 2"):
        core.cross_entropy(np.zeros((4, 3)), labels)
    with pytest.raises(ValueError, match=rf"target.*{bad} at position 2"):
        core.cross_entropy_backward(np.zeros((4, 3)), labels, np.zeros(4))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_squared_error(reduction: str, shape: tuple[int, ...], dtype: type) -> None:
    x, target = normal(shape, dtype), normal(shape, dtype, seed=1)
    loss = by_threads(lambda: core.mse_loss(x, target, reduction))
    with np.errstate(invalid="ignore"):
        exact = ref.mse_loss(wide(x), wide(target), reduction)
    assert loss.dtype == dtype
    assert_bound(loss, exact, np.abs(exact), c=8)
    dloss: Array | float = normal(shape, dtype, seed=2) if reduction == "none" else -1.5
    dx = by_threads(lambda: core.mse_loss_backward(x, target, reduction, dloss))
    expected = ref.mse_loss_backward(x, target, reduction, dloss)
    np.testing.assert_allclose(dx, expected, rtol=4 * np.finfo(dtype).eps)
    assert dx.dtype == dtype


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_row_does_not_depend_on_its_place(dtype: type) -> None:
    for cols in (3, 10, 33, 100):
        x, soft, weight = problem((40, cols), dtype, "soft", True)
        rest = (-100, 0.1, "none")
        loss, lse = core.cross_entropy(x, soft, weight, *rest)
        dx = core.cross_entropy_backward(x, soft, lse, weight, *rest)
        for part in (slice(i, j) for i in range(9) for j in range(31, 40)):
            a = (x[part], soft[part])
            assert_same_bits(core.cross_entropy(*a, weight[part], *rest), (loss[part], lse[part]))
            again = core.cross_entropy_backward(*a, lse[part], weight[part], *rest)
            assert_same_bits(again, dx[part])
