"""The peers that take turns: how each one's process is started and talked to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bench.rows import Row

ROOT = Path(__file__).parent.parent
OURS = "native"
TUNED_MALLOC = {  # keeps freed memory: takes away the page faults of fresh results
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
}


class Setting(NamedTuple):
    """A way to run a library: the module that builds rows, options for it, its environment."""

    module: str
    library: str
    options: dict[str, Any]
    environment: dict[str, str]
    images_only: bool = False


def _torch(channels_last: bool, environment: dict[str, str]) -> Setting:
    options = {"channels_last": True} if channels_last else {}
    return Setting("bench.on_torch", "torch", options, environment, channels_last)


# The settings of a peer; the best of them counts.
PEERS = {
    OURS: {"": Setting("bench.on_nnfast", "nnfast", {}, {"NNFAST_BACKEND": "native"})},
    "reference": {"": Setting("bench.on_nnfast", "nnfast", {}, {"NNFAST_BACKEND": "reference"})},
    "torch": {
        "eager": _torch(False, {}),
        "channels last": _torch(True, {}),
        "tuned malloc": _torch(False, TUNED_MALLOC),
        "channels last, tuned malloc": _torch(True, TUNED_MALLOC),
    },
}


class Peer:
    """A worker process for one row. `skip` says why it cannot be measured, if so."""

    def __init__(self, setting: Setting, row: Row, dtype: str, threads: int) -> None:
        names = ("OMP", "OPENBLAS", "MKL", "NNFAST")
        count = {f"{name}_NUM_THREADS": str(threads) for name in names}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **count, **setting.environment},
            text=True,
        )
        self.times: dict[str, list[float]] = {}
        self.bytes: int | None = None
        self._send(
            module=setting.module,
            library=setting.library,
            options=setting.options,
            dtype=row.dtype or dtype,
            threads=threads,
            row=row,
        )

    def start(self) -> dict[str, Any]:
        """Wait until the row is built; returns the answer: passes and where, or skip."""
        answer = self._receive()
        self.times = {name: [] for name in answer.get("passes", [])}
        return answer

    def turn(self, name: str, seconds: float) -> None:
        """Let the process time pass `name` for about `seconds`."""
        self._send(**{"pass": name, "seconds": seconds})
        answer = self._receive()
        self.times[name] += answer["times"]
        self.bytes = answer["bytes"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, **message: Any) -> None:
        assert self._process.stdin is not None
        print(json.dumps(message), file=self._process.stdin, flush=True)

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"a worker ended with code {self._process.wait()}; see above for why"
            )
        return json.loads(line)
