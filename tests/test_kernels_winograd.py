"""The error of Winograd's convolutions, held against float64: the bound of docs/convolution.md.

An output is computed from a tile of 6 x 6 pixels, so that its error goes by the largest of these,
not only by those that its own window sees. N, for each output, is the sum over the c terms that are
added up, channels or tiles, of the largest magnitude in the term's tile of the image times the sum
of magnitudes of what it meets. The bound is (a + b c) eps N.
"""

from typing import Any

import numpy as np
import pytest
from kernel_checks import core
from numeric import Array, assert_bound, integers

from nnfast import reference

SIDE = 6  # pixels that a tile sees


def tile_size(taps: int) -> int:
    """Return the outputs of a tile along one side."""
    return SIDE + 1 - taps


def largest(x: Array, size: int, padding: int, tiles: tuple[int, int]) -> Array:
    """Return the largest magnitude that each tile sees: (n, c, tiles_h, tiles_w)."""
    reach = [size * (count - 1) + SIDE for count in tiles]
    pad = [(padding, max(0, r - padding - s)) for r, s in zip(reach, x.shape[2:], strict=True)]
    padded = np.pad(np.abs(x), ((0, 0), (0, 0), *pad))[:, :, : reach[0], : reach[1]]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), (2, 3))
    return windows[:, :, ::size, ::size].max(axis=(4, 5))


def tiles_of(plane: tuple[int, ...], size: int) -> tuple[int, int]:
    """Return how many tiles cover a plane of outputs."""
    return -(-plane[0] // size), -(-plane[1] // size)


def of_forward(x: Array, weight: Array, padding: int) -> Array:
    """Return N for each output of `conv2d`, c = channels: (n, o, oh, ow)."""
    taps = weight.shape[2]
    size, plane = tile_size(taps), [side + 2 * padding - taps + 1 for side in x.shape[2:]]
    seen = largest(x, size, padding, tiles_of(tuple(plane), size))
    total = np.einsum("nchw,oc->nohw", seen, np.abs(weight).sum(axis=(2, 3)))
    return total.repeat(size, 2).repeat(size, 3)[:, :, : plane[0], : plane[1]]


def of_input_gradient(dy: Array, weight: Array, padding: int) -> Array:
    """Return N for each element of dx, c = output channels: the convolution turned round."""
    return of_forward(dy, weight.swapaxes(0, 1), weight.shape[2] - 1 - padding)


def of_weight_gradient(dy: Array, x: Array, taps: int, padding: int) -> Array:
    """Return N for the gradients of each kernel, c = tiles: (o, c, 1, 1)."""
    size = tile_size(taps)
    tiles = tiles_of(dy.shape[2:], size)
    pad = [(0, count * size - side) for count, side in zip(tiles, dy.shape[2:], strict=True)]
    blocks = np.pad(np.abs(dy), ((0, 0), (0, 0), *pad))
    blocks = blocks.reshape(*dy.shape[:2], tiles[0], size, tiles[1], size).sum(axis=(3, 5))
    seen = largest(x, size, padding, tiles)
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


def worst_signs(shape: tuple[int, ...]) -> Array:
    """Return numbers with the signs in which an image's transform adds everything up."""
    rows, columns = (np.resize([1, 1, -1, 1, 1, -1], size) for size in shape[2:])
    return RNG.uniform(1, 2, shape) * rows[:, None] * columns


USUAL = [RNG.standard_normal, one_sign, constant, offset, spikes, alternating]
CRUEL = [*USUAL, magnitudes, worst_signs]
# (a, b) of the bound (a + b c) eps N.
BOUNDS = {"usual": (USUAL, 24, 1 / 4), "cruel": (CRUEL, 128, 1 / 2)}
PLANE = 11, 13  # no whole number of tiles


def check(makers: tuple[Any, Any], dtype: type, taps: int, c: int, a: float, b: float) -> None:
    """Hold both passes over c terms against the bound; makers of the images and of the kernels."""
    make_x, make_weight = makers
    padding, few = taps // 2, 9
    size = tile_size(taps)

    def images(count: int, channels: int) -> Array:
        return make_x((count, channels, *PLANE)).astype(dtype)

    def kernels(outputs: int, inputs: int) -> Array:
        return make_weight((outputs, inputs, taps, taps)).astype(dtype)

    def gradients(module: Any, *arrays: Array, **options: str) -> Any:
        return module.conv2d_backward(*arrays, padding=padding, **options)

    def double(*arrays: Array) -> list[Array]:
        return [array.astype(np.float64) for array in arrays]

    x, weight = images(2, c), kernels(few, c)
    y = core.conv2d(x, weight, padding=padding, algo="winograd")
    exact = reference.conv2d(*double(x, weight), padding=padding)
    assert_bound(y, exact, of_forward(*double(x, weight), padding), a + b * c)

    given = images(2, c), images(2, few), kernels(c, few)
    dx = gradients(core, *given, algo="winograd")[0]
    exact = gradients(reference, *double(*given))[0]
    assert_bound(dx, exact, of_input_gradient(*double(given[0], given[2]), padding), a + b * c)

    count = max(1, round(c / np.prod(tiles_of(PLANE, size))))
    terms = count * np.prod(tiles_of(PLANE, size))
    given = make_weight((count, few, *PLANE)).astype(dtype), images(count, 10), kernels(few, 10)
    _, dweight, dbias = gradients(core, *given, algo="winograd")
    _, exact, exact_bias = gradients(reference, *double(*given))
    total = of_weight_gradient(*double(*given[:2]), taps, padding)
    assert_bound(dweight, exact, np.broadcast_to(total, exact.shape), a + b * terms)
    assert_bound(
        dbias, exact_bias, np.abs(given[0]).astype(float).sum(axis=(0, 2, 3)), a + b * terms
    )


@pytest.mark.parametrize("kind", BOUNDS)
@pytest.mark.parametrize("c", [3, 16, 61, 256])
@pytest.mark.parametrize("taps", [3, 5])
def test_error_is_bounded(taps: int, c: int, kind: str) -> None:
    makers, a, b = BOUNDS[kind]
    for make_x in makers:
        for make_weight in makers:
            check((make_x, make_weight), np.float32, taps, c, a, b)


@pytest.mark.parametrize("c", [3, 61, 256])
@pytest.mark.parametrize("taps", [3, 5])
def test_error_is_bounded_in_float64(taps: int, c: int) -> None:
    def whole(shape: tuple[int, ...]) -> Array:  # the reference is exact with these
        return integers(shape, most=10**5)

    check((whole, whole), np.float64, taps, c, *BOUNDS["usual"][1:])


@pytest.mark.parametrize("taps", [3, 5])
def test_a_large_pixel_spoils_its_tile_alone(taps: int) -> None:
    size, plane = tile_size(taps), (24, 24)
    x, weight = RNG.standard_normal((2, 8, *plane)), RNG.standard_normal((8, 8, taps, taps))
    x, weight = x.astype(np.float32), weight.astype(np.float32)
    options = {"padding": taps // 2, "algo": "winograd"}
    before = core.conv2d(x, weight, **options)
    x[0, 3, 9, 10] = 1e20
    changed = (core.conv2d(x, weight, **options) != before).any(axis=1)
    seen = np.zeros((2, *plane), bool)
    first = [max(0, (at + taps // 2 - SIDE) // size + 1) * size for at in (9, 10)]
    last = [(at + taps // 2) // size * size + size for at in (9, 10)]
    seen[0, first[0] : last[0], first[1] : last[1]] = True
    assert (changed <= seen).all() and changed.any()
