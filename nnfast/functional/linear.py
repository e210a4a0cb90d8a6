"""Matrix product and fully connected layer, bias and activation included."""

from ..backend import active
from ._cast import Array, ArrayLike, many


def gemm(
    a: ArrayLike,
    b: ArrayLike,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: ArrayLike | None = None,
    activation: str | None = None,
) -> Array:
    """Matrix product ``activation(op(a) @ op(b) + bias)``.

    Parameters
    ----------
    a : array_like, shape (M, K), or (K, M) when transposed
        Left operand.
    b : array_like, shape (K, N), or (N, K) when transposed
        Right operand.
    transpose_a, transpose_b : bool
        Whether the operand is transposed first. Costs no copy.
    bias : array_like, shape (N,), optional
        Added to each row.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last; the slope of "leaky_relu" is 0.01.

    Returns
    -------
    ndarray, shape (M, N)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit or there is no such activation.
    """
    a, b, bias = many(("a", "b", "bias"), a, b, bias)
    return active().gemm(a, b, transpose_a, transpose_b, bias, activation)


def linear(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    activation: str | None = None,
) -> Array:
    """Fully connected layer, ``activation(x @ weight.T + bias)``.

    Parameters
    ----------
    x : array_like, shape (..., I)
        One sample per row, in any number of axes: (N, I), (N, T, I), or a single (I,).
    weight : array_like, shape (O, I)
        One output feature per row.
    bias : array_like, shape (O,), optional
        Added to each row of the result.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last; the slope of "leaky_relu" is 0.01.

    Returns
    -------
    ndarray, shape (..., O)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit or there is no such activation.
    """
    x, weight, bias = many(("x", "weight", "bias"), x, weight, bias)
    return active().linear(x, weight, bias, activation)


def linear_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    y: ArrayLike | None = None,
    activation: str | None = None,
    needs_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    """Gradients of `linear`.

    Parameters
    ----------
    dy : array_like, shape (..., O)
        Gradient with respect to the output.
    x : array_like, shape (..., I)
        Input of the forward call.
    weight : array_like, shape (O, I)
        Weight of the forward call.
    y : array_like, shape (..., O), optional
        Output of the forward call; needed when it applied an activation.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        As in the forward call.
    needs_dx : bool
        False skips the gradient of the input, which a first layer does not need.

    Returns
    -------
    dx : ndarray, shape (..., I), or None
    dweight : ndarray, shape (O, I)
    dbias : ndarray, shape (O,)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit, there is no such activation, or y is missing.
    """
    dy, x, weight, y = many(("dy", "x", "weight", "y"), dy, x, weight, y)
    return active().linear_backward(dy, x, weight, y, activation, needs_dx)
