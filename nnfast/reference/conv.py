"""Two-dimensional convolution (cross-correlation): unfold, one matrix product, fold back."""

import math

import numpy as np

from . import _checks
from ._checks import ACTIVATIONS, Array, IntPair
from .activation import apply
from .im2col import Pair, fold, geometry, unfold

ALGORITHMS = ("auto", "depthwise", "winograd", "fold", "gemm")


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    activation: str | None = None,
    scale: Array | None = None,
    algo: str = "auto",
) -> Array:
    """Return ``activation(scale * (weight * x) + bias)``.

    x: (N, C, H, W), weight: (O, C/groups, KH, KW), scale, bias: (O,), result: (N, O, OH, OW) with
    OH = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1. `algo` is checked and has no effect:
    there is one algorithm here.
    """
    groups, window = _check(x, weight, stride, padding, dilation, groups, algo)
    _checks.choice("activation", activation, ACTIVATIONS)
    _checks.vector("scale", scale, weight.shape[0], like=x)
    _checks.vector("bias", bias, weight.shape[0], like=x)
    col = unfolded(x, groups, window)  # (G, N*OH*OW, C/G*KH*KW)
    kernels = weight.reshape(groups, weight.shape[0] // groups, col.shape[2])
    rows = col @ kernels.transpose(0, 2, 1)  # (G, N*OH*OW, O/G)
    if scale is not None:
        rows *= scale.reshape(groups, 1, -1)
    if bias is not None:
        rows += bias.reshape(groups, 1, -1)
    y = apply(rows, activation).reshape(groups, x.shape[0], *window[-1], kernels.shape[1])
    y = y.transpose(1, 0, 4, 2, 3).reshape(x.shape[0], weight.shape[0], *window[-1])
    return np.ascontiguousarray(y)


def conv2d_backward(
    dy: Array,
    x: Array,
    weight: Array,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    needs_dx: bool = True,
    needs_dbias: bool = True,
    algo: str = "auto",
) -> tuple[Array | None, Array, Array | None]:
    """Return the gradients ``(dx, dweight, dbias)`` of `conv2d`; None for what is not needed.

    dy: (N, O, OH, OW), x: (N, C, H, W), weight: (O, C/groups, KH, KW).
    """
    groups, window = _check(x, weight, stride, padding, dilation, groups, algo)
    _checks.floats(x=x, dy=dy)
    _checks.shape("dy", dy, (x.shape[0], weight.shape[0], *window[-1]))

    rows = pixel_rows(dy, groups)
    dweight = rows.transpose(0, 2, 1) @ unfolded(x, groups, window)
    dbias = np.sum(dy, axis=(0, 2, 3)) if needs_dbias else None
    dx = None
    if needs_dx:
        dx = folded(rows, weight, x.shape, groups, window)
    return dx, dweight.reshape(weight.shape), dbias


Window = tuple[Pair, Pair, Pair, Pair, Pair]


def pixel_rows(y: Array, groups: int) -> Array:
    """Return the pixels of each group as rows: (G, N*OH*OW, O/G)."""
    n, o, *out = y.shape
    rows = y.reshape(n, groups, o // groups, *out).transpose(1, 0, 3, 4, 2)
    return rows.reshape(groups, n * math.prod(out), o // groups)


def folded(
    rows: Array, weight: Array, x_shape: tuple[int, ...], groups: int, window: Window
) -> Array:
    """Return what `pixel_rows` of a result send back to where they came from: (N, C, H, W)."""
    kernel, steps, pads, holes, out = window
    n, c, h, w = x_shape
    col = rows @ weight.reshape(groups, rows.shape[2], c // groups * math.prod(kernel))
    taps = col.reshape(groups, n, *out, c // groups, *kernel).transpose(1, 0, 4, 5, 6, 2, 3)
    return fold(taps.reshape(n, c, *kernel, *out), (n, c, h, w), steps, pads, holes)


def unfolded(x: Array, groups: int, window: Window) -> Array:
    """Return the windows of each group as rows: (G, N*OH*OW, C/G*KH*KW)."""
    (n, c), kernel, out = x.shape[:2], window[0], window[-1]
    taps = unfold(x, *window).reshape(n, groups, c // groups, *kernel, *out)
    rows, columns = n * math.prod(out), c // groups * math.prod(kernel)
    return taps.transpose(1, 0, 5, 6, 2, 3, 4).reshape(groups, rows, columns)


def _check(
    x: Array,
    weight: Array,
    stride: IntPair,
    padding: IntPair,
    dilation: IntPair,
    groups: int,
    algo: str,
) -> tuple[int, Window]:
    _checks.floats(x=x, weight=weight)
    _checks.ndim("x", x, 4)
    _checks.ndim("weight", weight, 4)
    _checks.choice("algo", algo, ALGORITHMS)
    groups = _checks.integer("groups", groups, 1)
    c, o = x.shape[1], weight.shape[0]
    if algo == "depthwise" and groups != c:
        raise ValueError(f"algo 'depthwise' needs groups={c}, the channels of x, got {groups}")
    if algo == "fold" and groups != 1:
        raise ValueError(f"algo 'fold' needs groups=1, got {groups}")
    if c % groups or o % groups:
        raise ValueError(
            f"groups must divide the input and output channels, {c} and {o}, got {groups}"
        )
    if weight.shape[1] != c // groups:
        raise ValueError(
            f"weight must have shape (out, {c // groups}, kh, kw) to fit x of shape {x.shape} "
            f"in groups={groups}, got {weight.shape}"
        )
    window = geometry(x.shape, weight.shape[2:], stride, padding, dilation, "weight")
    kernel, steps, pads, gaps, _ = window
    every = kernel in ((3, 3), (5, 5)) and steps == gaps == (1, 1)
    second = kernel == (3, 3) and (steps, pads, gaps) == ((2, 2), (1, 1), (1, 1))
    if algo == "winograd" and not (every or second):
        raise ValueError(
            f"algo 'winograd' needs a weight of 3 x 3 or 5 x 5 at stride 1, or of 3 x 3 at stride "
            f"2 and padding 1, and dilation 1, got {kernel}, stride {steps}, padding {pads} "
            f"and dilation {gaps}"
        )
    return groups, window
