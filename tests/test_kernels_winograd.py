"""The error of Winograd's convolutions, held against float64: the bound of docs/convolution.md.

An output is computed from the pixels that its tile sees, so that its error goes by the largest of
these, not only by those that its own window sees. N, for each output, is the sum over the c terms
that are added up, channels or tiles, of the largest magnitude in the term's tile of the image times
the sum of magnitudes of what it meets. The bound is (a + b c) eps N.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
from kernel_checks import core
from numeric import Array, assert_bound, integers

from nnfast import reference


class Tile(NamedTuple):
    """One side of a tile: its outputs, the pixels it sees, and those from tile to tile."""

    outputs: int
    seen: int
    step: int


class Form(NamedTuple):
    """Kernels and stride, and the tiles with which they are computed, forward and back to dx."""

    taps: int
    stride: int
    forward: Tile
    back: Tile

    @property
    def padding(self) -> int:
        """The padding that keeps the size of an image, or halves it."""
        return self.taps // 2

    def plane(self, image: tuple[int, ...]) -> tuple[int, ...]:
        """Return the size of the outputs of an image."""
        return tuple((side - 1) // self.stride + 1 for side in image)


SMALL, LARGE = Tile(4, 6, 4), Tile(2, 6, 2)
FORMS = [
    Form(3, 1, SMALL, SMALL),
    Form(5, 1, LARGE, LARGE),
    Form(3, 2, Tile(4, 9, 8), Tile(8, 5, 4)),
]
with_forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.taps}-by{form.stride}")


def tiles_of(plane: tuple[int, ...], tile: Tile) -> tuple[int, int]:
    """Return how many tiles cover a plane of outputs."""
    return -(-plane[0] // tile.outputs), -(-plane[1] // tile.outputs)


def largest(x: Array, tile: Tile, padding: int, tiles: tuple[int, int]) -> Array:
    """Return the largest magnitude that each tile sees: (n, c, tiles_h, tiles_w)."""
    reach = [tile.step * (count - 1) + tile.seen for count in tiles]
    pad = [(padding, max(0, r - padding - s)) for r, s in zip(reach, x.shape[2:], strict=True)]
    padded = np.pad(np.abs(x), ((0, 0), (0, 0), *pad))[:, :, : reach[0], : reach[1]]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (tile.seen, tile.seen), (2, 3))
    return windows[:, :, :: tile.step, :: tile.step].max(axis=(4, 5))


def of_outputs(x: Array, weight: Array, tile: Tile, padding: int, plane: tuple[int, ...]) -> Array:
    """Return N for a plane of outputs of each kernel, c = channels: (n, o, *plane)."""
    seen = largest(x, tile, padding, tiles_of(plane, tile))
    total = np.einsum("nchw,oc->nohw", seen, np.abs(weight).sum(axis=(2, 3)))
    return total.repeat(tile.outputs, 2).repeat(tile.outputs, 3)[:, :, : plane[0], : plane[1]]


def of_weight_gradient(dy: Array, x: Array, form: Form) -> Array:
    """Return N for the gradients of each kernel, c = tiles: (o, c, 1, 1)."""
    size, tiles = form.forward.outputs, tiles_of(dy.shape[2:], form.forward)
    pad = [(0, count * size - side) for count, side in zip(tiles, dy.shape[2:], strict=True)]
    blocks = np.pad(np.abs(dy), ((0, 0), (0, 0), *pad))
    blocks = blocks.reshape(*dy.shape[:2], tiles[0], size, tiles[1], size).sum(axis=(3, 5))
    seen = largest(x, form.forward, form.padding, tiles)
    return np.einsum("nohw,nchw->oc", blocks, seen)[:, :, None, None]


RNG = np.random.default_rng(0)


def one_sign(shape: tuple[int, ...]) -> Array:
    return RNG.uniform(1, 2, shape)


def constant(shape: tuple[int, ...]) -> Array:
    """Return numbers whose rounding errors all have one sign."""
    return np.full(shape, 1 / 3)


def offset(shape: tuple[int, ...]) -> Array:
    return 1e4 + RNG.standard_normal(shape)


def spikes(shape: tuple[int, ...]) -> Array:
    """Return numbers around 1 and 1e6 in the fields of a chess board."""
    white = np.indices(shape).sum(axis=0) % 2
    return RNG.uniform(1, 2, shape) * np.where(white, 1, 1e6)


def alternating(shape: tuple[int, ...]) -> Array:
    return RNG.uniform(1, 2, shape) * np.where(np.indices(shape[2:]).sum(axis=0) % 2, -1, 1)


def magnitudes(shape: tuple[int, ...]) -> Array:
    """Return numbers from 1e-4 to 1e4 in any order."""
    return RNG.standard_normal(shape) * 10.0 ** RNG.integers(-4, 5, shape)


def signed(shape: tuple[int, ...], signs: list[int]) -> Array:
    """Return numbers whose signs repeat along rows and columns."""
    rows, columns = (np.resize(signs, size) for size in shape[2:])
    return RNG.uniform(1, 2, shape) * rows[:, None] * columns


def worst_signs(shape: tuple[int, ...]) -> Array:
    """Return numbers with the signs in which an image's transform adds everything up."""
    return signed(shape, [1, 1, -1, 1, 1, -1])


