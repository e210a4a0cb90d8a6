"""One step of an optimizer on a parameter array, or on several at once.

param and the state are changed in place, hence never cast or copied: they must be writable
C-contiguous arrays of float32 or float64, all of one dtype and shape, no two overlapping. grad is
only read and has their dtype and shape. Where papers differ, the formulas are those of PyTorch.

To update several parameters by one call, give lists or tuples of arrays, one as long as the other:
``adam_update([w, b], [dw, db], [m_w, m_b], [v_w, v_b], step)``. The parameters may differ in shape
and dtype. The numbers are those of a call for each; small parameters take less time this way.

All functions return None, and raise

- TypeError if an array is no NumPy array of float32 or float64, or the dtypes differ;
- ValueError if the shapes differ, an array cannot be written to, two share memory, or a number is
  out of range. Nothing is changed then.
"""

from ..backend import active
from ._cast import ArrayLikes, Arrays, gradients


def sgd_update(param: Arrays, grad: ArrayLikes, lr: float, weight_decay: float = 0.0) -> None:
    """Gradient descent: ``param -= lr * (grad + weight_decay * param)``.

    Parameters
    ----------
    param : ndarray or sequence of ndarray
        Updated in place.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    lr : float
        Learning rate, not negative.
    weight_decay : float
        Factor of the L2 penalty's gradient, not negative.
    """
    active().sgd_update(param, gradients(param, grad), lr, weight_decay)


def momentum_update(
    param: Arrays,
    grad: ArrayLikes,
    velocity: Arrays,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Momentum (Polyak, 1964; Nesterov, 1983; in this form Sutskever et al., 2013).

    ``velocity = momentum * velocity + grad``, then ``param -= lr * velocity``, or with Nesterov's
    look-ahead ``param -= lr * (grad + momentum * velocity)``.

    Parameters
    ----------
    param, velocity : ndarray or sequence of ndarray
        Updated in place; velocity starts as zeros.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    lr, momentum, weight_decay : float
        Not negative.
    nesterov : bool
        Whether to look ahead.
    """
    active().momentum_update(
        param, gradients(param, grad), velocity, lr, momentum, weight_decay, nesterov
    )


def adagrad_update(
    param: Arrays,
    grad: ArrayLikes,
    sum_sq: Arrays,
    lr: float,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> None:
    """AdaGrad (Duchi, Hazan and Singer, 2011).

    ``sum_sq += grad**2``, then ``param -= lr * grad / (sqrt(sum_sq) + eps)``.

    Parameters
    ----------
    param, sum_sq : ndarray or sequence of ndarray
        Updated in place; sum_sq starts as zeros.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    lr, eps, weight_decay : float
        Not negative.
    """
    active().adagrad_update(param, gradients(param, grad), sum_sq, lr, eps, weight_decay)


def rmsprop_update(
    param: Arrays,
    grad: ArrayLikes,
    mean_sq: Arrays,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """RMSprop (Tieleman and Hinton, 2012).

    ``mean_sq = alpha * mean_sq + (1 - alpha) * grad**2``, then
    ``param -= lr * grad / (sqrt(mean_sq) + eps)``.

    Parameters
    ----------
    param, mean_sq : ndarray or sequence of ndarray
        Updated in place; mean_sq starts as zeros.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    lr, eps, weight_decay : float
        Not negative.
    alpha : float
        In [0, 1].
    """
    active().rmsprop_update(param, gradients(param, grad), mean_sq, lr, alpha, eps, weight_decay)


def adadelta_update(
    param: Arrays,
    grad: ArrayLikes,
    mean_sq: Arrays,
    mean_delta_sq: Arrays,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """Adadelta (Zeiler, 2012).

    ``mean_sq = rho * mean_sq + (1 - rho) * grad**2``;
    ``delta = sqrt(mean_delta_sq + eps) / sqrt(mean_sq + eps) * grad``;
    ``mean_delta_sq = rho * mean_delta_sq + (1 - rho) * delta**2``; ``param -= lr * delta``.

    Parameters
    ----------
    param, mean_sq, mean_delta_sq : ndarray or sequence of ndarray
        Updated in place; both means start as zeros.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    lr, eps, weight_decay : float
        Not negative.
    rho : float
        In [0, 1].
    """
    active().adadelta_update(
        param, gradients(param, grad), mean_sq, mean_delta_sq, lr, rho, eps, weight_decay
    )


def adam_update(
    param: Arrays,
    grad: ArrayLikes,
    m: Arrays,
    v: Arrays,
    step: int,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Adam (Kingma and Ba, 2015); weight decay is added to the gradient.

    ``m = beta1 * m + (1 - beta1) * grad``; ``v = beta2 * v + (1 - beta2) * grad**2``;
    ``param -= lr / (1 - beta1**step) * m / (sqrt(v / (1 - beta2**step)) + eps)``.

    Parameters
    ----------
    param, m, v : ndarray or sequence of ndarray
        Updated in place; the moments m and v start as zeros.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    step : int
        Number of this step, from 1.
    lr, eps, weight_decay : float
        Not negative.
    beta1, beta2 : float
        In [0, 1).
    """
    active().adam_update(
        param, gradients(param, grad), m, v, step, lr, beta1, beta2, eps, weight_decay
    )


def adamw_update(
    param: Arrays,
    grad: ArrayLikes,
    m: Arrays,
    v: Arrays,
    step: int,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> None:
    """AdamW (Loshchilov and Hutter, 2019): Adam after ``param *= 1 - lr * weight_decay``.

    Parameters
    ----------
    param, m, v : ndarray or sequence of ndarray
        Updated in place; the moments m and v start as zeros.
    grad : array_like, shape of param, or sequence of array_like
        Gradient of the loss.
    step : int
        Number of this step, from 1.
    lr, eps, weight_decay : float
        Not negative.
    beta1, beta2 : float
        In [0, 1).
    """
    active().adamw_update(
        param, gradients(param, grad), m, v, step, lr, beta1, beta2, eps, weight_decay
    )
