"""How long each layer and a whole training step take, on every backend asked for.

The backends take turns (A B A B ...) in one process, so that whatever else the machine does hits
all alike, and medians are reported. A short call is repeated until it is long enough to time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from typing import Any

from numpy.typing import NDArray

import nnfast as nn
from nnfast._progress import Progress
from nnfast.demo.trace import Station, Trace

Array = NDArray[Any]

ROUNDS = 5
SAMPLE_SECONDS = 0.01
# NumPy's own threads go on spinning for 0.12 s after a product; wait until the CPUs are free.
PAUSE_SECONDS = 0.15


@dataclass(frozen=True)
class Row:
    """Seconds of one job by backend."""

    name: str
    seconds: dict[str, float]

    @property
    def ratio(self) -> float:
        """How many times faster native is than reference."""
        return self.seconds["reference"] / self.seconds["native"]


def measure(
    model: nn.Sequential, optimizer: nn.optim.Adam, trace: Trace, backends: Sequence[str]
) -> list[Row]:
    """Time forward + backward of each layer and of the loss, then a whole step."""
    jobs = {
        station.name: _layer(station, needs_dx=position > 0)
        for position, station in enumerate(trace.stations)
        if not isinstance(station.layer, nn.Flatten)  # takes no time
    }
    jobs["softmax cross-entropy"] = _loss(trace)
    jobs["training step"] = _step(model, optimizer, trace)
    with Progress(len(jobs) * ROUNDS, "  measuring", "round") as bar:
        return [Row(name, _time(job, backends, bar)) for name, job in jobs.items()]


def _layer(station: Station, needs_dx: bool) -> Callable[[], object]:
    layer, x, dout = deepcopy(station.layer), station.x, station.dout

    def job() -> None:
        layer.forward(x)
        layer.backward(dout, needs_dx)

    return job


def _loss(trace: Trace) -> Callable[[], object]:
    criterion = nn.CrossEntropyLoss()

    def job() -> None:
        criterion(trace.scores, trace.labels)
        criterion.backward()

    return job


def _step(model: nn.Sequential, optimizer: nn.optim.Adam, trace: Trace) -> Callable[[], object]:
    """Everything of a training step, with a learning rate of zero."""
    criterion, images = nn.CrossEntropyLoss(), trace.stations[0].x
    optimizer.lr = 0.0

    def job() -> None:
        criterion(model(images), trace.labels)
        model.backward(criterion.backward())
        optimizer.step()

    return job


def _time(job: Callable[[], object], backends: Sequence[str], bar: Progress) -> dict[str, float]:
    samples: dict[str, list[float]] = {backend: [] for backend in backends}
    repeats = {}
    for backend in backends:
        with nn.use_backend(backend):
            job()  # warm: memory, caches, threads
            repeats[backend] = max(1, round(SAMPLE_SECONDS / _sample(job, 1)))
    for _ in range(ROUNDS):
        for backend in backends:
            time.sleep(PAUSE_SECONDS)
            with nn.use_backend(backend):
                samples[backend].append(_sample(job, repeats[backend]))
        bar.update()
    return {backend: median(values) for backend, values in samples.items()}


def _sample(job: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        job()
    return (time.perf_counter() - start) / repeats
