"""Layers over time against their twins: exact on whole numbers, bounded else, bit by bit."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import assert_same_bits, by_threads, core, wide
from numeric import Array, assert_bound, assert_gradient, integers, normal

from nnfast import reference as ref

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
every_kind = pytest.mark.parametrize("kind", GATES)
every_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)
every_size = pytest.mark.parametrize("size", cases.RECURRENT, ids=str)
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def layer(kind: str, size: tuple[int, ...], dtype: type, make=normal, scale: float = 0) -> dict:
    """Arguments of a forward call, with weights of the usual size."""
    t, n, d, h = size
    rows = GATES[kind] * h
    scale = scale or 1 / np.sqrt(max(h, 1))
    names = {"weight_ih": (rows, d), "weight_hh": (rows, h), "bias_ih": rows, "bias_hh": rows}
    arguments = {"x": make((t, n, d), dtype, 1), "h0": make((n, h), dtype, 2)}
    if kind == "lstm":
        arguments["c0"] = make((n, h), dtype, 3)
    for seed, (name, shape) in enumerate(names.items()):
        arguments[name] = (make(shape, dtype, 10 + seed) * scale).astype(dtype)
    return arguments


def run(module, kind: str, arguments: dict, reverse: bool = False, **options) -> tuple:
    """The results of a forward call, y first."""
    result = getattr(module, kind)(**arguments, reverse=reverse, **options)
    return result if isinstance(result, tuple) else (result,)


def way_back(kind: str, arguments: dict, results: tuple, make=normal, **options) -> dict:
    """Arguments of the backward call."""
    y = results[0]
    kept = dict(zip(("y", "gates", "inner" if kind == "gru" else "cells"), results, strict=False))
    state = {name: arguments[name] for name in ("h0", "c0") if name in arguments}
    ends = {f"d{name[0]}n": make(value.shape, y.dtype, 20) for name, value in state.items()}
    given = {name: arguments[name] for name in ("x", "weight_ih", "weight_hh")}
    return {"dy": make(y.shape, y.dtype, 21), **given, **kept, **state, **ends, **options}


def in_float64(function, arguments: dict) -> tuple:
    result = function(**{name: wide(value) for name, value in arguments.items()})
    return result if isinstance(result, tuple) else (result,)


def incoming(back: dict) -> tuple:
    """The gradients among the arguments of a backward call."""
    return tuple(back[name] for name in ("dy", "dhn", "dcn") if name in back)


def assert_as_close_as_numpy(
    actual: tuple, twin: tuple, exact: tuple, incoming: tuple = ()
) -> None:
    """Assert that no error exceeds 4 times the largest of the twin in the same precision.

    The twin in float64 is the measure of both, so that in float64 it has no error: there 64 eps of
    the largest number are allowed, 8 otherwise. The largest number of the whole call, because a
    result may be one sum whose terms cancel: its error is of the size of the terms. Gradients that
    come in count too: of a saturated unit next to nothing of them is left, 1 - y * y, and y * y was
    rounded.
    """
    scale = max(np.max(np.abs(value), initial=0) for value in (*exact, *incoming))
    for ours, numpys, truth in zip(actual, twin, exact, strict=True):
        assert ours.dtype == numpys.dtype
        assert ours.shape == truth.shape
        rounding = np.finfo(ours.dtype).eps * (8 if ours.dtype == np.float32 else 64)
        error = np.max(np.abs(numpys - truth), initial=0)
        assert np.max(np.abs(ours - truth), initial=0) <= 4 * error + rounding * scale


@every_kind
@both_ways
@every_dtype
@every_size
def test_against_the_twin(kind, reverse, dtype, size):
    arguments = layer(kind, size, dtype)
    results = by_threads(lambda: run(core, kind, arguments, reverse))
    exact = in_float64(getattr(ref, kind), {**arguments, "reverse": reverse})
    assert_as_close_as_numpy(results, run(ref, kind, arguments, reverse), exact)
    back, name = way_back(kind, arguments, results, reverse=reverse), f"{kind}_backward"
    gradients = by_threads(lambda: getattr(core, name)(**back))
    exact = in_float64(getattr(ref, name), back)
    assert_as_close_as_numpy(gradients, getattr(ref, name)(**back), exact, incoming(back))
    none, *others = getattr(core, name)(**back, needs_dx=False)
    assert none is None
    assert_same_bits(tuple(others), gradients[1:])


@both_ways
@every_dtype
@every_size
def test_whole_numbers_are_exact(reverse, dtype, size):
    """Of a rectifier all is whole: every product, and every sum over time, exactly."""
    size = (min(size[0], 3), *size[1:])  # of more steps float32 cannot hold the numbers
    sparse = 1 if max(size[2:]) < 100 else 0.01
    arguments = layer("rnn", size, dtype, lambda *a: np.trunc(normal(*a) * sparse * 1.2), scale=1)
    options = {"nonlinearity": "relu", "reverse": reverse}
    results = by_threads(lambda: run(core, "rnn", arguments, **options))
    np.testing.assert_array_equal(results, run(ref, "rnn", arguments, **options))
    back = way_back("rnn", arguments, results, lambda *a: integers(*a, most=1), **options)
    gradients = by_threads(lambda: core.rnn_backward(**back))
    for ours, twin in zip(gradients, in_float64(ref.rnn_backward, back), strict=True):
        assert np.max(np.abs(twin), initial=0) < 2**24
        np.testing.assert_array_equal(ours, twin)


@every_dtype
@every_size
def test_open_and_closed_gates_are_exact(dtype, size):
    """Whole numbers times 1024 open or close a gate, or leave it half open."""
    size = (min(size[0], 1), *size[1:])
    arguments = layer("lstm", size, dtype, integers, scale=1024)
    _, *results = run(core, "lstm", arguments)  # y is the tanh of a cell: rounded
    np.testing.assert_array_equal(results[0], run(ref, "lstm", arguments)[1])
    np.testing.assert_array_equal(results[1], run(ref, "lstm", arguments)[2])
    arguments = layer("gru", size, dtype, integers, scale=1024)
    for ours, twin in zip(run(core, "gru", arguments), run(ref, "gru", arguments), strict=True):
        np.testing.assert_array_equal(ours, twin)


@every_kind
@every_dtype
@every_size
def test_a_step_has_the_error_of_its_products(kind, dtype, size):
    """c = 8 of |x| |W| + |h| |W| + |b|, as for a matrix product: no slope is above 1."""
    arguments = layer(kind, (min(size[0], 1), *size[1:]), dtype)
    which = 0 if kind == "rnn" else 1  # y, or the gates
    exact = in_float64(getattr(ref, kind), arguments)[which]
    size_of = {name: np.abs(wide(value)) for name, value in arguments.items()}
    magnitude = 1 + size_of["bias_ih"] + size_of["bias_hh"] + size_of["x"] @ size_of["weight_ih"].T
    magnitude = magnitude + size_of["h0"] @ size_of["weight_hh"].T
    assert_bound(run(core, kind, arguments)[which], exact, magnitude, c=8)


@every_kind
@both_ways
@every_dtype
def test_a_sequence_has_the_same_bits_in_any_batch(kind, reverse, dtype):
    arguments = layer(kind, (5, 43, 11, 21), dtype)
    together = run(core, kind, arguments, reverse)
    for n in (0, 1, 17, 42):
        alone = {
            name: (value[:, n : n + 1] if name == "x" else value[n : n + 1]).copy()
            for name, value in arguments.items()
            if name in ("x", "h0", "c0")
        }
        results = run(core, kind, arguments | alone, reverse)
        assert_same_bits(results, tuple(array[:, n : n + 1] for array in together))


@every_kind
@both_ways
@every_dtype
def test_a_sequence_in_pieces_has_the_same_bits(kind, reverse, dtype):
    arguments = layer(kind, (9, 7, 5, 19), dtype)
    whole = run(core, kind, arguments, reverse)
    pieces, given = [slice(0, 4), slice(4, 5), slice(5, 9)], dict(arguments)
    for piece in reversed(pieces) if reverse else pieces:
        results = run(core, kind, {**given, "x": arguments["x"][piece]}, reverse)
        assert_same_bits(results, tuple(array[piece] for array in whole))
        last = 0 if reverse else -1
        given["h0"] = results[0][last]
        if kind == "lstm":
            given["c0"] = results[2][last]


@both_ways
@every_dtype
@every_size
def test_inference_has_the_same_bits(reverse, dtype, size):
    arguments, last = layer("lstm", size, dtype), 0 if reverse else -1
    y, _, cells = run(core, "lstm", arguments, reverse)
    expected = y, cells[last] if size[0] else arguments["c0"]
    assert_same_bits(core.lstm_inference(**arguments, reverse=reverse), expected)
    arguments = layer("gru", size, dtype)
    y = run(core, "gru", arguments, reverse)[0]
    assert_same_bits(core.gru_inference(**arguments, reverse=reverse), y)


@every_kind
@both_ways
def test_gradients_agree_with_finite_differences(kind, reverse):
    arguments = layer(kind, (3, 2, 4, 5), np.float64)
    results = run(core, kind, arguments, reverse)
    back = way_back(kind, arguments, results, reverse=reverse)
    gradients = getattr(core, f"{kind}_backward")(**back)
    last, order = 0 if reverse else -1, ["x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0"]

    def objective(name: str, value: Array) -> float:
        y, *others = run(core, kind, {**arguments, name: value}, reverse)
        total = np.sum(y * back["dy"]) + np.sum(y[last] * back["dhn"])
        return total + (np.sum(others[1][last] * back["dcn"]) if kind == "lstm" else 0)

    for name, gradient in zip([*order, "c0"], gradients, strict=False):
        assert_gradient(gradient, lambda v, n=name: objective(n, v), arguments[name], 1.0)
    assert len(gradients) == len(arguments)


@every_kind
@both_ways
def test_what_is_missing_is_zero(kind, reverse):
    arguments = layer(kind, (4, 3, 5, 6), np.float64)
    for name in set(arguments) - {"x", "weight_ih", "weight_hh"}:
        arguments[name] = np.zeros_like(arguments[name])
    short = {name: arguments[name] for name in ("x", "weight_ih", "weight_hh")}
    results = run(core, kind, short, reverse)
    assert_same_bits(results, run(core, kind, arguments, reverse))
    back = way_back(kind, arguments, results, lambda *a: np.ones(*a[:2]), reverse=reverse)
    ends = {name: np.zeros_like(back[name]) for name in ("dhn", "dcn") if name in back}
    expected = getattr(core, f"{kind}_backward")(**back | ends)
    optional = {"h0", "c0", "dhn", "dcn"}
    given = {name: value for name, value in back.items() if name not in optional}
    assert_same_bits(getattr(core, f"{kind}_backward")(**given), expected)


@every_kind
@both_ways
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_nan_stays_in_its_sequence_and_its_future(kind, reverse, special):
    arguments = layer(kind, (6, 9, 5, 20), np.float32)
    arguments["x"][2, 4, 1] = special
    y = run(core, kind, arguments, reverse)[0]
    with np.errstate(invalid="ignore"):
        expected = run(ref, kind, arguments, reverse)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    if np.isnan(special):
        hit = np.zeros(y.shape[:2], bool)
        hit[slice(None, 3) if reverse else slice(2, None), 4] = True
        np.testing.assert_array_equal(np.isnan(y).all(axis=2), hit)
        np.testing.assert_array_equal(np.isnan(y).any(axis=2), hit)


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(sorted(GATES)),
    t=st.integers(0, 7),
    n=st.integers(0, 45),
    d=st.integers(0, 40),
    h=st.integers(0, 70),
    reverse=st.booleans(),
    dtype=st.sampled_from(cases.DTYPES),
)
def test_any_shape(kind, t, n, d, h, reverse, dtype):
    arguments = layer(kind, (t, n, d, h), dtype)
    results = run(core, kind, arguments, reverse)
    exact = in_float64(getattr(ref, kind), {**arguments, "reverse": reverse})
    assert_as_close_as_numpy(results, run(ref, kind, arguments, reverse), exact)
    back, name = way_back(kind, arguments, results, reverse=reverse), f"{kind}_backward"
    gradients, twin = getattr(core, name)(**back), getattr(ref, name)(**back)
    exact = in_float64(getattr(ref, name), back)
    assert_as_close_as_numpy(gradients, twin, exact, incoming(back))
