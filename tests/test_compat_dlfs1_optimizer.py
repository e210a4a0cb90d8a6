"""The optimizers of nnfast.compat.dlfs1 against the same written in NumPy, step by step."""

import numpy as np
import pytest
from dlfs1_check import same
from dlfs1_numpy import optimizer as original

from nnfast.compat.dlfs1 import optimizer

pytestmark = pytest.mark.usefixtures("backend")

RULES = {
    "SGD": {},
    "Momentum": {"v"},
    "Nesterov": {"v"},
    "AdaGrad": {"h"},
    "RMSprop": {"h"},
    "Adam": {"m", "v"},
}
by_rule = pytest.mark.parametrize("name", RULES)


def walk(ours, theirs, params, grads_of, steps=25, rtol=1e-10):
    """Update copies of params by both rules and compare everything after each step."""
    mine, yours = ({k: np.copy(p) for k, p in params.items()} for _ in range(2))
    arrays = dict(mine)
    rng = np.random.default_rng(0)
    for step in range(steps):
        grads = grads_of(rng, step)
        given = {k: np.copy(g) for k, g in grads.items()}
        ours.update(mine, given)
        theirs.update(yours, grads)
        for key, p in mine.items():
            assert p is arrays[key], "parameters change in place"
            same(p, yours[key], rtol)
            np.testing.assert_array_equal(given[key], grads[key])
        for state in RULES[type(theirs).__name__]:
            for key in mine:
                same(getattr(ours, state)[key], getattr(theirs, state)[key], rtol)


def gradients(dtype):
    return lambda rng, step: {
        "W1": rng.standard_normal((20, 30)).astype(dtype),
        "b1": (rng.standard_normal(30) * (step % 3)).astype(dtype),  # all zero now and then
    }


def parameters(dtype):
    rng = np.random.default_rng(1)
    return {
        "W1": rng.standard_normal((20, 30)).astype(dtype),
        "b1": np.zeros(30, dtype),
    }


@by_rule
def test_float64(name):
    rules = getattr(optimizer, name)(), getattr(original, name)()
    walk(*rules, parameters(np.float64), gradients(np.float64))


@by_rule
def test_float32(name):
    rules = getattr(optimizer, name)(), getattr(original, name)()
    walk(*rules, parameters(np.float32), gradients(np.float32), rtol=2e-5)


@by_rule
def test_float32_parameters_with_float64_gradients(name):
    """What the book's Convolution gives for float32 weights."""
    rules = getattr(optimizer, name)(), getattr(original, name)()
    walk(*rules, parameters(np.float32), gradients(np.float64), rtol=2e-6)


@by_rule
def test_gradients_that_are_views(name):
    """The book's Convolution gives its dW as a transposed view."""
    rules = getattr(optimizer, name)(), getattr(original, name)()
    walk(
        *rules,
        {"W": np.ones((4, 6))},
        lambda rng, _: {"W": rng.standard_normal((6, 4)).T},
    )


@by_rule
def test_parameters_that_are_views(name):
    storage = np.ones((4, 6))
    params, copy = {"W": storage.T}, {"W": storage.T.copy()}
    grads = {"W": np.arange(24.0).reshape(6, 4)}
    rules = getattr(optimizer, name)(), getattr(original, name)()
    for _ in range(3):
        rules[0].update(params, grads)
        rules[1].update(copy, grads)
    same(storage.T, copy["W"], 1e-10)


@by_rule
def test_plain_numbers(name):
    """The book's first example of an optimizer walks down a valley with two Python numbers."""
    rules = getattr(optimizer, name)(lr=0.1), getattr(original, name)(lr=0.1)
    params = {"x": -7.0, "y": 2.0}, {"x": -7.0, "y": 2.0}
    for _ in range(30):
        for rule, p in zip(rules, params, strict=True):
            rule.update(p, {"x": p["x"] / 10.0, "y": 2.0 * p["y"]})
        assert params[0] == pytest.approx(params[1], rel=1e-12)
    assert params[0]["x"] != -7.0


@by_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_negative_rate_climbs(name, dtype):
    rules = getattr(optimizer, name)(lr=-0.1), getattr(original, name)(lr=-0.1)
    walk(*rules, parameters(dtype), gradients(dtype), rtol=2e-5 if dtype is np.float32 else 1e-10)


@by_rule
def test_one_array_under_two_keys_is_updated_twice(name):
    rules = getattr(optimizer, name)(lr=0.1), getattr(original, name)(lr=0.1)
    grads, results = {"W": np.ones(3), "V": np.full(3, 0.5)}, []
    for rule in rules:
        shared = np.arange(3.0)
        for _ in range(3):
            rule.update({"W": shared, "V": shared}, grads)
        results.append(shared)
    same(*results, 1e-10)


@by_rule
def test_learning_rate_may_change_on_the_way(name):
    rules = getattr(optimizer, name)(lr=0.1), getattr(original, name)(lr=0.1)
    walk(*rules, parameters(np.float64), gradients(np.float64), steps=3)
    for rule in rules:
        rule.lr = 0.001
    params, copy = parameters(np.float64), parameters(np.float64)
    grads = gradients(np.float64)(np.random.default_rng(7), 1)
    rules[0].update(params, grads)
    rules[1].update(copy, grads)
    for key in params:
        same(params[key], copy[key], 1e-10)


def test_adam_counts_its_steps():
    rule = optimizer.Adam()
    assert (rule.iter, rule.m, rule.v) == (0, None, None)
    for _ in range(3):
        rule.update({"W": np.ones(2)}, {"W": np.ones(2)})
    assert rule.iter == 3


def test_corrected_nesterov_is_momentum_that_looks_ahead():
    """Its parameters are those of the textbook form, moved ahead by momentum times velocity."""
    rule, mu, lr = optimizer.NesterovCorrected(lr=0.05), 0.9, 0.05
    params = {"w": np.array([3.0, -2.0])}
    w, v = params["w"].copy(), np.zeros(2)
    for _ in range(20):
        rule.update(params, {"w": params["w"] ** 3 / 9})
        v = mu * v - lr * (w + mu * v) ** 3 / 9
        w = w + v
        np.testing.assert_allclose(params["w"], w + mu * v, rtol=1e-12)


def test_missing_gradient_is_an_error():
    with pytest.raises(KeyError, match="b"):
        optimizer.SGD().update({"b": np.ones(2)}, {})
