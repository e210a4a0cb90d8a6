"""Decides whether one of our classes or functions may stand in for one of the user's.

Three questions, the cheap ones first: does ours have the bases and methods that the user's has, and
take every call that the user's takes; do both give the same numbers on a small example; does ours
have the attributes that the user's objects have. Somebody who turned the book's ReLU into a leaky
one keeps it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from .profile import Probe

_RTOL, _ATOL = 1e-9, 1e-12


class _Plain:
    """A class that says nothing."""


# What Python puts into every class or into one with annotations.
_BY_PYTHON = {*vars(_Plain), "__annotations__", "__annotate_func__", "__annotations_cache__"}


class Misfit(Exception):
    """Ours cannot stand in; the message says why."""


def fit(theirs: Any, ours: Any, probe: Probe) -> Any:
    """Give what may stand in for theirs: ours, or ours with the default arguments of theirs.

    Raises
    ------
    Misfit
        If nothing of ours may.
    """
    if inspect.isclass(theirs) != inspect.isclass(ours):
        raise Misfit("it is a class on one side only")
    if inspect.isclass(theirs):
        ours = _fit_class(theirs, ours)
    elif not _same_calls(theirs, ours):
        raise Misfit("it takes other arguments")
    expected, their_object = _try(theirs, probe, "it")
    got, our_object = _try(ours, probe, "ours")
    if not _same_results(expected, got):
        raise Misfit("it gives other numbers on a small example")
    missing = [
        name
        for name in getattr(their_object, "__dict__", {})
        if not _is_private(name, type(their_object)) and not hasattr(our_object, name)
    ]
    if missing:
        raise Misfit(f"it has attributes that ours has not: {', '.join(missing)}")
    return ours


def _fit_class(theirs: type, ours: type) -> type:
    if theirs.__subclasses__():
        raise Misfit("a class of yours derives from it")
    bases = [base.__name__ for base in theirs.__mro__[1:] if base not in ours.__mro__]
    if bases:
        raise Misfit(f"it derives from {', '.join(bases)}")
    if type(theirs) is not type(ours):
        raise Misfit(f"its metaclass is {type(theirs).__name__}")
    for name, value in vars(theirs).items():  # that is all there is: its bases are ours too
        if name in _BY_PYTHON or name == "__init__" or _is_private(name, theirs):
            continue
        mine = getattr(ours, name, None)
        methods = inspect.isfunction(value) and inspect.isfunction(mine)
        if not (methods and _same_calls(value, mine)):
            kind = "method" if inspect.isfunction(value) else "attribute"
            raise Misfit(f"its {kind} {name} is not like ours")
    signature = inspect.signature(theirs.__init__)  # type: ignore[misc]
    if _same_calls(theirs.__init__, ours.__init__):  # type: ignore[misc]
        return ours
    if not _same_calls(theirs.__init__, ours.__init__, defaults=False):  # type: ignore[misc]
        raise Misfit("its constructor takes other arguments")

    class WithTheirDefaults(ours):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            super().__init__(*bound.args[1:], **bound.kwargs)

    WithTheirDefaults.__name__ = WithTheirDefaults.__qualname__ = ours.__name__
    WithTheirDefaults.__doc__ = ours.__doc__
    return WithTheirDefaults


def _is_private(name: str, cls: type) -> bool:
    """Tell whether a name is one that the source of cls writes as __name: nobody else sees it."""
    return name.startswith(f"_{cls.__name__.lstrip('_')}__")


def _same_calls(theirs: Any, ours: Any, defaults: bool = True) -> bool:
    """Tell whether ours takes every call that theirs takes, and means the same by it.

    Names of required arguments may differ (they are passed by position, and a keyword that is
    unknown fails loudly); names and values of defaults may not.
    """
    if not callable(ours):
        return False
    mine = list(inspect.signature(ours).parameters.values())
    yours = list(inspect.signature(theirs).parameters.values())
    if len(yours) > len(mine) or any(p.default is p.empty for p in mine[len(yours) :]):
        return False
    for your, my in zip(yours, mine, strict=False):
        if your.kind != my.kind:
            return False
        if your.default is your.empty:
            continue
        if your.name != my.name or (defaults and repr(your.default) != repr(my.default)):
            return False
    return True


def _run(thing: Any, probe: Probe) -> tuple[list[Any], Any]:
    """Run a probe without a trace: its prints are dropped and NumPy's generator is put back."""
    state = np.random.get_state()
    try:
        np.random.seed(1)
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            return probe(thing)
    finally:
        np.random.set_state(state)


def _try(thing: Callable[..., Any], probe: Probe, whose: str) -> tuple[list[Any], Any]:
    try:
        return _run(thing, probe)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise Misfit(f"{whose} fails on a small example with {what}") from error


def _same_results(expected: list[Any], got: list[Any]) -> bool:
    for theirs, ours in zip(expected, got, strict=True):
        a, b = np.asarray(theirs), np.asarray(ours)
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if not np.allclose(a, b, _RTOL, _ATOL, equal_nan=True):
            return False
    return True
