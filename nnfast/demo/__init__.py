"""``nnfast demo``: learn real digits, compare every layer with NumPy, measure the speed."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

import nnfast as nn
from nnfast import plot
from nnfast.datasets import load_digits_sample
from nnfast.demo import equality, learning, report, speed
from nnfast.demo.trace import follow

EPOCHS = 15


def run(
    epochs: int = EPOCHS,
    backend: str | None = None,
    dtype: str = "float32",
    seed: int = 0,
    threads: int | None = None,
    out: str | os.PathLike[str] = "nnfast-demo",
) -> bool:
    """Run the demo and print what it finds.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    backend : {"native", "reference"}, optional
        What learns and is compared with the NumPy twins; the one in use if not given.
    dtype : {"float32", "float64"}
        Precision.
    seed : int
        Of weights, order and distortion; the same seed gives the same run, whatever the threads.
    threads : int, optional
        Most threads for the kernels.
    out : path-like
        Folder for the charts.

    Returns
    -------
    bool
        Whether every error was within its bound.
    """
    start = time.perf_counter()
    backend = backend or nn.get_backend()
    limit = nullcontext() if threads is None else nn.runtime.threads(threads)
    with limit, nn.use_backend(backend):
        return _run(epochs, backend, dtype, seed, Path(out), start)


def _run(epochs: int, backend: str, dtype: str, seed: int, out: Path, start: float) -> bool:
    if plot.available():  # a folder that cannot be made is better known now than after the work
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"no folder for the charts, name one with --out: {error}") from error
    report.head(backend, dtype, seed)
    rng = np.random.default_rng(seed)
    (x, labels), (x_test, labels_test) = load_digits_sample()
    x, x_test = x.astype(dtype, copy=False), x_test.astype(dtype, copy=False)
    model, layers = learning.build(rng, dtype)
    optimizer = nn.optim.Adam(model.parameters())

    report.learning_head(model, x, x_test)
    history = []
    for epoch in learning.train(model, optimizer, (x, labels), (x_test, labels_test), epochs, rng):
        history.append(epoch)
        report.learning_line(len(history), epoch)

    trace = follow(layers, x[: learning.BATCH], labels[: learning.BATCH])
    equal = equality.compare(trace, optimizer, backend)
    report.equality_table(equal, dtype)

    backends = ["reference"] if backend == "reference" else ["native", "reference"]
    times = speed.measure(model, optimizer, trace, backends)
    report.speed_table(times, backends)

    charts = _charts(history, times, backends, f"{backend}, {dtype}, seed {seed}", out)
    report.charts(charts, out)
    report.summary(history[-1], equal, times[-1], backends, time.perf_counter() - start)
    return all(row.ok for row in equal)


def _charts(
    history: list[learning.Epoch],
    times: list[speed.Row],
    backends: list[str],
    what: str,
    out: Path,
) -> list[Path] | None:
    """Draw what there is to draw; None if matplotlib is missing."""
    if not plot.available():
        return None
    losses, accuracies = [e.loss for e in history], [e.accuracy for e in history]
    title = f"Learning 4,000 MNIST digits ({what})"
    charts = [plot.learning_curve(losses, accuracies, title, out / "learning.png")]
    if len(backends) == 2:
        names = [row.name for row in times]
        ours, theirs = ([row.seconds[b] for row in times] for b in backends)
        title = f"Forward + backward, batch of {learning.BATCH} ({what})"
        charts.append(plot.speed_chart(names, ours, theirs, title, out / "speed.png"))
    return charts
