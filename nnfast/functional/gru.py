"""Gated recurrent units: one layer in one direction, T steps of N sequences, T first.

Weights are laid out as in PyTorch, the gates one after the other. `nnfast.GRU` puts
layers and directions together.
"""

from ..backend import active
from ._cast import Array, ArrayLike, many

_NAMES = ("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0")


def gru(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """Gated recurrent units, keeping what `gru_backward` needs.

    For each step, with ``a = x @ weight_ih.T + bias_ih`` and ``b = h @ weight_hh.T + bias_hh`` each
    cut into three gates::

        r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
        n = tanh(a_n + r * b_n)
        h = (1 - z) * n + z * h

    Parameters
    ----------
    x : array_like, shape (T, N, D)
        One step after the other.
    weight_ih : array_like, shape (3 H, D)
        Weights of the input: those of the gates r, z, n one after the other.
    weight_hh : array_like, shape (3 H, H)
        Weights of the output of the step before.
    bias_ih, bias_hh : array_like, shape (3 H,), optional
    h0 : array_like, shape (N, H), optional
        The state before the first step; None stands for zeros.
    reverse : bool
        Whether to go from the last time to the first. Results lie where their inputs do.

    Returns
    -------
    y : ndarray, shape (T, N, H)
        h after each step; the last is ``y[-1]``, in reverse ``y[0]``.
    gates : ndarray, shape (T, N, 3 H)
        The values of r, z, n.
    inner : ndarray, shape (T, N, H)
        The values of b_n.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014; with r applied after the product, as in PyTorch and cuDNN.
    """
    arguments = many(_NAMES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0)
    return active().gru(*arguments, reverse)


def gru_inference(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    reverse: bool = False,
) -> Array:
    """Do `gru` without keeping anything for a backward pass.

    Parameters
    ----------
    x, weight_ih, weight_hh, bias_ih, bias_hh, h0, reverse
        As for `gru`.

    Returns
    -------
    ndarray, shape (T, N, H)
        The y of `gru`, bit for bit.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit.
    """
    arguments = many(_NAMES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0)
    return active().gru_inference(*arguments, reverse)


def gru_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    y: ArrayLike,
    gates: ArrayLike,
    inner: ArrayLike,
    h0: ArrayLike | None = None,
    dhn: ArrayLike | None = None,
    reverse: bool = False,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Gradients of `gru`.

    Parameters
    ----------
    dy : array_like, shape (T, N, H)
        Gradient with respect to y.
    x, weight_ih, weight_hh, h0, reverse
        As in the forward call.
    y, gates, inner : array_like
        What the forward call returned.
    dhn : array_like, shape (N, H), optional
        Gradient with respect to h after the last step, where that was used as a state; None stands
        for zeros.
    needs_dx : bool
        False skips the gradient of the input, which a first layer does not need.

    Returns
    -------
    dx : ndarray, shape (T, N, D), or None
    dweight_ih : ndarray, shape (3 H, D)
    dweight_hh : ndarray, shape (3 H, H)
    dbias_ih, dbias_hh : ndarray, shape (3 H,)
    dh0 : ndarray, shape (N, H)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit.
    """
    names = ("dy", "x", "weight_ih", "weight_hh", "y", "gates", "inner", "h0", "dhn")
    arguments = many(names, dy, x, weight_ih, weight_hh, y, gates, inner, h0, dhn)
    return active().gru_backward(*arguments, reverse, needs_dx)
