"""Dropout (Srivastava et al., 2014) with a counter-based random number generator.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
The mask is a pure function of seed, offset and position: it is the same for any number of threads,
and is recomputed, not stored, in the backward pass. A random byte for each value decides, with 24
more bits of its own where it equals the upper byte of p: exact, at a quarter of the numbers.
"""

import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from . import _checks
from ._checks import Array

LOW_32, LOW_BITS = np.uint64(0xFFFFFFFF), np.uint64(2**63)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85


def dropout(
    x: Array, p: SupportsFloat = 0.5, seed: SupportsIndex = 0, offset: SupportsIndex = 0
) -> Array:
    """Zero each value with probability p and scale the others by ``1 / (1 - p)``; any shape."""
    _checks.floats(x=x)
    return _dropped(x, p, seed, offset)


def dropout_backward(
    dy: Array, p: SupportsFloat = 0.5, seed: SupportsIndex = 0, offset: SupportsIndex = 0
) -> Array:
    """Return the gradient of `dropout`: the same mask and scale applied to dy."""
    _checks.floats(dy=dy)
    return _dropped(dy, p, seed, offset)


def _dropped(x: Array, p: SupportsFloat, seed: SupportsIndex, offset: SupportsIndex) -> Array:
    p = _checks.fraction("p", p)
    seed = _checks.integer("seed", seed, 0, 2**64 - 1)
    offset = _checks.integer("offset", offset, 0, 2**64 - 1)
    first, rest = divmod(math.ceil(p * 2**32), 2**24)
    high = random_bytes(x.size, seed, offset)
    keep = high >= first
    tied = np.flatnonzero(high == first)
    keep[tied] = low_bits(tied, seed, offset) >= rest
    kept = x * x.dtype.type(1 / (1 - p))
    return np.where(keep.reshape(x.shape), kept, x.dtype.type(0))


def random_bytes(count: int, seed: int, offset: int) -> Array:
    """Return byte ``i % 16`` of block ``i // 16`` at place i: the upper bytes of random numbers.

    The key of the generator is the seed; its counter holds the block number and the offset.
    """
    words = _blocks(np.arange((count + 15) // 16, dtype=np.uint64), seed, offset)
    return np.stack(words, axis=-1).astype("<u4").reshape(-1).view(np.uint8)[:count]


def low_bits(places: Array, seed: int, offset: int) -> Array:
    """Return the other 24 bits of the random numbers at these places, from blocks of their own."""
    return _blocks(places.astype(np.uint64) + LOW_BITS, seed, offset)[0] >> np.uint64(8)


def _blocks(number: Array, seed: int, offset: int) -> tuple[Array, Array, Array, Array]:
    counter = (number & LOW_32, number >> np.uint64(32), *_split(offset))
    return philox4x32(counter, _split(seed))


def philox4x32(
    counter: tuple[Array, Array, Array, Array], key: tuple[Array, Array], rounds: int = 10
) -> tuple[Array, Array, Array, Array]:
    """Return the four output words of Philox4x32 for each counter; all words held as uint64."""
    c0, c1, c2, c3 = np.broadcast_arrays(*counter)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(rounds):
        low, high = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c2 = (
            (high >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            (low >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
        )
        c1, c3 = high & LOW_32, low & LOW_32
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def _split(number: int) -> tuple[Array, Array]:
    """Return the low and the high 32 bits."""
    return np.array(number & 0xFFFFFFFF, np.uint64), np.array(number >> 32, np.uint64)
