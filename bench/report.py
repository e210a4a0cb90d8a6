"""Draws results, ours or pytest-benchmark's, as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from bench.measure import Result
from bench.peers import OURS
from bench.svg import Mark, chart
from bench.table import best, duration

REFERENCE = "reference"
STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --faint: #6b7280; --rule: #e3e6ea; --page: #fff;
  --native: #2563eb; --reference: #9aa1ab; --torch: #e4572e; --other: #0f9d76; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa1ab; --rule: #30343b;
  --page: #16181c; --native: #6ea0ff; --torch: #ff8a66; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p, .tick { color: var(--faint); } svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--ink); } svg .tick { fill: var(--faint); text-anchor: middle; }
svg .label { text-anchor: end; } svg .value { font-weight: 600; }
.grid { stroke: var(--rule); } .pointer { stroke: var(--faint); stroke-width: 1.5; }
.span { stroke-width: 3; stroke-opacity: 0.45; stroke: var(--other); }
circle { fill: var(--other); }
.dot { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 50%;
  margin: 0 0.4em 0 1.2em; background: var(--other); }
.native { fill: var(--native); stroke: var(--native); background: var(--native); }
.reference { fill: var(--reference); stroke: var(--reference); background: var(--reference); }
.torch { fill: var(--torch); stroke: var(--torch); background: var(--torch); }
circle { stroke: none !important; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; }
"""


def write(files: Sequence[Path], out: Path) -> None:
    """Write the page about all results in `files` to `out`."""
    sections = []
    for file in files:
        try:
            content = json.loads(file.read_text())
            results = load(content)
        except (OSError, ValueError) as error:
            raise SystemExit(f"{file}: {error}") from None
        if not results:
            raise SystemExit(f"{file}: no results of `python -m bench` or pytest-benchmark in it")
        sections.append(section(file.name, describe(content), results))
    out.write_text(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>nnfast benchmarks</title>\n<style>{STYLE}</style>\n"
        f"<h1>nnfast benchmarks</h1>\n{''.join(sections)}</html>\n"
    )


def load(content: Any) -> list[Result]:
    """Return the results in a JSON file of `python -m bench --json` or of pytest-benchmark."""
    if "benchmarks" not in content:
        return [Result(**result) for result in content.get("results", [])]
    results = []
    for bench in content["benchmarks"]:
        stats, extra = bench["stats"], bench.get("extra_info", {})
        row = extra.get("row") or bench.get("group") or bench["name"].partition("[")[0]
        peer = extra.get("peer") or bench.get("param") or bench["name"]
        times = (stats["median"], stats["q1"], stats["q3"])
        results.append(Result(row, extra.get("what", ""), peer, "", *times, stats["rounds"], None))
    return results


def describe(content: Any) -> str:
    """Return a line about the machine and the settings."""
    if "benchmarks" not in content:
        return ", ".join(f"{key} {value}" for key, value in content.get("machine", {}).items())
    machine = content.get("machine_info", {})
    cpu = machine.get("cpu", {})
    about = [cpu.get("brand_raw", machine.get("machine", "")), f"{cpu.get('count', '?')} cpus"]
    return ", ".join([*about, f"python {machine.get('python_version', '?')}", "pytest-benchmark"])


def section(title: str, about: str, results: Sequence[Result]) -> str:
    """Return the HTML about one file."""
    peers = sorted({result.peer for result in results}, key=_order)
    rows: dict[str, dict[str, Result]] = {}
    for label in dict.fromkeys(_label(result) for result in results):
        group = [result for result in results if _label(result) == label]
        found = {peer: best(group, peer) for peer in peers}
        rows[label] = {peer: result for peer, result in found.items() if result}
    legend = "".join(f'<span class="dot {escape(peer)}"></span>{escape(peer)}' for peer in peers)
    parts = [f"<h2>{escape(title)}</h2>\n<p>{escape(about)}</p>\n<p>{legend}</p>\n"]
    compared = {label: row for label, row in rows.items() if REFERENCE in row and len(row) > 1}
    if compared:
        lines = [(label, _speedups(row)) for label, row in compared.items()]
        lines.sort(key=lambda line: -next(iter(line[1].values())).median)
        parts.append("<h3>Times faster than the NumPy reference</h3>\n")
        parts.append(chart(lines, lambda value: f"{value:.3g}x", pointer=1))
    lines = [(label, {p: _mark(r) for p, r in row.items()}) for label, row in rows.items()]
    lines.sort(key=lambda line: next(iter(line[1].values())).median)
    parts.append("<h3>Time of a call, median and quartiles</h3>\n")
    parts.append(chart(lines, duration))
    return "".join([*parts, _table(rows, peers)])


def _table(rows: dict[str, dict[str, Result]], peers: Sequence[str]) -> str:
    cells = "".join(f"<th>{escape(peer)}<th>{_ratio_title(peer)}" for peer in peers)
    lines = [f"<h3>Numbers</h3>\n<table>\n<tr><th>row{cells}"]
    for label, row in rows.items():
        cells = f"<tr><td>{escape(label)}"
        for peer in peers:
            result, base = row.get(peer), row.get(REFERENCE)
            ratio = f"{base.median / result.median:.2f}x" if base and result else ""
            cells += f"<td>{duration(result.median) if result else '-'}<td>"
            cells += "" if peer == REFERENCE else ratio
        lines.append(cells)
    return "\n".join([*lines, "</table>\n"])


def _ratio_title(peer: str) -> str:
    return "" if peer == REFERENCE else "faster than reference"


def _speedups(row: dict[str, Result]) -> dict[str, Mark]:
    base = row[REFERENCE].median
    return {
        peer: Mark(base / result.high, base / result.median, base / result.low)
        for peer, result in row.items()
        if peer != REFERENCE
    }


def _mark(result: Result) -> Mark:
    return Mark(result.low, result.median, result.high)


def _label(result: Result) -> str:
    return f"{result.row} {result.what}".strip()


def _order(peer: str) -> tuple[bool, bool, str]:
    return peer != OURS, peer != REFERENCE, peer
