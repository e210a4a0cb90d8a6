"""The batch normalisation of the book's ``common.layers``, on rows of features."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ... import functional as F
from ._promote import Array, as_dtype, as_row, promote


class BatchNormalization:
    """Batch normalisation per feature (Ioffe and Szegedy, 2015); 4-D input has C*H*W features."""

    _EPS = 10e-7

    def __init__(
        self,
        gamma: Any,
        beta: Any,
        momentum: float = 0.9,
        running_mean: Array | None = None,
        running_var: Array | None = None,
    ) -> None:
        self.gamma = gamma
        self.beta = beta
        self.momentum = momentum
        self.input_shape: tuple[int, ...] | None = None
        self.running_mean: Any = running_mean
        self.running_var: Any = running_var
        self.batch_size: int | None = None
        self.dgamma: Array | None = None
        self.dbeta: Array | None = None
        self._x: Any = None
        self._mean: Any = None
        self._var: Any = None

    @cached_property
    def xc(self) -> Any:
        """The last training batch less its mean."""
        return None if self._x is None else self._x - self._mean

    @cached_property
    def std(self) -> Any:
        """Standard deviation of each feature in the last training batch, epsilon included."""
        return None if self._x is None else np.sqrt(self._var + self._EPS)

    @cached_property
    def xn(self) -> Any:
        """The last training batch, normalised."""
        return None if self._x is None else self.xc / self.std

    def forward(self, x: Array, train_flg: bool = True) -> Array:
        """Normalise by the batch in training (and update the running values), else by those."""
        self.input_shape = x.shape
        rows = x.reshape(x.shape[0], -1)
        features = rows.shape[1]
        if self.running_mean is None:
            self.running_mean = np.zeros(features)
            self.running_var = np.zeros(features)
        scale = as_row(self.gamma, features), as_row(self.beta, features)
        if train_flg:
            (values, gamma, beta), dtype = promote(rows, *scale)
            out, mean, var = F.batch_norm(values, gamma, beta, self._EPS)
            self._keep(rows, mean, var)
        else:
            running = as_row(self.running_mean, features), as_row(self.running_var, features)
            (values, mean, var, gamma, beta), dtype = promote(rows, *running, *scale)
            out = F.batch_norm_inference(values, mean, var, gamma, beta, self._EPS)
        return as_dtype(out, dtype).reshape(x.shape)

    def _keep(self, x: Array, mean: Array, var: Array) -> None:
        """Keep what backward needs, and move the running values."""
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        self._x, self._mean, self._var = x, as_dtype(mean, dtype), as_dtype(var, dtype)
        self.batch_size = x.shape[0]
        for name in ("xc", "std", "xn"):
            self.__dict__.pop(name, None)
        old, new = self.momentum, 1 - self.momentum
        self.running_mean = old * self.running_mean + new * self._mean
        self.running_var = old * self.running_var + new * self._var

    def backward(self, dout: Array) -> Array:
        """Fill dgamma and dbeta, give the gradient of the input in the input's shape."""
        rows = dout.reshape(dout.shape[0], -1)
        get = vars(self).get
        if not (get("xc") is get("std") is get("xn") is None):
            return self._backward_by_hand(rows)
        if self._x is None:
            raise RuntimeError("BatchNormalization.backward was called before forward")
        gamma = as_row(self.gamma, rows.shape[1])
        (dy, x, mean, var, gamma), dtype = promote(rows, self._x, self._mean, self._var, gamma)
        dx, dgamma, dbeta = F.batch_norm_backward(dy, x, mean, var, gamma, self._EPS)
        self.dgamma = as_dtype(dgamma, np.result_type(rows.dtype, self._mean.dtype))
        self.dbeta = as_dtype(dbeta, rows.dtype)
        return as_dtype(dx, dtype).reshape(self.input_shape)

    def _backward_by_hand(self, dout: Array) -> Array:
        """Do the same as the book, with xc, std and xn, which were read or set by hand."""
        self.dgamma = np.sum(self.xn * dout, axis=0)
        self.dbeta = np.sum(dout, axis=0)
        dxn = self.gamma * dout
        dstd = -np.sum(dxn * self.xc, axis=0) / self.std**2
        dxc = dxn / self.std + self.xc * (dstd / (self.std * self.batch_size))
        return (dxc - np.sum(dxc, axis=0) / self.batch_size).reshape(self.input_shape)
