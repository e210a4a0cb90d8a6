"""The plain recurrent network: one layer in one direction, T steps of N sequences, T first.

Weights are laid out as in PyTorch. `nnfast.RNN` puts
layers and directions together.
"""

from ..backend import active
from ._cast import Array, ArrayLike, many

_NAMES = ("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0")


def rnn(
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Array:
    """Plain recurrent network.

    For each step ``h = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)``.

    Parameters
    ----------
    x : array_like, shape (T, N, D)
        One step after the other.
    weight_ih : array_like, shape (H, D)
        Weights of the input.
    weight_hh : array_like, shape (H, H)
        Weights of the output of the step before.
    bias_ih, bias_hh : array_like, shape (H,), optional
        Both are added.
    h0 : array_like, shape (N, H), optional
        The state before the first step; None stands for zeros.
    nonlinearity : {"tanh", "relu"}
        "relu" takes the place of tanh.
    reverse : bool
        Whether to go from the last time to the first. Results lie where their inputs do.

    Returns
    -------
    ndarray, shape (T, N, H)
        h after each step; the last is ``y[-1]``, in reverse ``y[0]``.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit or there is no such nonlinearity.

    References
    ----------
    Elman, "Finding structure in time", 1990.
    """
    arguments = many(_NAMES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0)
    return active().rnn(*arguments, nonlinearity, reverse)


def rnn_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    y: ArrayLike,
    h0: ArrayLike | None = None,
    dhn: ArrayLike | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Gradients of `rnn`.

    Parameters
    ----------
    dy : array_like, shape (T, N, H)
        Gradient with respect to y.
    x, weight_ih, weight_hh, h0, nonlinearity, reverse
        As in the forward call.
    y : array_like, shape (T, N, H)
        What the forward call returned.
    dhn : array_like, shape (N, H), optional
        Gradient with respect to h after the last step, where that was used as a state; None stands
        for zeros.
    needs_dx : bool
        False skips the gradient of the input, which a first layer does not need.

    Returns
    -------
    dx : ndarray, shape (T, N, D), or None
    dweight_ih : ndarray, shape (H, D)
    dweight_hh : ndarray, shape (H, H)
    dbias_ih, dbias_hh : ndarray, shape (H,)
        Equal, because both are added to the same.
    dh0 : ndarray, shape (N, H)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit or there is no such nonlinearity.
    """
    names = ("dy", "x", "weight_ih", "weight_hh", "y", "h0", "dhn")
    arguments = many(names, dy, x, weight_ih, weight_hh, y, h0, dhn)
    return active().rnn_backward(*arguments, nonlinearity, reverse, needs_dx)
