"""Charts as PNG files; needs matplotlib, which is imported only when a chart is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BLUE, _GREY, _ORANGE = "#1f5a94", "#8a8f98", "#c8641e"


def available() -> bool:
    """Return whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def learning_curve(
    losses: Sequence[float], accuracies: Sequence[float], title: str, path: Path
) -> Path:
    """Draw training loss and test accuracy over the epochs.

    Parameters
    ----------
    losses, accuracies : sequence of float
        One number an epoch; accuracies from 0 to 1.
    title : str
        Stands above the chart.
    path : Path
        The PNG file to write.

    Returns
    -------
    Path
        The file.
    """
    figure = _figure(7.0, 4.2)
    left = figure.add_subplot()
    right = left.twinx()
    epochs = range(1, len(losses) + 1)
    left.plot(epochs, [100 * a for a in accuracies], color=_BLUE, marker="o", markersize=4)
    right.plot(epochs, losses, color=_ORANGE, marker="s", markersize=3, linewidth=1.2)
    left.set_xlabel("epoch")
    left.set_ylabel("test accuracy (%)", color=_BLUE)
    right.set_ylabel("training loss", color=_ORANGE)
    left.margins(y=0.12)  # room for the number at the end of the curve
    right.set_ylim(bottom=0)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.grid(color="#e4e6ea", linewidth=0.8)
    left.set_axisbelow(True)
    for axes in (left, right):
        axes.spines["top"].set_visible(False)
    last = 100 * accuracies[-1]
    left.annotate(
        f"{last:.1f} %",
        (len(losses), last),
        xytext=(0, 7),
        textcoords="offset points",
        ha="right",
        color=_BLUE,
        weight="bold",
    )
    left.set_title(title, loc="left", fontsize=11)
    return _save(figure, path)


def speed_chart(
    names: Sequence[str], ours: Sequence[float], numpy: Sequence[float], title: str, path: Path
) -> Path:
    """Draw how many times faster than NumPy each job is, its milliseconds beside it.

    Parameters
    ----------
    names : sequence of str
        The jobs, from top to bottom; the last one, the whole, is set apart by its colour.
    ours, numpy : sequence of float
        Seconds of each job.
    title : str
        Stands above the chart.
    path : Path
        The PNG file to write.

    Returns
    -------
    Path
        The file.
    """
    ratios = [theirs / own for own, theirs in zip(ours, numpy, strict=True)]
    figure = _figure(7.6, 0.42 * len(names) + 1.5)
    axes = figure.add_subplot()
    colours = [_GREY] * (len(names) - 1) + [_BLUE]
    bars = axes.barh(names, ratios, color=colours, height=0.62)
    axes.invert_yaxis()
    labels = [
        f"{ratio:.1f} x   {1e3 * theirs:.3g} ms -> {1e3 * own:.3g} ms"
        for ratio, own, theirs in zip(ratios, ours, numpy, strict=True)
    ]
    axes.bar_label(bars, labels, padding=5, fontsize=8.5)
    axes.axvline(1, color="#30343b", linewidth=1)
    axes.set_xlim(0, 1.55 * max(*ratios, 1.0))
    axes.set_xlabel("times faster than NumPy (line: as fast as NumPy)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, loc="left", fontsize=11)
    return _save(figure, path)


def _figure(width: float, height: float) -> Any:
    """Return a figure of its own canvas: no window, and no change to the user's pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path)
    return path
