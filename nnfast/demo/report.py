"""What the demo prints: plain ASCII in 80 columns, the same on a terminal and in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import nnfast as nn
from nnfast.demo import equality, learning, speed


def say(text: str = "") -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def head(backend: str, dtype: str, seed: int) -> None:
    """Say what runs."""
    if backend == "native":
        count = nn.runtime.get_threads()
        how = f"native ({nn.runtime.isa()}, {count} thread{'s' if count > 1 else ''})"
    else:
        how = f"reference (NumPy {np.__version__})"
    say(f"nnfast {nn.__version__}   {how}   {dtype}   seed {seed}")


def learning_head(
    model: nn.Sequential, train: NDArray[np.floating], test: NDArray[np.floating]
) -> None:
    """Say what is learned, by which network."""
    weights = sum(p.data.size for p in model.parameters())
    say()
    say("Learning")
    say(f"  {len(train):,} real MNIST digits, distorted anew each time; {len(test):,} held out")
    say("  conv 30@5x5 - ReLU - max pool 2x2 - linear 100 - ReLU - linear 10")
    say(f"  {weights:,} weights, Adam, batches of {learning.BATCH}")
    say()
    say("  epoch    training loss    test accuracy      time")


def learning_line(number: int, epoch: learning.Epoch) -> None:
    """Print one epoch."""
    say(f"  {number:5d}{epoch.loss:17.3f}{100 * epoch.accuracy:15.1f} %{epoch.seconds:8.2f} s")


def equality_table(rows: list[equality.Row], dtype: str) -> None:
    """Print the largest error of each result, its bound and the verdict."""
    say()
    say("Equality with NumPy")
    say("  largest error of each layer's results on a batch of digits, against the NumPy")
    say("  twin in float64, relative to the sums over absolute values, |A|.|B|")
    say()
    say("  layer                    result           error      bound")
    last = ""
    for row in rows:
        name = row.layer if row.layer != last else ""
        last = row.layer
        verdict = "ok" if row.ok else "FAIL"
        numbers = f"{_error(row.error):>10} {_error(row.bound):>10}"
        say(f"  {name:<24} {row.result:<11}{numbers}   {verdict}")


def _error(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def speed_table(rows: list[speed.Row], backends: list[str]) -> None:
    """Print the milliseconds of each job, and the ratio if there are two backends."""
    say()
    both = len(backends) == 2
    say("Speed against NumPy" if both else "Speed of NumPy")
    turns = ", in turn" if both else ""
    say(f"  milliseconds, median of {speed.ROUNDS} rounds{turns}, batch of {learning.BATCH}")
    say()
    titles = "    nnfast     NumPy    faster" if both else "     NumPy"
    say(f"  {'forward + backward':<24}{titles}")
    for row in rows:
        if row is rows[-1]:
            say()
        numbers = "".join(f"{1e3 * row.seconds[b]:10.3f}" for b in backends)
        say(f"  {row.name:<24}{numbers}" + (f"{row.ratio:>8.1f} x" if both else ""))


def charts(paths: list[Path] | None, out: Path) -> None:
    """Say where the charts are, or why there are none."""
    say()
    if paths is None:
        say("No charts: matplotlib is not installed (pip install matplotlib)")
    else:
        say(f"Charts in {out}: {', '.join(path.name for path in paths)}")


def summary(
    last: learning.Epoch,
    equal: list[equality.Row],
    step: speed.Row,
    backends: list[str],
    seconds: float,
) -> None:
    """Sum up in three lines."""
    good = sum(row.ok for row in equal)
    say()
    say(f"{100 * last.accuracy:.1f} % of the held-out digits recognised")
    say(f"{good} of {len(equal)} results within their bounds" + (" - FAIL" * (good < len(equal))))
    if len(backends) == 2:
        say(f"training step {step.ratio:.1f} times faster than NumPy")
    say(f"{seconds:.1f} s in all")
