"""Losses: called with predictions and targets; `backward()` starts the way back.

The precision is that of the predictions: targets and weights are cast to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfast import functional as F
from nnfast.functional._cast import one
from nnfast.layers.base import Step
from nnfast.layers.checks import REDUCTIONS, number, one_of, whole
from nnfast.layers.parameter import Array


def _like(target: npt.ArrayLike, x: Array) -> Array:
    """Return floating-point targets in the precision of the predictions, others as they are."""
    array: Array = np.asarray(target)
    return array.astype(x.dtype, copy=False) if array.dtype.kind == "f" else array


def _over(value: Any, divisor: Any) -> Any:
    """Return a value over the sum of the weights; NaN if nothing counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(value / divisor, np.asarray(value).dtype)[()]


class CrossEntropyLoss(Step):
    """Softmax followed by cross-entropy, on raw scores.

    Parameters
    ----------
    class_weight : array of shape (C,), optional
        A weight for each class; goes with integer labels. With label smoothing each class has its
        own weight in what is spread, as in PyTorch.
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
        self.ignore_index = whole("ignore_index", ignore_index)
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
        x = one("x", x)
        target = _like(target, x)
        weight = None if sample_weight is None else np.asarray(sample_weight, x.dtype)
        smoothing, reduction, divisor = self.label_smoothing, self.reduction, None
        if self.class_weight is not None:
            own = self._weigh(x, target, self.class_weight)
            total = own if weight is None else own * weight
            if smoothing:
                ignored = target == self.ignore_index
                x = np.where(ignored[:, np.newaxis], 0, x)  # whatever their scores are
                if reduction == "mean":
                    reduction, divisor = "sum", np.sum(total[~ignored], dtype=np.float64)
                target, smoothing = self._smoothed(x, target, self.class_weight), 0.0
            else:
                weight = total
        options = (self.ignore_index, smoothing, reduction)
        loss, lse = F.cross_entropy(x, target, weight, *options)
        self._saved = (x, target, lse, weight, options, divisor)
        return loss if divisor is None else _over(loss, divisor)

    def _weigh(self, x: Array, target: Array, classes: Array) -> Array:
        """Return the weight of the class of each sample."""
        if target.ndim != 1 or target.dtype.kind not in "iu":
            raise ValueError("target must be integer labels (N,) to go with class_weight")
        if x.ndim != 2 or classes.shape != x.shape[1:]:
            raise ValueError(f"class_weight must fit x of shape {x.shape}, got {classes.shape}")
        if target.shape != x.shape[:1]:
            raise ValueError(f"target must have shape {x.shape[:1]} to fit x, got {target.shape}")
        known = np.clip(target, 0, len(classes) - 1)  # bad labels are named by F.cross_entropy
        weight: Array = classes[known].astype(x.dtype, copy=False)
        return weight

    def _smoothed(self, x: Array, target: Array, classes: Array) -> Array:
        """Return smoothed labels as rows (N, C), each class times its weight."""
        known = np.clip(target, 0, len(classes) - 1)
        bad = (known != target) & (target != self.ignore_index)
        if bad.any():
            at = int(np.argmax(bad))
            raise ValueError(
                f"target must hold labels from 0 to {len(classes) - 1} or ignore_index "
                f"{self.ignore_index}, got {target[at]} at position {at}"
            )
        rows = np.full(x.shape, self.label_smoothing / len(classes), x.dtype)
        rows[np.arange(len(rows)), known] += 1 - self.label_smoothing
        rows[target == self.ignore_index] = 0
        weighted: Array = rows * classes.astype(x.dtype)
        return weighted

    def backward(self, dloss: float | Array = 1.0) -> Array:
        """Return the gradient with respect to x, (N, C); `dloss` is that of the loss."""
        x, target, lse, weight, (ignore_index, smoothing, reduction), divisor = self._take()
        dloss = dloss if divisor is None else _over(dloss, divisor)
        options = (ignore_index, smoothing, reduction, dloss)
        return F.cross_entropy_backward(x, target, lse, weight, *options)

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
        x = one("x", x)
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
