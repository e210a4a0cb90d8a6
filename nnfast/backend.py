"""Which implementation the public functions call: the compiled one or its NumPy twin.

This is the only module that imports ``nnfast._core``. The choice belongs to the current context
(a thread or an asyncio task), so that one thread may check against the reference while others run
at full speed. A new thread starts with the default: ``NNFAST_BACKEND``, else "native".
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as _numpy  # here: from inside the start of _core it would take 20 ms more

BACKENDS = ("native", "reference")
_SETTINGS = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}  # a user's own decision stands


def _import_core() -> Any:
    """Import the compiled part with threads that soon sleep when they have nothing to do.

    libgomp reads its settings when it is loaded. By default a thread that waits spins for
    milliseconds first; on a machine with other work, that takes the CPU from the very threads that
    are waited for (a training step on 2 busy cores: six times slower). 5,000 rounds are 0.1 ms.
    """
    own = "nnfast._core" not in sys.modules and _SETTINGS.isdisjoint(os.environ)
    if own:
        os.environ["GOMP_SPINCOUNT"] = "5000"
    try:
        from . import _core
    finally:
        if own:
            os.environ.pop("GOMP_SPINCOUNT", None)
    return _core


def _load(name: str, source: str) -> Any:
    """Import the backend of this name; `source` says where the name came from."""
    if name == "native":
        try:
            _core = _import_core()
        except ImportError as error:
            raise ImportError(
                "nnfast's compiled part, nnfast._core, cannot be imported. If this is the source "
                "folder, build it first (`pip install .` or `make dev`) and see that the "
                "installed package is found before the folder; or set NNFAST_BACKEND=reference "
                "to run on NumPy alone."
            ) from error
        return _core
    if name == "reference":
        from . import reference

        return reference
    raise ValueError(f"{source} must be one of {', '.join(map(repr, BACKENDS))}, got {name!r}")


_default = _load(os.environ.get("NNFAST_BACKEND") or "native", "NNFAST_BACKEND")
_current: ContextVar[Any] = ContextVar("nnfast_backend", default=_default)

# The module whose functions do the work; asked on every call, hence no wrapper around it.
active: Callable[[], Any] = _current.get


def _are_ready(values: tuple[Any, ...]) -> bool:
    dtype = None
    for value in values:
        if value is None:
            continue
        if type(value) is not _numpy.ndarray or not value.flags.carray:
            return False
        if dtype is None:
            dtype = value.dtype
        elif value.dtype is not dtype:
            return False
    return dtype in (_numpy.float32, _numpy.float64)


# Whether all arguments but None can be computed with as they are; for want of the compiled answer,
# one that is slower and cautious. Asked on every call too.
are_ready: Callable[[tuple[Any, ...]], bool] = getattr(_default, "runtime_are_ready", _are_ready)


def native() -> Any:
    """Return the compiled module, whichever backend is in use.

    Raises
    ------
    ImportError
        If it cannot be imported; the message says what to do.
    """
    return _load("native", "name")


def get_backend() -> str:
    """Return the name of the backend in use here: "native" or "reference"."""
    return "native" if active().__name__.endswith("._core") else "reference"


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run the body of a ``with`` statement on the backend of this name.

    Parameters
    ----------
    name : {"native", "reference"}
        The compiled kernels, or their twins in pure NumPy.

    Raises
    ------
    ValueError
        If there is no such backend.

    Examples
    --------
    >>> with nnfast.use_backend("reference"):
    ...     y = nnfast.functional.relu(x)
    """
    token = _current.set(_load(name, "name"))
    try:
        yield
    finally:
        _current.reset(token)
