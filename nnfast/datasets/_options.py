"""What every image loader offers: pixels scaled or raw, images flat or not, labels one-hot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Split = tuple[NDArray[Any], NDArray[Any]]


def prepare(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    normalize: bool,
    flatten: bool,
    one_hot: bool,
) -> Split:
    """Turn raw (N, H, W) pixels and (N,) labels below 10 into fresh arrays of the wanted form."""
    count, height, width = images.shape
    shape = (count, height * width) if flatten else (count, 1, height, width)
    x: NDArray[Any]
    if normalize:
        x = images.astype(np.float32)
        x /= np.float32(255)
    else:
        x = images.copy()
    t: NDArray[Any] = np.eye(10, dtype=np.float32)[labels] if one_hot else labels.astype(np.int64)
    return x.reshape(shape), t
