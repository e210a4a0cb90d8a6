"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

from nnfast import functional as F
from nnfast.layers.parameter import Parameter
from nnfast.optim.base import Arrays, Optimizer


class Adam(Optimizer):
    """Running means of gradient and squared gradient. Kingma & Ba, "Adam", ICLR 2015.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Learning rate.
    beta1, beta2 : float, 0 to 1 (1 not included)
        How much is kept of the running mean of the gradient, and of its square.
    eps : float
        Added to the root.
    weight_decay : float
        L2 penalty; ``weight_decay * data`` is added to the gradient.
    """

    slots = ("m", "v")
    settings: ClassVar = {
        "lr": math.inf,
        "beta1": 1.0,
        "beta2": 1.0,
        "eps": math.inf,
        "weight_decay": math.inf,
    }

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.beta1: float
        self.beta2: float
        self.eps: float
        self.weight_decay: float
        super().__init__(
            params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay
        )

    def _update(self, step: int, data: Arrays, grad: Arrays, state: list[Arrays]) -> None:
        m, v = state
        rest = (self.lr, self.beta1, self.beta2, self.eps, self.weight_decay)
        F.adam_update(data, grad, m, v, step, *rest)


class AdamW(Adam):
    """Adam with decoupled weight decay: ``data *= 1 - lr * weight_decay`` before each step.

    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. Parameters are those of
    `Adam`; `weight_decay` is 0.01 by default.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, beta1, beta2, eps, weight_decay)

    def _update(self, step: int, data: Arrays, grad: Arrays, state: list[Arrays]) -> None:
        m, v = state
        rest = (self.lr, self.beta1, self.beta2, self.eps, self.weight_decay)
        F.adamw_update(data, grad, m, v, step, *rest)
