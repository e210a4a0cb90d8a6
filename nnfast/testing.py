"""Hold a layer against numbers: its backward against finite differences, its results against ours.

Works on our layers and losses, on any object with ``forward(x)`` and ``backward(dout)``, and on a
pair of functions. Everything runs in float64 on copies; what is passed in is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast._places import Array
from nnfast._report import Report, Row, compare
from nnfast._subject import Subject, differences

__all__ = ["Report", "Row", "check_gradients", "numerical_gradient", "verify"]

_TWICE = "gradients accumulate: the second backward gives twice the first"


def numerical_gradient(f: Callable[[Array], Any], x: npt.ArrayLike, eps: float = 1e-5) -> Array:
    """Return the gradient of a scalar function by central differences.

    Parameters
    ----------
    f : callable
        Takes an array like `x`, returns a number.
    x : array
        Where to differentiate; used in float64, not changed.
    eps : float
        Half the distance of the two points that are compared.

    Returns
    -------
    ndarray of float64, of the shape of `x`
    """
    point = np.array(x, np.float64)
    every = np.arange(point.size)
    return differences(lambda: float(f(point)), point, every, eps).reshape(point.shape)


def check_gradients(
    layer: Any,
    x: npt.ArrayLike,
    *args: Any,
    eps: float = 1e-5,
    tol: float = 1e-6,
    most: int = 100,
    rng: np.random.Generator | int = 0,
) -> Report:
    """Compare `backward` with finite differences, for the input and every parameter.

    Parameters
    ----------
    layer : object or pair of functions
        With ``forward(x, *args)`` and ``backward(dout)``; or ``(forward, backward)`` with
        ``backward(dout, x)``. Parameters are found as those of an `nnfast.Layer`, as `params` and
        `grads` (dicts or lists), or as attributes such as `W` with their gradients in `dW`,
        `grad_W`, `W_grad`, `gW` or ``grads["W"]``, here and in layers that are attributes. Other
        arrays on which the result depends are in the notes of the report.
    x : array
        An input. Integers are not differentiated.
    *args
        More arguments of forward, such as the target of a loss.
    eps : float
        Step of the differences.
    tol : float
        Largest error allowed, relative to the largest gradient of the same array.
    most : int
        Elements tried in each array, drawn at random if there are more.
    rng : Generator or int
        Draws them, and the gradient that is passed to `backward`.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        Some gradient is wrong; the message shows the worst element of each array.
        Also if a second pass of an `nnfast.Layer` adds its gradient to the first one's; with
        another layer, which may want that, there is a note.
    ValueError
        Two forward passes over the same input differ, so that there is nothing to differentiate.
    """
    rng = np.random.default_rng(rng)
    subject = Subject(layer, x, args)
    y = subject.forward()
    if not np.array_equal(y, subject.forward(), equal_nan=True):
        raise ValueError("forward must give the same result twice; switch randomness off")
    dout = rng.standard_normal(y.shape) if y.ndim else np.float64(1.0)

    def objective() -> float:
        return float(np.sum(subject.forward() * dout))

    (first, given), (second, again) = subject.passes(dout, 2)
    compared: list[tuple[str, Array, Array, Array]] = []
    for name, array in subject.arrays.items():
        if given.get(name) is None or np.shape(given[name]) != array.shape:
            got = None if given.get(name) is None else np.shape(given[name])
            raise AssertionError(f"gradient of {name} must have shape {array.shape}, got {got}")
        count = min(most, array.size)
        chosen = np.sort(rng.choice(array.size, count, replace=False)) if count else np.arange(0)
        numeric = differences(objective, array, chosen, eps)
        compared.append((name, chosen, np.asarray(given[name]).ravel()[chosen], numeric))
    # An array whose true gradient is zero is judged by the scale of the others.
    floor = 1e-3 * max((np.max(np.abs(c[3]), initial=0.0) for c in compared), default=0.0)
    rows = [
        compare(name, subject.arrays[name].shape, chosen, got, numeric, floor)
        for name, chosen, got, numeric in compared
    ]
    notes = dict(subject.notes)
    if np.array_equal(first, second, equal_nan=True):  # else the layer has a state, or is random
        for row, note in _differing(subject, given, again):
            notes[row.name] = note
            rows += [row] * subject.ours
    return Report(f"gradients of {subject.name}", rows, tol, notes).check()


def verify(
    layer: Any,
    x: npt.ArrayLike,
    *args: Any,
    ours: Any = None,
    tol: float = 1e-6,
    rng: np.random.Generator | int = 0,
) -> Report:
    """Hold your own layer against numbers: finite differences, and one of our layers if given.

    Parameters
    ----------
    layer, x, *args, tol, rng
        As for `check_gradients`.
    ours : Layer, optional
        Computes the same. Parameters of the same name and shape are copied into a copy of it first;
        others must have the right values already, and are in the notes of the report. Result, input
        gradient and the gradients of the parameters copied are compared.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        Something differs; the message is the table.
    """
    rng = np.random.default_rng(rng)
    report = check_gradients(layer, x, *args, tol=tol, rng=rng)
    if ours is None:
        return report
    theirs, twin = Subject(layer, x, args), Subject(ours, x, args)
    shared = [
        name
        for name, array in theirs.arrays.items()
        if name in twin.arrays and twin.arrays[name].shape == array.shape
    ]
    notes = dict(report.notes)
    for name in (n for n in theirs.arrays if n not in ("x", *shared)):
        shape = theirs.arrays[name].shape
        notes[f"d{name}"] = f"not compared: {twin.name} has no {name} of shape {shape}"
    for name in (n for n in twin.arrays if n not in ("x", *shared)):
        notes[f"{twin.name}.{name}"] = "not compared, and left as it is"
    for name in shared:
        twin.arrays[name][...] = theirs.arrays[name]
    y, expected = theirs.forward(), twin.forward()
    if y.shape != expected.shape:
        raise AssertionError(f"result must have shape {expected.shape}, got {y.shape}")
    dout = rng.standard_normal(y.shape) if y.ndim else np.float64(1.0)
    got, wanted = theirs.gradients(dout), twin.gradients(dout)
    pairs = [("result", y, expected)] + [(f"d{name}", got[name], wanted[name]) for name in shared]
    rows = [compare(n, a.shape, np.arange(a.size), a.ravel(), b.ravel(), 0.0) for n, a, b in pairs]
    title = f"{report.title}, and against {twin.name}"
    return Report(title, report.rows + rows, tol, notes).check()


def _differing(
    subject: Subject, first: dict[str, Any], second: dict[str, Any]
) -> Iterator[tuple[Row, str]]:
    """Yield the gradients that a second, equal pass has not given again, with what that says."""
    for name in subject.arrays:
        one, two = np.asarray(first[name]), np.asarray(second[name], np.float64)
        every = np.arange(one.size)
        row = compare(f"{name}, again", one.shape, every, two.ravel(), one.ravel(), 0.0)
        if row.error <= 1e-9:
            continue
        if not np.allclose(two, 2 * one):
            yield row, "the second backward gives another gradient than the first"
        elif subject.ours:
            yield row, f"{_TWICE}; take weights by expect() in forward"
        else:
            yield row, _TWICE
