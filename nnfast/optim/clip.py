"""Clipping of gradients, for recurrent networks above all."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from nnfast.layers.checks import number
from nnfast.layers.parameter import Parameter
from nnfast.layers.rowgradient import RowGradient


def clip_grad_norm_(params: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients down together, in place, if their joint L2 norm is above `max_norm`.

    Parameters
    ----------
    params : iterable of Parameter
        As given to the optimizer. Those that are frozen or have no gradient are passed over.
    max_norm : float

    Returns
    -------
    float
        The norm before: above `max_norm` the gradients were scaled, by the same factor as in
        PyTorch. If it is infinite or NaN the gradients are useless, and the step is best left out.

    Raises
    ------
    TypeError, ValueError
        A `max_norm` that is no number, or negative.

    References
    ----------
    Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.

    Examples
    --------
    >>> import numpy as np, nnfast as nn
    >>> weight = nn.Parameter(np.zeros(2, np.float32))
    >>> weight.grad = np.array([3, 4], np.float32)
    >>> nn.optim.clip_grad_norm_([weight], 1.0)
    5.0
    >>> weight.grad.round(3).tolist()
    [0.6, 0.8]
    """
    most = number("max_norm", max_norm)
    distinct = {id(p): p.grad for p in params if p.grad is not None and p.requires_grad}
    arrays = [g.values if isinstance(g, RowGradient) else g for g in distinct.values()]
    norm = math.sqrt(sum(float(np.vdot(array, array)) for array in arrays))
    scale = most / (norm + 1e-6)
    if not scale >= 1:
        for array in arrays:
            array *= array.dtype.type(scale)
    return norm
