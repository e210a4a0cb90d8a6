"""Reader for IDX, the format of the MNIST files.

Two zero bytes, the type, the number of axes, their sizes as big-endian integers, the data.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, gzipped or not (the content decides, not the name).

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    ndarray
        Of the shape and dtype that the header states, in native byte order; read-only.

    Raises
    ------
    ValueError
        If the file is no IDX file, is damaged, or is shorter or longer than its header states.
    FileNotFoundError
        If there is no such file.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file ({error})") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _DTYPES:
        raise ValueError(f"{path}: not an IDX file, it starts with {raw[:4].hex(' ') or 'nothing'}")
    dtype = np.dtype(_DTYPES[raw[2]])
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise ValueError(f"{path}: truncated in its header, {len(raw)} of {header} bytes")
    shape = struct.unpack(f">{raw[3]}I", raw[4:header])
    expected = header + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        fault = "truncated" if len(raw) < expected else "too long"
        raise ValueError(f"{path}: {fault}, {len(raw)} bytes where shape {shape} needs {expected}")
    data = np.frombuffer(raw, dtype=dtype, offset=header).reshape(shape)
    native = data.astype(dtype.newbyteorder("="), copy=False)
    native.flags.writeable = False
    return native
