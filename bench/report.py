"""Writes the document about a file of results, Markdown with a plot beside it.

The text follows from the results alone: written again from the same file it is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import svg, worker
from bench.kept import Kept
from bench.summary import NEAR, Line, geometric_mean, lines
from bench.table import duration, megabytes

TITLES = {"steps": "Training steps", "inference": "Inference", "layers": "Layers"}
LEADS = {
    "steps": "Forward, loss, backward and the optimizer's step; the transformer block forward and "
    "backward alone.\nThe networks are those of `bench/networks.py`.",
    "inference": "A forward pass in evaluation mode.",
    "layers": "Single operations: forward (f), forward + backward (f+b), or an optimizer's step.\n"
    "Their shapes are in `bench/layers.py`. The smallest show what a call costs; about 0.1 us of "
    "each\ntime is the clock's.",
}
MARK = "▼"  # not as good as it is to be
HOW = f"""\
## How it was measured

Each setting of each library runs in a process of its own. The processes take turns, A B A B …, so
that a busy machine slows all of them alike. A turn is a call that is not timed, to fill the caches
again, and then {worker.LEAST_CALLS} calls or more; a time is the median of all calls. **Ratios are
more reliable than times**, but they change too where a machine is shared: the *spread* is from the
quartiles nearest to each other to those farthest apart, and a longer measurement (`--repeat`)
narrows it. A ratio is the time of the *best other*, the fastest setting of all other libraries,
over ours: above 1 we are faster. For PyTorch the settings are eager or channels last, with malloc
as it is or tuned to keep freed memory.

- **target**: the ratio this row is to reach. {MARK} marks a ratio below it: work to be done; and
  where it is below 1, the other library is the better choice.
- **floor**: the time for the arithmetic of the direct computation at the machine's peak (*flops*),
  or for the bytes that must move, each input read and each result written once, at the bandwidth of
  the memory (*bytes*, *cache*), whichever is longer. `bench/floor.py` has the formulas.
- **share**: the floor over our time. {MARK} marks a row bound by memory (*bytes*) that is more than
  {NEAR} times above its floor. More than 100 % is possible: Winograd's convolutions multiply less
  than the direct computation, and bytes that fit the last cache (*cache*), or stay there in part,
  move faster than memory does.
- **memory**: by how many MB the process's peak grew since before the row was built, for all passes
  of the row together. {MARK} marks over a MB more than the best other needs.

The peaks are measured by the same command after each row, as on a shared machine they change, the
bandwidth of a virtual one by a factor of two. The lower quartile counts, what was there three times
out of four; the range is beside it. They are multiply-adds in registers, and an array much larger
than the last cache, read and written in place, on all threads (`bench/peaks.c`).
"""


def write(file: Path) -> list[Path]:
    """Write the document and the plot about `file` beside it; returns both paths."""
    kept = Kept.load(file)
    found = lines(kept)
    if not found:
        raise SystemExit(f"{file}: no row of it is measured any more")
    page, plot = file.with_suffix(".md"), file.with_suffix(".svg")
    plot.write_text(svg.plot([(TITLES[kind], group) for kind, group in found.items()]))
    page.write_text(document(kept, found, plot.name))
    return [page, plot]


def document(kept: Kept, found: dict[str, list[Line]], plot: str) -> str:
    """Return the text."""
    data = kept.file.name
    parts = [
        "# Performance\n",
        f"Written by `python -m bench performance`; what it measured is in [{data}]({data}).\n",
        about(kept),
        f"![Times faster than the best other library, by row]({plot})\n",
        overview(found),
        HOW,
    ]
    for kind, group in found.items():
        parts += [f"## {TITLES[kind]}\n", LEADS[kind] + "\n", table(group)]
    return "\n".join(parts)


def about(kept: Kept) -> str:
    """Say where, when and with what it was measured."""
    machine = kept.machine
    cache = f", last cache {megabytes(machine['cache'])} MB" if machine["cache"] else ""
    names = {"nnfast": "nnfast", "numpy": "NumPy", "torch": "PyTorch"}
    versions = [f"{name} {machine[key]}" for key, name in names.items() if machine[key]]
    lines = [
        f"- **machine**: {machine['cpu']}, {machine['cpus']} CPUs{cache}; {machine['system']}",
        f"- **versions**: {', '.join(versions)}, Python {machine['python']}",
        f"- **date**: {kept.date}",
        f"- **setting**: {machine['dtype']} where the row does not say otherwise, "
        f"{machine['threads']} threads, at least {machine['rounds']} turns of "
        f"{machine['seconds']} s",
    ]
    peaks = "not measured, as there was no C compiler; so no row knows its share of them"
    if kept.peaks:
        units = {"float32": "GFLOP/s", "float64": "GFLOP/s", "memory": "GB/s"}
        peaks = ", ".join(
            f"{name} {kept.peaks[name] / 1e9:.0f} {unit} "
            f"({kept.rates[name][0] / 1e9:.0f} to {kept.rates[name][-1] / 1e9:.0f})"
            for name, unit in units.items()
        )
    return "\n".join([*lines, f"- **peaks**: {peaks}\n"])


def overview(found: dict[str, list[Line]]) -> str:
    """Return a table of the kinds of rows: mean ratio, and what is below target."""
    text = ["| | rows | geometric mean of the ratios | below target |", "| --- | --- | --- | --- |"]
    for kind, group in found.items():
        ratios = [line.ratio for line in group if line.ratio is not None]
        mean = f"{geometric_mean(ratios):.2f}" if ratios else "-"
        below = ", ".join(f"{_label(line)} ({line.ratio:.2f})" for line in group if line.below)
        text.append(f"| {TITLES[kind]} | {len(group)} | {mean} | {below or 'none'} |")
    return "\n".join(text) + "\n"


def table(group: Sequence[Line]) -> str:
    """Return the table of one kind of rows."""
    heads = ["row", "pass", "time", "best other", "its setting", "ratio", "spread", "target"]
    heads += ["floor", "share", "memory", "its memory"]
    text = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    text += [f"| {' | '.join(_cells(line))} |" for line in group]
    return "\n".join(text) + "\n"


def _cells(line: Line) -> list[str]:
    other, floor, share, ratio = line.other, line.floor, line.share, line.ratio
    return [
        line.row.name,
        line.what,
        duration(line.ours.median),
        duration(other.median) if other else "-",
        f"{other.peer} {other.setting}".strip() if other else "-",
        "-" if ratio is None else _marked(f"**{ratio:.2f}**", line.below),
        f"{line.span[0]:.2f}-{line.span[1]:.2f}" if line.span else "-",
        f"{line.row.target(line.what):.1f}",
        f"{duration(floor.seconds)}, {floor.bound}" if floor else "not measured",
        "not measured" if share is None else _marked(f"{share:.0%}", line.far),
        _marked(megabytes(line.ours.bytes), line.larger),
        megabytes(other.bytes) if other else "-",
    ]


def _marked(text: str, mark: bool) -> str:
    return f"{text} {MARK}" if mark else text


def _label(line: Line) -> str:
    return line.row.name if line.what == "step" else f"{line.row.name} {line.what}"
