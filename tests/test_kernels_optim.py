"""Optimizer steps against their twins in float64, over several steps, in place."""

import copy
from typing import Any

import cases
import numpy as np
import pytest
from kernel_checks import assert_same_bits, by_threads, core
from numeric import Array, normal

from nnfast import reference as ref

# Names of the state, and the settings to try.
OPTIMIZERS: dict[str, tuple[tuple[str, ...], list[dict[str, Any]]]] = {
    "sgd_update": ((), [{}]),
    "momentum_update": (("velocity",), [{}, {"nesterov": True}, {"momentum": 0.5}]),
    "adagrad_update": (("sum_sq",), [{}, {"eps": 1e-3}]),
    "rmsprop_update": (("mean_sq",), [{}, {"alpha": 0.5, "eps": 1e-3}]),
    "adadelta_update": (("mean_sq", "mean_delta_sq"), [{}, {"rho": 0.5, "eps": 1e-3}]),
    "adam_update": (("m", "v"), [{}, {"beta1": 0.5, "beta2": 0.7, "eps": 1e-3}]),
    "adamw_update": (("m", "v"), [{}, {"beta1": 0.5, "beta2": 0.7, "eps": 1e-3}]),
}
CASES = [
    pytest.param(name, {**settings, "lr": 0.01, "weight_decay": decay}, id=f"{name}-{i}-{decay}")
    for name, (_, several) in OPTIMIZERS.items()
    for i, settings in enumerate(several)
    for decay in (0.0, 0.1)
]


def train(
    module: Any, name: str, settings: dict[str, Any], grads: list[Array]
) -> tuple[Array, ...]:
    """Return param and state after a step for each gradient."""
    param = normal(grads[0].shape, grads[0].dtype, seed=9)
    state = {key: np.zeros_like(param) for key in OPTIMIZERS[name][0]}
    for step, grad in enumerate(grads, 1):
        number = {"step": step} if name.startswith("adam") else {}
        assert getattr(module, name)(param, grad, **state, **number, **settings) is None
    return param, *state.values()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (33,), (0,), (70_001,)], ids=str)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_close_to_twin(
    name: str, settings: dict[str, Any], shape: tuple[int, ...], dtype: type
) -> None:
    # Gradients of one sign: where they cancel, so do the digits of any implementation.
    grads = [np.abs(normal(shape, dtype, seed=i)) + dtype(0.1) for i in range(4)]
    ours = by_threads(lambda: train(core, name, settings, grads))
    twin = train(ref, name, settings, [g.astype(np.float64) for g in grads])
    eps = np.finfo(dtype).eps
    for actual, expected in zip(ours, twin, strict=True):
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, expected, rtol=32 * eps, atol=16 * eps)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_element_does_not_depend_on_its_place(
    name: str, settings: dict[str, Any], dtype: type
) -> None:
    grad, param = normal(60, dtype, seed=1), normal(60, dtype, seed=2)
    number = {"step": 2} if name.startswith("adam") else {}

    def step(part: slice) -> tuple[Array, ...]:
        arrays = [param.copy()[part], *(np.full(60, 0.3, dtype)[part] for _ in OPTIMIZERS[name][0])]
        getattr(core, name)(arrays[0], grad[part], *arrays[1:], **number, **settings)
        return tuple(arrays)

    whole = step(slice(None))
    for start in range(17):
        for stop in range(43, 60):
            part = slice(start, stop)
            assert_same_bits(step(part), tuple(array[part] for array in whole))


