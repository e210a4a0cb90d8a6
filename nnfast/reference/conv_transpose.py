"""Two-dimensional transposed convolution: the input gradient of a convolution, as a layer."""

import numpy as np

from . import _checks
from ._checks import ACTIVATIONS, Array, IntPair
from .activation import apply
from .conv import Window, folded, pixel_rows, unfolded
from .im2col import pairs


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    groups: int = 1,
    dilation: IntPair = 1,
    activation: str | None = None,
) -> Array:
    """Return ``activation(y + bias)``, y being what the pixels of x send out through the weight.

    x: (N, C, H, W), weight: (C, O/groups, KH, KW), bias: (O,), result: (N, O, OH, OW) with
    OH = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.
    """
    groups, window, shape = _check(x, weight, stride, padding, output_padding, groups, dilation)
    _checks.choice("activation", activation, ACTIVATIONS)
    _checks.vector("bias", bias, shape[1], like=x)
    y = folded(pixel_rows(x, groups), weight, shape, groups, window)
    if bias is not None:
        y += bias.reshape(-1, 1, 1)
    return apply(y, activation)


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    weight: Array,
    stride: IntPair = 1,
    padding: IntPair = 0,
    output_padding: IntPair = 0,
    groups: int = 1,
    dilation: IntPair = 1,
    needs_dx: bool = True,
    needs_dbias: bool = True,
) -> tuple[Array | None, Array, Array | None]:
    """Return the gradients ``(dx, dweight, dbias)`` of `conv_transpose2d`; None if not needed.

    dy: (N, O, OH, OW), x: (N, C, H, W), weight: (C, O/groups, KH, KW).
    """
    groups, window, shape = _check(x, weight, stride, padding, output_padding, groups, dilation)
    _checks.floats(x=x, dy=dy)
    _checks.shape("dy", dy, shape)
    (n, c, h, w), inputs = x.shape, x.shape[1] // groups
    col = unfolded(dy, groups, window)  # (G, N*H*W, O/G*KH*KW)
    dweight = pixel_rows(x, groups).transpose(0, 2, 1) @ col
    dbias = np.sum(dy, axis=(0, 2, 3)) if needs_dbias else None
    dx = None
    if needs_dx:
        rows = col @ weight.reshape(groups, inputs, col.shape[2]).transpose(0, 2, 1)
        dx = rows.reshape(groups, n, h, w, inputs).transpose(1, 0, 4, 2, 3).reshape(n, c, h, w)
        dx = np.ascontiguousarray(dx)
    return dx, dweight.reshape(weight.shape), dbias


def _check(
    x: Array,
    weight: Array,
    stride: IntPair,
    padding: IntPair,
    output_padding: IntPair,
    groups: int,
    dilation: IntPair,
) -> tuple[int, Window, tuple[int, int, int, int]]:
    """Return the groups, and the window and image shape of the convolution back to x."""
    _checks.floats(x=x, weight=weight)
    _checks.ndim("x", x, 4)
    _checks.ndim("weight", weight, 4)
    groups = _checks.integer("groups", groups, 1)
    (n, c), out, outputs = x.shape[:2], x.shape[2:], weight.shape[1] * groups
    kernel, steps, pads, holes = pairs(weight.shape[2:], stride, padding, dilation, "weight")
    more = _checks.pair("output_padding", output_padding, 0)
    if c % groups:
        raise ValueError(f"groups must divide the channels of x, {c}, got {groups}")
    if weight.shape[0] != c:
        raise ValueError(
            f"weight must have shape ({c}, out / groups, kh, kw) to fit x of shape {x.shape}, "
            f"got {weight.shape}"
        )
    if min(out) < 1:
        raise ValueError(f"x must have a height and width of at least 1, got {x.shape}")
    if more[0] >= steps[0] or more[1] >= steps[1]:
        raise ValueError(f"output_padding must be smaller than stride {steps}, got {more}")
    padded = [
        (size - 1) * s + d * (k - 1) + 1 + m
        for size, s, d, k, m in zip(out, steps, holes, kernel, more, strict=True)
    ]
    height, width = (size - 2 * p for size, p in zip(padded, pads, strict=True))
    if height < 1 or width < 1:
        raise ValueError(f"padding {pads} leaves nothing of a result of {tuple(padded)} pixels")
    _checks.bytes_fit("stride", max(1, n * outputs), *padded)
    window = (kernel, steps, pads, holes, (out[0], out[1]))
    return groups, window, (n, outputs, height, width)
