"""Losses: called with predictions and targets; `backward()` starts the way back.

The precision is that of the predictions: targets and weights are cast to it.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast.layers.base import Step
from nnfast.layers.checks import REDUCTIONS, number, one_of
from nnfast.layers.parameter import Array


def _like(target: npt.ArrayLike, x: Array) -> Array:
    """Return floating-point targets in the precision of the predictions, others as they are."""
    array: Array = np.asarray(target)
    return array.astype(x.dtype, copy=False) if array.dtype.kind == "f" else array


class CrossEntropyLoss(Step):
    """Softmax followed by cross-entropy, on raw scores.

    Parameters
    ----------
    class_weight : array of shape (C,), optional
        A weight for each class; goes with integer labels.
    ignore_index : int
        Samples with this label count neither in the loss nor in the mean.
    label_smoothing : float, 0 to 1
        Share of the target spread evenly over all classes. Szegedy et al., CVPR 2016.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the sum of the weights of the samples that count.

    Raises
    ------
    TypeError, ValueError
        An option of the wrong kind or out of range.
    """

    def __init__(
        self,
        class_weight: npt.ArrayLike | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        self.class_weight = None if class_weight is None else np.asarray(class_weight)
        if self.class_weight is not None and self.class_weight.ndim != 1:
            raise ValueError(f"class_weight must have shape (C,), got {self.class_weight.shape}")
        self.ignore_index = operator.index(ignore_index)
        self.label_smoothing = number("label_smoothing", label_smoothing, most=1.0)
        self.reduction: str = one_of("reduction", reduction, REDUCTIONS)

    def __call__(
        self, x: Array, target: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Any:
        """Do `forward`."""
        return self.forward(x, target, sample_weight)

    def forward(
        self, x: Array, target: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Any:
        """Compute the loss.

        Parameters
        ----------
        x : array, shape (N, C)
            Scores before softmax.
        target : array
            Integer labels (N,) or probabilities (N, C).
        sample_weight : array, shape (N,), optional
            A weight for each sample.

        Returns
        -------
        NumPy scalar of x's dtype, or array (N,) for ``reduction="none"``.

        Raises
        ------
        TypeError, ValueError
            Shapes that do not fit, or a label that is neither a class nor `ignore_index`.
        """
        x, target = np.asarray(x), _like(target, x)
        weight = None if sample_weight is None else np.asarray(sample_weight, x.dtype)
        if self.class_weight is not None:
            own = self._weigh(x, target, self.class_weight)
            weight = own if weight is None else own * weight
        options = (self.ignore_index, self.label_smoothing, self.reduction)
        loss, lse = F.cross_entropy(x, target, weight, *options)
        self._saved = (x, target, lse, weight)
        return loss

    def _weigh(self, x: Array, target: Array, classes: Array) -> Array:
        """Return the weight of the class of each sample."""
        if target.ndim != 1 or target.dtype.kind not in "iu":
            raise ValueError("target must be integer labels (N,) to go with class_weight")
        if x.ndim != 2 or classes.shape != x.shape[1:]:
            raise ValueError(f"class_weight must fit x of shape {x.shape}, got {classes.shape}")
        known = np.clip(target, 0, len(classes) - 1)  # bad labels are named by F.cross_entropy
        weight: Array = classes[known].astype(x.dtype, copy=False)
        return weight

    def backward(self, dloss: float | Array = 1.0) -> Array:
        """Return the gradient with respect to x, (N, C); `dloss` is that of the loss."""
        x, target, lse, weight = self._take()
        options = (self.ignore_index, self.label_smoothing, self.reduction)
        return F.cross_entropy_backward(x, target, lse, weight, *options, dloss)

    def __repr__(self) -> str:
        parts = [f"ignore_index={self.ignore_index}"] if self.ignore_index != -100 else []
        if self.label_smoothing:
            parts.append(f"label_smoothing={self.label_smoothing:g}")
        if self.reduction != "mean":
            parts.append(f"reduction={self.reduction!r}")
        return f"CrossEntropyLoss({', '.join(parts)})"


class MSELoss(Step):
    """Mean (or sum) of ``(x - target)**2``.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction: str = one_of("reduction", reduction, REDUCTIONS)

    def __call__(self, x: Array, target: npt.ArrayLike) -> Any:
        """Do `forward`."""
        return self.forward(x, target)

    def forward(self, x: Array, target: npt.ArrayLike) -> Any:
        """Compute the loss of x and target, of one shape; "none" returns an array of that shape."""
        target = _like(target, x)
        loss = F.mse_loss(x, target, self.reduction)
        self._saved = (x, target)
        return loss

    def backward(self, dloss: float | Array = 1.0) -> Array:
        """Return the gradient with respect to x; `dloss` is that of the loss."""
        x, target = self._take()
        return F.mse_loss_backward(x, target, self.reduction, dloss)

    def __repr__(self) -> str:
        return f"MSELoss({'' if self.reduction == 'mean' else f'reduction={self.reduction!r}'})"
