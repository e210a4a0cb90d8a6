"""Dropout whose mask is a pure function of a seed.

Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
Element i is kept if the i-th number, of 32 bits, of a random stream is at least p. The bits are
those of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) with the
seed as key and the offset in the upper half of the counter: each offset gives a stream of its own.
The upper byte of number i is the i-th of the stream; the others are made where that is no decision.
Nothing is stored between forward and backward; the mask does not depend on the number of threads.
"""

from ..backend import active
from ._cast import Array, ArrayLike, one


def dropout(x: ArrayLike, p: float = 0.5, seed: int = 0, offset: int = 0) -> Array:
    """Zero each element with probability p and scale the others by ``1 / (1 - p)``.

    Parameters
    ----------
    x : array_like
        Any shape.
    p : float
        Probability in [0, 1).
    seed, offset : int
        In [0, 2**64). A layer keeps the seed and counts the offset up with every call.

    Returns
    -------
    ndarray
        Same shape as x.

    Raises
    ------
    TypeError
        If x does not hold floating-point numbers.
    ValueError
        If p, seed or offset is out of range.
    """
    return active().dropout(one("x", x), p, seed, offset)


def dropout_backward(dy: ArrayLike, p: float = 0.5, seed: int = 0, offset: int = 0) -> Array:
    """Gradient of `dropout`: the same mask and scale applied to dy.

    Parameters
    ----------
    dy : array_like
        Gradient with respect to the output.
    p, seed, offset
        As in the forward call.

    Returns
    -------
    ndarray
        Gradient with respect to the input.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If p, seed or offset is out of range.
    """
    return active().dropout_backward(one("dy", dy), p, seed, offset)
