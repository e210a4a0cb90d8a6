"""Distorted copies of images: a network that sees no digit twice alike has to learn its form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TURN, SLANT, SCALE, SHIFT = 0.2, 0.15, 0.12, 2.0  # most radians, slope, log size, pixels


def distort(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Turn, slant, scale and shift each image at random; the nearest pixel is taken, edges are 0.

    Parameters
    ----------
    images : ndarray, shape (N, 1, H, W)
        Not changed.
    rng : Generator
        Source of the distortion.

    Returns
    -------
    ndarray of the shape and dtype of `images`

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, "Best Practices for Convolutional Neural Networks", 2003.
    """
    count, _, height, width = images.shape
    turn, slant = rng.uniform(-TURN, TURN, (count, 1, 1)), rng.uniform(-SLANT, SLANT, (count, 1, 1))
    scale = np.exp(rng.uniform(-SCALE, SCALE, (2, count, 1, 1)))
    shift = rng.uniform(-SHIFT, SHIFT, (2, count, 1, 1))
    # for each pixel of the result, the place in the framed image that it shows, plus 1/2 to round
    down = np.arange(height)[:, None] - (height - 1) / 2
    right = np.arange(width) - (width - 1) / 2
    row = scale[0] * np.cos(turn) * down + (shift[0] + height / 2 + 1) - np.sin(turn) * right
    column = (np.sin(turn) + slant) * down + (shift[1] + width / 2 + 1)
    column = column + scale[1] * np.cos(turn) * right
    framed = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)))  # zeros, for all that lies outside
    index = np.clip(row, 0, height + 1).astype(np.intp)
    index *= width + 2
    index += np.clip(column, 0, width + 1).astype(np.intp)
    index += np.arange(count)[:, None, None] * ((height + 2) * (width + 2))
    return framed.ravel().take(index)[:, None]
