"""Parameter: an array that is learned, together with its gradient."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import init
from nnfast.layers.rowgradient import RowGradient

Array = npt.NDArray[Any]
_drawing = threading.RLock()  # threads that share a layer get the same weights


class Parameter:
    """A learned array with its gradient.

    A layer of your own has two duties: its forward takes the weights by `expect`, so that a new
    gradient begins, and its backward hands the gradient to `collect`. A forward that reads `data`
    instead lets the gradients of all passes add up; `nnfast.testing.check_gradients` finds that.

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
    grad : ndarray, RowGradient or None
        The gradient of the **latest** forward pass; None before the first backward. A new pass
        overwrites it, there is nothing to reset between steps. Only where several layers share one
        parameter are their gradients added up, within that pass. It is a `RowGradient` where a
        layer was asked for sparse gradients.
    """

    __slots__ = ("_draw", "_form", "_in_pass", "data", "grad", "name", "requires_grad")

    data: Array

    def __init__(self, data: Array, requires_grad: bool = True, name: str = "parameter") -> None:
        if not isinstance(data, np.ndarray) or data.dtype not in (np.float32, np.float64):
            got = getattr(data, "dtype", type(data).__name__)
            raise TypeError(f"data must be an array of float32 or float64, got {got}")
        if not data.flags.c_contiguous:
            raise ValueError(
                "data must be C-contiguous, as it is changed in place; "
                "pass np.ascontiguousarray(data)"
            )
        self.data = data
        self.grad: Array | RowGradient | None = None
        self.requires_grad = requires_grad
        self.name = name
        self._in_pass = False  # has the latest forward pass stored its gradient already?
        self._draw: init.Initializer | None = None  # with _form: how to fill an empty `data`
        self._form = (data.shape, data.dtype)

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
        self = cls(np.empty(0, init.float_dtype(dtype)), name=name)
        del self.data
        self._draw, self._form = init.get(how), (shape, np.dtype(dtype))
        if rng is not None:
            self.draw(rng)
        return self

    def draw(self, rng: np.random.Generator | int | None = None) -> None:
        """Initialise the weights from `rng`, unless they are there already."""
        with _drawing:
            if self._is_drawn() or self._draw is None:
                return
            shape, dtype = self._form
            data = np.require(
                self._draw(shape, np.random.default_rng(rng), dtype), dtype, ["C", "W"]
            )
            if data.shape != shape:
                raise ValueError(f"init must return shape {shape}, got {data.shape}")
            self.data, self._draw = data, None

    def _is_drawn(self) -> bool:
        try:
            object.__getattribute__(self, "data")
        except AttributeError:
            return False
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weights, drawn or not."""
        return self.data.shape if self._is_drawn() else self._form[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the weights, drawn or not."""
        return self.data.dtype if self._is_drawn() else self._form[1]

    def __getattr__(self, name: str) -> Any:
        # Reached only while the slot `data` is still empty: the first look draws the weights.
        if name == "data":
            self.draw()
            if self._is_drawn():
                return self.data
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def astype(self, dtype: npt.DTypeLike) -> None:
        """Change the precision: a new `data` array unless it is the same; drops the gradient."""
        self._form = (self.shape, init.float_dtype(dtype))
        if self._is_drawn():
            self.data = self.data.astype(self._form[1], copy=False)
        self.grad = None

    def expect(self) -> Array:
        """Return the weights to a forward pass: from here on a new gradient is awaited.

        Every forward has to call it; elsewhere, as in backward, read `data`.
        """
        self._in_pass = False
        return self.data

    def collect(self, grad: Array | RowGradient) -> None:
        """Store the gradient of the pass; added if another layer of this pass has stored one.

        Raises
        ------
        ValueError, TypeError
            The gradient has another shape or dtype than the weights.
        """
        if not self.requires_grad:
            return
        data = self.data
        if grad.shape != data.shape:
            raise ValueError(f"gradient of {self.name} must be {data.shape}, got {grad.shape}")
        if grad.dtype != data.dtype:
            raise TypeError(
                f"gradient of {self.name} must be {data.dtype}, got {grad.dtype}; "
                f"give backward a {data.dtype} dout"
            )
        if type(grad) is not np.ndarray and not isinstance(grad, RowGradient):
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