def worst_signs_by_2(shape: tuple[int, ...]) -> Array:
    """Return the same for the transform at stride 2, of every second pixel."""
    return signed(shape, [1, -1, 1, -1, 1, 1, 1, 1])


def worst_signs_from_2(shape: tuple[int, ...]) -> Array:
    """Return the same for the transform of dy at stride 2."""
    return signed(shape, [1, -1, -1, 1])


USUAL = [RNG.standard_normal, one_sign, constant, offset, spikes, alternating]
CRUEL = [*USUAL, magnitudes, worst_signs, worst_signs_by_2, worst_signs_from_2]
# (a, b) of the bound (a + b c) eps N.
BOUNDS = {"usual": (USUAL, 24, 1 / 4), "cruel": (CRUEL, 128, 1 / 2)}
PLANE = 11, 13  # no whole number of tiles


def check(makers: tuple[Any, Any], dtype: type, form: Form, c: int, a: float, b: float) -> None:
    """Hold both passes over c terms against the bound; makers of the images and of the kernels."""
    make_x, make_weight = makers
    few, plane = 9, form.plane(PLANE)
    options = {"stride": form.stride, "padding": form.padding}

    def image(*shape: int) -> Array:
        return make_x(shape).astype(dtype)

    def kernel(*shape: int) -> Array:
        return make_weight(shape).astype(dtype)

    def double(*arrays: Array) -> list[Array]:
        return [array.astype(np.float64) for array in arrays]

    x, weight = image(2, c, *PLANE), kernel(few, c, form.taps, form.taps)
    y = core.conv2d(x, weight, **options, algo="winograd")
    exact = reference.conv2d(*double(x, weight), **options)
    total = of_outputs(*double(x, weight), form.forward, form.padding, plane)
    assert_bound(y, exact, total, a + b * c)

    given = image(2, c, *plane), image(2, few, *PLANE), kernel(c, few, form.taps, form.taps)
    dx = core.conv2d_backward(*given, **options, algo="winograd")[0]
    exact = reference.conv2d_backward(*double(*given), **options)[0]
    dy, weight = double(given[0], given[2])
    padding = form.padding if form.stride == 1 else 0
    total = of_outputs(dy, weight.swapaxes(0, 1), form.back, padding, PLANE)
    assert_bound(dx, exact, total, a + b * c)

    tiles = np.prod(tiles_of(plane, form.forward))
    count = max(1, round(c / tiles))
    given = kernel(count, few, *plane), image(count, 10, *PLANE), kernel(few, 10, *weight.shape[2:])
    _, dweight, dbias = core.conv2d_backward(*given, **options, algo="winograd")
    _, exact, exact_bias = reference.conv2d_backward(*double(*given), **options)
    total = of_weight_gradient(*double(*given[:2]), form)
    assert_bound(dweight, exact, np.broadcast_to(total, exact.shape), a + b * count * tiles)
    total = np.abs(given[0]).astype(float).sum(axis=(0, 2, 3))
    assert_bound(dbias, exact_bias, total, a + b * count * tiles)


@pytest.mark.parametrize("kind", BOUNDS)
@pytest.mark.parametrize("c", [3, 16, 61, 256])
@with_forms
def test_error_is_bounded(form: Form, c: int, kind: str) -> None:
    makers, a, b = BOUNDS[kind]
    for make_x in makers:
        for make_weight in makers:
            check((make_x, make_weight), np.float32, form, c, a, b)


@pytest.mark.parametrize("c", [3, 61, 256])
@with_forms
def test_error_is_bounded_in_float64(form: Form, c: int) -> None:
    def whole(shape: tuple[int, ...]) -> Array:  # the reference is exact with these
        return integers(shape, most=10**5)

    check((whole, whole), np.float64, form, c, *BOUNDS["usual"][1:])


@with_forms
def test_a_large_pixel_spoils_its_tiles_alone(form: Form) -> None:
    plane, tile = (24, 24), form.forward
    x = RNG.standard_normal((2, 8, *plane)).astype(np.float32)
    weight = RNG.standard_normal((8, 8, form.taps, form.taps)).astype(np.float32)
    options = {"stride": form.stride, "padding": form.padding, "algo": "winograd"}
    before = core.conv2d(x, weight, **options)
    x[0, 3, 9, 10] = 1e20
    changed = (core.conv2d(x, weight, **options) != before).any(axis=1)
    seen = np.zeros((2, *form.plane(plane)), bool)
    at = [pixel + form.padding for pixel in (9, 10)]
    first = [max(0, (p - tile.seen) // tile.step + 1) * tile.outputs for p in at]
    last = [(p // tile.step + 1) * tile.outputs for p in at]
    seen[0, first[0] : last[0], first[1] : last[1]] = True
    assert (changed <= seen).all() and changed.any()
