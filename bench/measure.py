"""Times the peers on a row in turn (A B A B ...): a noisy machine then slows all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib import metadata
from typing import Any, NamedTuple

from bench import peaks
from bench.peers import OURS, PEERS, Peer
from bench.rows import Row

PAUSE = 0.2  # seconds between turns: idle BLAS threads of the last peer spin for up to 0.1 s


class Plan(NamedTuple):
    """How to measure: against whom, with what, for how long."""

    against: Sequence[str]
    dtype: str = "float32"
    threads: int = 2
    rounds: int = 5
    seconds: float = 0.1  # of each peer's turn


class Result(NamedTuple):
    """What one setting of one peer needs for a call: times in seconds, memory in bytes."""

    row: str
    what: str  # the pass
    peer: str
    setting: str
    median: float
    low: float  # quartiles
    high: float
    calls: int
    bytes: int | None


def measure(rows: Sequence[Row], plan: Plan) -> Iterator[list[Result]]:
    """Yield, for each pass of each row, the results of all peers, ours first."""
    told: set[str] = set()
    for row in rows:
        with ExitStack() as stack:
            peers = {}
            for name in (OURS, *plan.against):
                for label, setting in PEERS[name].items():
                    if setting.images_only and not row.has_images:
                        continue
                    peer = Peer(setting, row, plan.dtype, plan.threads)
                    stack.callback(peer.close)
                    peers[name, label] = peer
            for key, answer in [(key, peer.start()) for key, peer in peers.items()]:
                if "skip" in answer:
                    del peers[key]
                about = answer.get("where") or f"skipped, {answer['skip']}"
                _tell(told, f"{' '.join(key).strip()}: {about}")
            if (OURS, "") not in peers:
                raise SystemExit(f"{OURS} cannot be measured, see above")
            for what in peers[OURS, ""].times:
                sharing = {key: peer for key, peer in peers.items() if what in peer.times}
                for _ in range(plan.rounds):
                    for peer in sharing.values():
                        time.sleep(PAUSE)
                        peer.turn(what, plan.seconds)
                yield [_result(row, what, *key, peer) for key, peer in sharing.items()]


def machine(plan: Plan) -> dict[str, Any]:
    """Describe where and how the measurement was made."""
    return {
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "cache": peaks.last_cache(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("nnfast", "numpy", "torch")},
        **{key: value for key, value in plan._asdict().items() if key != "against"},
    }


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _result(row: Row, what: str, name: str, label: str, peer: Peer) -> Result:
    times = sorted(peer.times[what])
    low, high = times[len(times) // 4], times[-1 - len(times) // 4]
    return Result(
        row.name, what, name, label, statistics.median(times), low, high, len(times), peer.bytes
    )


def _tell(told: set[str], line: str) -> None:
    if line not in told:
        told.add(line)
        print(f"# {line}", file=sys.stderr)
