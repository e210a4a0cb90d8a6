"""Parameter: an array that is learned, together with its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import init

Array = npt.NDArray[Any]


class Parameter:
    """A learned array with its gradient.

    Parameters
    ----------
    data : ndarray of float32 or float64
        The weights. Optimizers change this array in place.
    requires_grad : bool
        False freezes it: no gradient is stored and optimizers pass over it.
    name : str
        Used in error messages.

    Attributes
    ----------
    data : ndarray
        The weights; drawn on first access if the parameter was made by `Parameter.drawn`.
    grad : ndarray or None
        The gradient of the **latest** forward pass; None before the first backward. A new pass
        overwrites it, there is nothing to reset between steps. Only where several layers share one
        parameter are their gradients added up, within that pass.
    """

    __slots__ = ("_draw", "_in_pass", "data", "dtype", "grad", "name", "requires_grad", "shape")

    data: Array

    def __init__(self, data: Array, requires_grad: bool = True, name: str = "parameter") -> None:
        if not isinstance(data, np.ndarray) or data.dtype not in (np.float32, np.float64):
            got = getattr(data, "dtype", type(data).__name__)
            raise TypeError(f"data must be an array of float32 or float64, got {got}")
        self.data = data
        self._set(data.shape, data.dtype, None, name)
        self.requires_grad = requires_grad

    def _set(self, shape: tuple[int, ...], dtype: Any, draw: Any, name: str) -> None:
        self.shape, self.dtype, self._draw, self.name = shape, np.dtype(dtype), draw, name
        self.grad: Array | None = None
        self.requires_grad = True
        self._in_pass = False  # has the latest forward pass stored its gradient already?

    @classmethod
    def drawn(
        cls,
        shape: tuple[int, ...],
        how: init.Initializer | str,
        rng: np.random.Generator | int | None = None,
        dtype: npt.DTypeLike = np.float32,
        name: str = "weight",
    ) -> Parameter:
        """Make a parameter from an initialiser, at once if `rng` is given, else when it is."""
        self = cls.__new__(cls)
        self._set(shape, init.float_dtype(dtype), init.get(how), name)
        if rng is not None:
            self.draw(rng)
        return self

    def draw(self, rng: np.random.Generator | int | None = None) -> None:
        """Initialise the weights from `rng`, unless that has happened already."""
        if self._draw is not None:
            how, self._draw = self._draw, None
            self.data = how(self.shape, np.random.default_rng(rng), self.dtype)

    def __getattr__(self, name: str) -> Any:
        # Reached only while the slot `data` is still empty: the first look draws the weights.
        if name == "data" and self._draw is not None:
            self.draw()
            return self.data
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def astype(self, dtype: npt.DTypeLike) -> None:
        """Change the precision: a new `data` array unless it is the same; drops the gradient."""
        self.dtype = init.float_dtype(dtype)
        if self._draw is None:
            self.data = self.data.astype(self.dtype, copy=False)
        self.grad = None

    def expect(self) -> Array:
        """Return the weights to a forward pass: from here on a new gradient is awaited."""
        self._in_pass = False
        return self.data

    def collect(self, grad: Array) -> None:
        """Store the gradient of the pass; added if another layer of this pass has stored one.

        Raises
        ------
        ValueError, TypeError
            The gradient has another shape or dtype than the weights.
        """
        if not self.requires_grad:
            return
        if grad.shape != self.shape:
            raise ValueError(f"gradient of {self.name} must be {self.shape}, got {grad.shape}")
        if grad.dtype != self.dtype:
            raise TypeError(
                f"gradient of {self.name} must be {self.dtype}, got {grad.dtype}; "
                f"give backward a {self.dtype} dout"
            )
        grad = np.asarray(grad)
        self.grad = self.grad + grad if self._in_pass and self.grad is not None else grad
        self._in_pass = True

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy:
            return np.array(self.data, dtype=dtype)
        return np.asarray(self.data, dtype=dtype)

    def __repr__(self) -> str:
        frozen = "" if self.requires_grad else ", frozen"
        return f"Parameter({self.name}, shape={self.shape}, dtype={self.dtype}{frozen})"
