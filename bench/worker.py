"""One peer in a process of its own: builds a row, then times a pass whenever it is asked to.

Reads a JSON object a line from standard input and answers each with one on standard output. The
first line is the job, see `peers.Peer`; then come {"pass": name, "seconds": s}; the end of the
input ends the worker. Whatever else wants to print goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.rows import Row

WARM_UP = 0.1  # seconds
LEAST_CALLS, MOST_CALLS = 3, 10000  # in one turn


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    job = json.loads(sys.stdin.readline())
    try:
        module = importlib.import_module(job["module"])
        prepare(job)
        before = memory("VmRSS")
        row = Row(*job["row"])
        passes = module.build(row, job["dtype"], **job["options"])
    except ImportError as error:
        answer(skip=str(error))
        return
    for call in passes.values():
        measure(call, WARM_UP)
    gc.disable()
    answer(passes=list(passes), where=where(job["library"]))
    for line in sys.stdin:
        turn = json.loads(line)
        call = passes[turn["pass"]]
        call()  # brings back what other peers have pushed out of the caches
        times = measure(call, turn["seconds"])
        peak = memory("VmHWM")
        answer(times=times, bytes=None if before is None or peak is None else peak - before)


def prepare(job: dict[str, Any]) -> None:
    """Set the number of threads where the environment alone does not."""
    if job["module"] == "bench.on_torch":
        import torch

        torch.set_num_threads(job["threads"])


def where(library: str) -> str:
    """Say which version of a library is measured, and where it lies."""
    module = importlib.import_module(library)
    return f"{library} {metadata.version(library)} in {Path(module.__file__ or '').parent}"


def measure(call: Any, seconds: float) -> list[float]:
    """Time single calls until `seconds` are used up; at least LEAST_CALLS."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST_CALLS or (time.perf_counter() < end and len(times) < MOST_CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def memory(field: str) -> int | None:
    """Return a field of /proc/self/status in bytes; None where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)


if __name__ == "__main__":
    main()
