"""Optimizers that scale each step by the size of past gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

from nnfast import functional as F
from nnfast.layers.parameter import Array, Parameter
from nnfast.optim.base import Optimizer


class AdaGrad(Optimizer):
    """Divides by the root of the sum of all squared gradients. Duchi, Hazan & Singer, JMLR 2011.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Learning rate.
    eps : float
        Added to the root.
    weight_decay : float
        L2 penalty; ``weight_decay * data`` is added to the gradient.
    """

    slots = ("sum_sq",)
    settings: ClassVar = {"lr": math.inf, "eps": math.inf, "weight_decay": math.inf}

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        self.eps: float
        self.weight_decay: float
        super().__init__(params, lr=lr, eps=eps, weight_decay=weight_decay)

    @property
    def _rests_at_zero(self) -> bool:
        return not self.weight_decay and self.eps > 0  # 0 / 0 where there was no gradient yet

    def _update(self, data: Array, grad: Array, state: tuple[Array, ...], step: int) -> None:
        F.adagrad_update(data, grad, state[0], self.lr, self.eps, self.weight_decay)


class RMSprop(Optimizer):
    """Divides by the root of a running mean of squared gradients. Tieleman & Hinton, 2012.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Learning rate.
    alpha : float, 0 to 1 (1 not included)
        How much of the running mean is kept.
    eps : float
        Added to the root.
    weight_decay : float
        L2 penalty; ``weight_decay * data`` is added to the gradient.
    """

    slots = ("mean_sq",)
    settings: ClassVar = {"lr": math.inf, "alpha": 1.0, "eps": math.inf, "weight_decay": math.inf}

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha: float
        self.eps: float
        self.weight_decay: float
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)

    def _update(self, data: Array, grad: Array, state: tuple[Array, ...], step: int) -> None:
        F.rmsprop_update(data, grad, state[0], self.lr, self.alpha, self.eps, self.weight_decay)


class Adadelta(Optimizer):
    """Steps in the units of the weights: running means of gradients and of steps. Zeiler, 2012.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Scales the step; 1 in the paper.
    rho : float, 0 to 1 (1 not included)
        How much of the running means is kept.
    eps : float
        Added under both roots.
    weight_decay : float
        L2 penalty; ``weight_decay * data`` is added to the gradient.
    """

    slots = ("mean_sq", "mean_delta_sq")
    settings: ClassVar = {"lr": math.inf, "rho": 1.0, "eps": math.inf, "weight_decay": math.inf}

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        self.rho: float
        self.eps: float
        self.weight_decay: float
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def _update(self, data: Array, grad: Array, state: tuple[Array, ...], step: int) -> None:
        mean, delta = state
        F.adadelta_update(data, grad, mean, delta, self.lr, self.rho, self.eps, self.weight_decay)
