"""A tiny MNIST in its own file format, for the tests of the loaders."""

import gzip
import struct

import numpy as np

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array):
    """Encode ``array`` as IDX, written apart from the reader."""
    code = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
    big = array.astype(array.dtype.newbyteorder(">"))
    head = bytes([0, 0, code[array.dtype.str[1:]], array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + big.tobytes()


def small_mnist(seed=0):
    """Contents of the four files, 30 training and 20 test images."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for n in (30, 20)]
    labels = [rng.integers(0, 10, n, dtype=np.uint8) for n in (30, 20)]
    return dict(zip(NAMES, (images[0], labels[0], images[1], labels[1]), strict=True))


def write_mnist(folder, packed, **replaced):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {**small_mnist(), **replaced}.items():
        data = idx(array)
        path = folder / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(data) if packed else data)
