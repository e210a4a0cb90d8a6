"""The compiled part at run time: threads, instruction set, memory, and a summary for bug reports.

Settings hold for the whole process. Start values come from the environment: ``NNFAST_NUM_THREADS``
(else ``OMP_NUM_THREADS``, else the CPUs this process may use) and ``NNFAST_ISA``.
"""

from __future__ import annotations

import os
import platform
import re
from types import TracebackType
from typing import Any

import numpy as np

from nnfast import backend

NO_OPENMP = "built without OpenMP: every kernel runs on one thread"
_OPENMP_LIBRARY = re.compile(r"/lib(?:g|i)?omp[^/]*\.(?:so|dylib)[^/]*$")


class threads:
    """Let kernels use up to `n` threads: from now on, or in a ``with`` statement for its body.

    Results do not depend on the number of threads.

    Parameters
    ----------
    n : int
        From 1 to 4096.

    Raises
    ------
    TypeError, ValueError
        n is no integer or out of range.
    ImportError
        There is no compiled part.

    Examples
    --------
    >>> nnfast.runtime.threads(4)           # from here on
    >>> with nnfast.runtime.threads(1):     # and one in here
    ...     y = model(x)
    """

    def __init__(self, n: int) -> None:
        self._before = get_threads()
        backend.native().runtime_set_threads(n)

    def __enter__(self) -> threads:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        backend.native().runtime_set_threads(self._before)

    def __repr__(self) -> str:
        return f"threads({get_threads()})"


def get_threads() -> int:
    """Return how many threads the next kernel may use."""
    return int(backend.native().runtime_get_threads())


def isa() -> str:
    """Return the instruction set in use, the best of those compiled in that this CPU has."""
    return str(backend.native().runtime_isa())


def memory() -> dict[str, int]:
    """Return the bytes of the memory pool.

    Freed blocks stay cached for the next arrays up to a limit; `trim` gives them back.

    Returns
    -------
    dict
        With keys in_use (by arrays and running kernels), cached (free, for the next ones), limit
        (of cached, see ``NNFAST_POOL_LIMIT``) and peak (the most that was in use so far). Arrays of
        less than 1 KiB are NumPy's own and do not count.
    """
    return dict(backend.native().runtime_memory())


def trim() -> None:
    """Give the cached blocks of the memory pool back to the operating system."""
    backend.native().runtime_trim()


class Info(dict[str, Any]):
    """A dict that prints as a table."""

    def __str__(self) -> str:
        lines = []
        for name, value in self.items():
            if isinstance(value, dict):
                value = [f"{key}={item}" for key, item in value.items()]
            if isinstance(value, list):
                value = ", ".join(value) or "none"
            lines.append(f"{name:<16} {value}")
        return "\n".join(lines)

    __repr__ = __str__


def info() -> Info:
    """Return what a bug report should say: versions, CPU features, threads, environment.

    Returns
    -------
    Info
        A dict with keys nnfast, python, numpy, platform, backend, isa, isas (compiled in), threads,
        openmp, openmp_runtimes (loaded files, Linux), environment and warnings. Without the
        compiled part, isa, isas, threads and openmp are missing and the warnings say so.
    """
    from importlib.metadata import PackageNotFoundError, version

    warnings: list[str] = []
    try:
        own_version = version("nnfast")
    except PackageNotFoundError:
        own_version = "not installed"
    result = Info(
        nnfast=own_version,
        python=platform.python_version(),
        numpy=np.__version__,
        platform=platform.platform(),
        backend=backend.get_backend(),
    )
    try:
        core = backend.native()
    except ImportError as error:
        warnings.append(str(error))
    else:
        openmp = bool(core.runtime_openmp())
        threads = get_threads() if openmp else 1
        result.update(isa=isa(), isas=core.runtime_isas(), threads=threads, openmp=openmp)
        if not openmp:
            warnings.append(NO_OPENMP)
        warnings += _ignored(isa())
    runtimes = openmp_runtimes()
    if sum("libomp" in path or "libiomp" in path for path in runtimes) > 1:
        warnings.append("two OpenMP runtimes of the libomp family are loaded; they may clash")
    known = ("NNFAST_", "OMP_", "KMP_", "GOMP_")
    result["openmp_runtimes"] = runtimes
    result["environment"] = {k: v for k, v in sorted(os.environ.items()) if k.startswith(known)}
    result["warnings"] = warnings
    return result


def _ignored(isa: str) -> list[str]:
    """Say which environment variables have a value that counts for nothing."""
    warnings = []
    asked = os.environ.get("NNFAST_ISA")
    if asked and asked != isa:
        warnings.append(f"NNFAST_ISA={asked} is not what this CPU and build have: {isa} is in use")
    for name, least, most in (("NNFAST_NUM_THREADS", 1, 4096), ("NNFAST_POOL_LIMIT", 0, 2**62)):
        text = os.environ.get(name)
        if text and not (text.isdecimal() and least <= int(text) <= most):
            warnings.append(f"{name}={text} was ignored: it is no number from {least} on")
    return warnings


def openmp_runtimes() -> list[str]:
    """Return the OpenMP libraries loaded into this process (on Linux; else an empty list)."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            files = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    except OSError:
        return []
    return sorted(path for path in files if _OPENMP_LIBRARY.search(path))
