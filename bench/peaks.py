"""What the machine can do at most: multiply-adds and memory traffic, all threads at once.

`peaks.c` is compiled for the CPU at hand, with the vector types of the kernels. Without a C
compiler there are no peaks, and no row knows its share of them.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC", "-DNNF_ISA=native", f"-I{HERE}/../csrc")
TRIES = 3  # the best counts
ROUNDS = 5_000_000
BYTES = 2**28  # streamed, at least: this or several times the last cache
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


class Peaks:
    """Measures the peaks again and again, as on a shared machine they change."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._threads = threads
        self._x = np.ones(max(BYTES, 8 * (last_cache() or 0)) // 4, np.float32)
        try:
            with tempfile.TemporaryDirectory() as folder:
                self._libraries = [_build(bits, Path(folder)) for bits in (32, 64)]
        except (OSError, subprocess.CalledProcessError):
            self._libraries = []

    def sample(self) -> dict[str, float] | None:
        """Return flop/s by dtype and the bytes/s of memory; None where nothing can be compiled."""
        if not self._libraries:
            return None
        single, double = self._libraries
        return {
            "float32": self._flops(single),
            "float64": self._flops(double),
            "memory": self._bandwidth(single),
        }

    def _flops(self, library: Any) -> float:
        calls = [lambda: library.multiply_adds(ROUNDS)] * self._threads
        return self._threads * ROUNDS * library.flops_of_a_round() / self._seconds(calls)

    def _bandwidth(self, library: Any) -> float:
        parts = np.array_split(self._x, self._threads)
        calls = [lambda part=part: library.scale(part.ctypes.data, part.size) for part in parts]
        return 2 * self._x.nbytes / self._seconds(calls)

    def _seconds(self, calls: Sequence[Callable[[], Any]]) -> float:
        """Return how long the calls take side by side."""
        times = []
        for _ in range(TRIES):
            start = time.perf_counter()
            for done in [self._pool.submit(call) for call in calls]:
                done.result()
            times.append(time.perf_counter() - start)
        return min(times)


def last_cache() -> int | None:
    """Return the size of the largest cache in bytes; None where Linux does not tell."""
    sizes = [file.read_text().strip() for file in CACHES.glob("index*/size")]
    return max((int(size[:-1]) * 1024 for size in sizes if size.endswith("K")), default=None)


def _build(bits: int, folder: Path) -> Any:
    library, compiler = folder / f"peaks{bits}.so", shlex.split(os.environ.get("CC", "cc"))
    options = (*FLAGS, f"-DNNF_DTYPE_BITS={bits}", "-o", library)
    subprocess.run([*compiler, *options, HERE / "peaks.c"], check=True)
    loaded = ctypes.CDLL(str(library))  # releases the GIL during a call
    loaded.flops_of_a_round.restype = ctypes.c_int64
    loaded.multiply_adds.restype = ctypes.c_double
    loaded.multiply_adds.argtypes = [ctypes.c_int64]
    loaded.scale.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    return loaded
