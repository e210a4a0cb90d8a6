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
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    row = np.arange(height)[:, None] - middle_row
    column = np.arange(width) - middle_column
    # for each pixel of the result, the place in the image that it shows
    y = scale[0] * np.cos(turn) * row - np.sin(turn) * column + (shift[0] + middle_row)
    x = (np.sin(turn) + slant) * row + scale[1] * np.cos(turn) * column + (shift[1] + middle_column)
    # a row and a column of zeros after the last, which indices -1 and H, W both reach
    framed = np.pad(images[:, 0], ((0, 0), (0, 1), (0, 1)))
    y = np.clip(np.rint(y).astype(np.intp), -1, height)
    x = np.clip(np.rint(x).astype(np.intp), -1, width)
    return framed[np.arange(count)[:, None, None], y, x][:, None]
