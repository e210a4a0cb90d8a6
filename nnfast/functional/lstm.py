"""Long short-term memory: one layer in one direction, T steps of N sequences, T first.

Weights are laid out as in PyTorch, the gates one after the other. `nnfast.LSTM` puts
layers and directions together.
"""

from ..backend import active
from ._cast import Array, ArrayLike, many

_NAMES = ("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0", "c0")


def lstm(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    c0: ArrayLike | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """Long short-term memory, keeping what `lstm_backward` needs.

    For each step, with ``z = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh`` cut into four
    gates::

        i, f, g, o = sigmoid(z_i), sigmoid(z_f), tanh(z_g), sigmoid(z_o)
        c = f * c + i * g
        h = o * tanh(c)

    Parameters
    ----------
    x : array_like, shape (T, N, D)
        One step after the other.
    weight_ih : array_like, shape (4 H, D)
        Weights of the input: those of the gates i, f, g, o one after the other.
    weight_hh : array_like, shape (4 H, H)
        Weights of the output of the step before.
    bias_ih, bias_hh : array_like, shape (4 H,), optional
        Both are added.
    h0, c0 : array_like, shape (N, H), optional
        The state before the first step; None stands for zeros.
    reverse : bool
        Whether to go from the last time to the first. Results lie where their inputs do.

    Returns
    -------
    y : ndarray, shape (T, N, H)
        h after each step; the last is ``y[-1]``, in reverse ``y[0]``.
    gates : ndarray, shape (T, N, 4 H)
        The values of i, f, g, o.
    cells : ndarray, shape (T, N, H)
        c after each step.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", 1997; with the forget gate of Gers,
    Schmidhuber and Cummins, "Learning to forget", 2000.
    """
    arguments = many(_NAMES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0)
    return active().lstm(*arguments, reverse)


def lstm_inference(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    c0: ArrayLike | None = None,
    reverse: bool = False,
) -> tuple[Array, Array]:
    """Do `lstm` without keeping anything for a backward pass.

    Parameters
    ----------
    x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, reverse
        As for `lstm`.

    Returns
    -------
    y : ndarray, shape (T, N, H)
        As from `lstm`, bit for bit.
    c : ndarray, shape (N, H)
        c after the last step.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit.
    """
    arguments = many(_NAMES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0)
    return active().lstm_inference(*arguments, reverse)


def lstm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    y: ArrayLike,
    gates: ArrayLike,
    cells: ArrayLike,
    h0: ArrayLike | None = None,
    c0: ArrayLike | None = None,
    dhn: ArrayLike | None = None,
    dcn: ArrayLike | None = None,
    reverse: bool = False,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array]:
    """Gradients of `lstm`.

    Parameters
    ----------
    dy : array_like, shape (T, N, H)
        Gradient with respect to y.
    x, weight_ih, weight_hh, h0, c0, reverse
        As in the forward call.
    y, gates, cells : array_like
        What the forward call returned.
    dhn, dcn : array_like, shape (N, H), optional
        Gradients with respect to h and c after the last step, where these were used as a state;
        what is said by dy already does not belong here. None stands for zeros.
    needs_dx : bool
        False skips the gradient of the input, which a first layer does not need.

    Returns
    -------
    dx : ndarray, shape (T, N, D), or None
    dweight_ih : ndarray, shape (4 H, D)
    dweight_hh : ndarray, shape (4 H, H)
    dbias_ih, dbias_hh : ndarray, shape (4 H,)
        Equal, because both are added to the same.
    dh0, dc0 : ndarray, shape (N, H)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit.
    """
    names = ("dy", "x", "weight_ih", "weight_hh", "y", "gates", "cells", "h0", "c0", "dhn", "dcn")
    arguments = many(names, dy, x, weight_ih, weight_hh, y, gates, cells, h0, c0, dhn, dcn)
    return active().lstm_backward(*arguments, reverse, needs_dx)
