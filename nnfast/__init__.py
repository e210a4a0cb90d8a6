"""Neural-network layers on plain NumPy arrays, at C speed."""

from . import functional
from .backend import get_backend, use_backend

__all__ = ["functional", "get_backend", "use_backend"]
