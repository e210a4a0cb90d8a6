"""Neural-network layers on plain NumPy arrays, at C speed.

Layers, optimizers and initialisers are here or in `nnfast.optim` and `nnfast.init`; the same
operations as functions on arrays are in `nnfast.functional`, in pure NumPy in `nnfast.reference`.
"""

from typing import Any

from nnfast import functional, init, layers, optim
from nnfast.backend import get_backend, use_backend
from nnfast.layers import *  # noqa: F403

__all__ = [
    "functional",
    "get_backend",
    "init",
    "layers",
    "optim",
    "use_backend",
    *layers.__all__,
]

_ON_DEMAND = ("backend", "compat", "datasets", "demo", "models", "reference", "runtime", "testing")


def __getattr__(name: str) -> Any:
    """Import on first use what a training loop does not need."""
    if name == "__version__":
        from importlib.metadata import version

        return version("nnfast")
    if name in _ON_DEMAND:
        from importlib import import_module

        return import_module(f"nnfast.{name}")
    if name == "threads":
        return __getattr__("runtime").threads
    raise AttributeError(f"module 'nnfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND, "threads", "__version__"})
