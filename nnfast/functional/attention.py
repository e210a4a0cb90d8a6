"""Scaled dot-product attention over several heads, without the matrix of all scores."""

from ..backend import active
from ._cast import Array, ArrayLike, many, mask_of, one


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    heads: int = 1,
    mask: ArrayLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[Array, Array]:
    """Scaled dot-product attention, ``softmax(scale * q @ k.T + mask) @ v`` for each head.

    The heads lie side by side, as a projection gives them: head h has the features from ``h * d``
    to ``(h + 1) * d`` of q and k. Memory is linear in Tq and Tk.

    Parameters
    ----------
    q : array_like, shape (N, Tq, heads * d)
        Queries.
    k : array_like, shape (N, Tk, heads * d)
        Keys.
    v : array_like, shape (N, Tk, heads * dv)
        Values.
    heads : int
        Number of heads.
    mask : array_like of bool or floats, optional
        Broadcast to (N, heads, Tq, Tk): (Tq, Tk) is one mask for all, and (N, 1, 1, Tk) tells the
        keys of each sequence from its padding. Booleans are True where a query may attend to a key;
        numbers are added to the scores.
    causal : bool
        Whether query i attends to keys 0 to i alone, besides what the mask says.
    scale : float, optional
        1 / sqrt(d) if not given.

    Returns
    -------
    y : ndarray, shape (N, Tq, heads * dv)
        Zero where no key is left for a query.
    lse : ndarray, shape (N, heads, Tq)
        Logarithm of the sum of exponentials of each query's scores, for the backward pass; -inf
        where no key is left.

    Raises
    ------
    TypeError
        If an argument does not hold floating-point numbers, or the mask neither them nor booleans.
    ValueError
        If the shapes do not fit or an option is out of range.

    Notes
    -----
    NaN and infinity spread to the queries that attend to them. At places that are masked they may
    spread or not: keep padding finite.

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017; Rabe & Staats, "Self-attention does not need
    O(n^2) memory", 2021; Dao et al., "FlashAttention: fast and memory-efficient exact attention
    with IO-awareness", 2022.
    """
    q, k, v = many(("q", "k", "v"), q, k, v)
    return active().attention(q, k, v, heads, mask_of(mask, q), causal, scale)


def attention_backward(
    dy: ArrayLike,
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    y: ArrayLike,
    lse: ArrayLike,
    heads: int = 1,
    mask: ArrayLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `attention`; the weights are computed again, from lse.

    Parameters
    ----------
    dy : array_like, shape (N, Tq, heads * dv)
        Gradient with respect to y.
    q, k, v : array_like
        Inputs of the forward call.
    y, lse : array_like
        Results of the forward call.
    heads, mask, causal, scale
        As in the forward call. The mask gets no gradient.

    Returns
    -------
    dq : ndarray, shape (N, Tq, heads * d)
    dk : ndarray, shape (N, Tk, heads * d)
    dv : ndarray, shape (N, Tk, heads * dv)

    Raises
    ------
    TypeError, ValueError
        As `attention` does.
    """
    names = ("dy", "q", "k", "v", "y", "lse")
    dy, q, k, v, y, lse = many(names, dy, q, k, v, y, lse)
    mask = mask_of(mask, q)
    return active().attention_backward(dy, q, k, v, y, lse, heads, mask, causal, scale)


def self_attention(
    qkv: ArrayLike,
    heads: int = 1,
    mask: ArrayLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[Array, Array]:
    """`attention` of a sequence to itself, with queries, keys and values from one projection.

    Nothing is copied or transposed between the projection and the kernel.

    Parameters
    ----------
    qkv : array_like, shape (N, T, 3 * heads * d)
        Queries, keys and values side by side.
    heads, mask, causal, scale
        As for `attention`; Tq and Tk are T.

    Returns
    -------
    y : ndarray, shape (N, T, heads * d)
    lse : ndarray, shape (N, heads, T)

    Raises
    ------
    TypeError, ValueError
        As `attention` does.
    """
    qkv = one("qkv", qkv)
    return active().self_attention(qkv, heads, mask_of(mask, qkv), causal, scale)


def self_attention_backward(
    dy: ArrayLike,
    qkv: ArrayLike,
    y: ArrayLike,
    lse: ArrayLike,
    heads: int = 1,
    mask: ArrayLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Array:
    """Gradient of `self_attention`.

    Parameters
    ----------
    dy : array_like, shape (N, T, heads * d)
        Gradient with respect to y.
    qkv : array_like, shape (N, T, 3 * heads * d)
        Input of the forward call.
    y, lse : array_like
        Results of the forward call.
    heads, mask, causal, scale
        As in the forward call. The mask gets no gradient.

    Returns
    -------
    ndarray, shape (N, T, 3 * heads * d)
        Gradient with respect to qkv.

    Raises
    ------
    TypeError, ValueError
        As `attention` does.
    """
    dy, qkv, y, lse = many(("dy", "qkv", "y", "lse"), dy, qkv, y, lse)
    mask = mask_of(mask, qkv)
    return active().self_attention_backward(dy, qkv, y, lse, heads, mask, causal, scale)
