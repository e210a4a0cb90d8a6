"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

from nnfast import functional as F
from nnfast.layers.parameter import Array, Parameter
from nnfast.optim.base import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with (Nesterov) momentum.

    ``v = momentum * v + grad; data -= lr * v``; Nesterov's form goes by ``grad + momentum * v``.
    Sutskever et al., "On the importance of initialization and momentum", ICML 2013.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Learning rate.
    momentum : float, 0 to 1 (1 not included)
    nesterov : bool
        Needs a momentum.
    weight_decay : float
        L2 penalty; ``weight_decay * data`` is added to the gradient.
    """

    settings: ClassVar = {"lr": math.inf, "momentum": 1.0, "weight_decay": math.inf}

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if nesterov and not momentum:
            raise ValueError(f"nesterov must go with a momentum above 0, got {momentum!r}")
        self.momentum: float
        self.nesterov: bool
        self.weight_decay: float
        super().__init__(
            params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )

    @property
    def slots(self) -> tuple[str, ...]:
        """The velocity, if there is a momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def _rests_at_zero(self) -> bool:
        return not self.momentum and not self.weight_decay

    def _update(self, data: Array, grad: Array, state: tuple[Array, ...], step: int) -> None:
        if state:
            rest = (self.momentum, self.weight_decay, self.nesterov)
            F.momentum_update(data, grad, state[0], self.lr, *rest)
        else:
            F.sgd_update(data, grad, self.lr, self.weight_decay)
