"""The 5,000 handwritten digits that come with the package: real data without a download.

``digits.xz`` is made by ``tools/make_digits.py``, which describes its layout; where the digits come
from and under which licence stands in ``LICENSE-digits.txt`` beside it.
"""

from __future__ import annotations

import lzma
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from nnfast.datasets._options import Split, prepare

_COUNT, _TRAIN = 5000, 4000


def load_digits_sample(
    normalize: bool = True, flatten: bool = False, one_hot: bool = False
) -> tuple[Split, Split]:
    """Load the embedded sample of MNIST: 4,000 digits to train on, 1,000 to test on.

    The split is fixed and balanced: 400 and 100 images of each digit, in shuffled order. All 5,000
    come from the training part of MNIST, so a model trained on them may be judged on the MNIST test
    set.

    Parameters
    ----------
    normalize : bool
        True: float32 pixels from 0 to 1. False: uint8 pixels from 0 to 255.
    flatten : bool
        True: images of shape (N, 784). False: (N, 1, 28, 28).
    one_hot : bool
        True: labels as float32 rows of shape (N, 10). False: int64 labels of shape (N,).

    Returns
    -------
    (x_train, t_train), (x_test, t_test)
        Fresh arrays, free to be changed.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document
    Recognition", 1998.
    """
    images, labels = _unpack(resources.files("nnfast.datasets").joinpath("digits.xz").read_bytes())
    return (
        prepare(images[:_TRAIN], labels[:_TRAIN], normalize, flatten, one_hot),
        prepare(images[_TRAIN:], labels[_TRAIN:], normalize, flatten, one_hot),
    )


def ink_order(ink: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the order in which the values of pixels with ink are stored.

    It is that of their neighbours with ink: how many beside, above and below, then at the corners.
    """
    n = np.pad(ink, ((0, 0), (1, 1), (1, 1))).astype(np.uint8)
    beside = n[:, 1:-1, :-2] + n[:, 1:-1, 2:] + n[:, :-2, 1:-1] + n[:, 2:, 1:-1]
    corners = n[:, :-2, :-2] + n[:, :-2, 2:] + n[:, 2:, :-2] + n[:, 2:, 2:]
    return np.argsort((5 * beside + corners)[ink], kind="stable")


def _unpack(packed: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    data = np.frombuffer(lzma.decompress(packed), dtype=np.uint8)
    count = int(data[:4].view("<u4")[0])
    labels, planes, values = np.split(data[4:], [_COUNT, _COUNT + 4 * count])
    runs = np.ascontiguousarray(planes.reshape(4, count).T).view("<u4").ravel()
    ink = np.repeat(np.arange(count) % 2 == 1, runs).reshape(_COUNT, 28, 28)
    grey = np.empty_like(values)
    grey[ink_order(ink)] = values
    images = np.zeros(ink.shape, dtype=np.uint8)
    images[ink] = grey
    return images, labels