MIXED = [((3, 5), np.float32), ((70_001,), np.float64), ((1,), np.float32), ((0, 2), np.float32)]
MIXED += [((40_000,), np.float32), ((7,), np.float64), ((), np.float32), ((33, 1), np.float64)]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_several_at_once_have_the_bits_of_one_by_one(name: str, settings: dict[str, Any]) -> None:
    number = {"step": 3} if name.startswith("adam") else {}
    width = 2 + len(OPTIMIZERS[name][0])

    def arrays() -> list[list[Array]]:
        return [
            [
                np.asarray(np.abs(normal(shape, dtype, seed=10 * k + i)))
                for i, (shape, dtype) in enumerate(MIXED)
            ]
            for k in range(width)
        ]

    def together() -> tuple[Array, ...]:
        several = arrays()
        assert getattr(core, name)(*several, **number, **settings) is None
        return tuple(array for group in several for array in group)

    one_by_one, twins = arrays(), arrays()
    for tensor in zip(*one_by_one, strict=True):
        getattr(core, name)(*tensor, **number, **settings)
    expected = tuple(array for group in one_by_one for array in group)
    assert_same_bits(by_threads(together), expected)
    getattr(ref, name)(*map(tuple, twins), **number, **settings)
    for actual, twin in zip(expected, (a for group in twins for a in group), strict=True):
        np.testing.assert_allclose(actual, twin, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", [core, ref], ids=["core", "reference"])
def test_of_several_all_are_checked_before_one_is_changed(module: Any) -> None:
    def refused(error: type[Exception], match: str, *changes: tuple[int, int, Any]) -> None:
        groups = [[np.ones(4), np.ones(3, np.float32)] for _ in range(4)]
        for which, i, value in changes:
            if i < 0:
                groups[which] = value
            else:
                groups[which][i] = value
        before = copy.deepcopy(groups)
        with pytest.raises(error, match=match):
            module.adam_update(*groups, 1)
        for group, old in zip(groups, before, strict=True):
            for array, copied in zip(group, old, strict=True):
                np.testing.assert_array_equal(array, copied)

    shared = np.ones(7)
    refused(ValueError, r"grad\[1\] must have .*shape", (1, 1, np.ones(4, np.float32)))
    refused(TypeError, r"m\[1\] must have .*dtype", (2, 1, np.ones(3)))
    refused(ValueError, "memory", (0, 0, shared[:4]), (2, 0, shared[3:]))
    refused(ValueError, "memory", (0, 0, shared[:4]), (0, 1, shared.view("f")[:3]))
    refused(ValueError, "v must have as many arrays as param, 2, got 1", (3, -1, [np.ones(4)]))
    refused(TypeError, "grad must be a list or tuple", (1, -1, np.ones(4)))
    refused(TypeError, r"param\[0\] must be a NumPy array", (0, 0, "text"))
    module.sgd_update([], [], 0.1)
    shared_gradient = [np.ones(4)] * 2
    module.sgd_update([np.ones(4), np.ones(4)], shared_gradient, 0.1)  # which is only read


def test_infinite_parameter_without_decay_takes_the_step() -> None:
    param = np.array([np.inf, 1.0])
    core.sgd_update(param, np.ones(2), 0.5)
    np.testing.assert_array_equal(param, [np.inf, 0.5])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradient_is_not_changed(name: str) -> None:
    grad = normal(100)
    before = grad.copy()
    train(core, name, {"lr": 0.1, "weight_decay": 0.1}, [grad, grad])
    np.testing.assert_array_equal(grad, before)


@pytest.mark.parametrize("name", [n for n, (state, _) in OPTIMIZERS.items() if state])
def test_overlapping_arrays_are_named(name: str) -> None:
    block = np.ones(20)
    key, *others = OPTIMIZERS[name][0]
    state = {key: block[5:15], **{other: np.ones(10) for other in others}}
    number = {"step": 1} if name.startswith("adam") else {}
    with pytest.raises(ValueError, match=f"{key} must not share memory with param"):
        getattr(core, name)(block[:10], np.ones(10), **state, **number, lr=0.1)
    with pytest.raises(ValueError, match="grad must not share memory with param"):
        core.sgd_update(block[:10], block[9:19], 0.1)
    core.sgd_update(block[:10], block[10:], 0.1)  # neighbours do not overlap
