"""Draws a chart as an SVG element: one line for each row, one mark for each peer, a log axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

LABEL, WIDTH, RIGHT, LINE, TOP = 250, 560, 90, 22, 34  # pixels


class Mark(NamedTuple):
    """A median with its quartiles."""

    low: float
    median: float
    high: float


Line = tuple[str, Mapping[str, Mark]]  # label, mark of each peer


def chart(lines: Sequence[Line], name: Callable[[float], str], pointer: float | None = None) -> str:
    """Return the chart; `name` writes a value, `pointer` is a value to mark by a vertical line."""
    ends = [end for _, marks in lines for mark in marks.values() for end in mark]
    if pointer is not None:
        ends.append(pointer)
    first, last = min(ends) / 1.2, max(ends) * 1.2

    def x(value: float) -> float:
        return LABEL + WIDTH * math.log(value / first) / math.log(last / first)

    bottom = TOP + LINE * len(lines)
    parts = [f'<svg viewBox="0 0 {LABEL + WIDTH + RIGHT} {bottom + 8}" role="img">']
    for tick in ticks(first, last):
        at = f"{x(tick):.1f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{TOP - 12}">{name(tick)}</text>')
    if pointer is not None:
        at = f"{x(pointer):.1f}"
        parts.append(f'<line class="pointer" x1="{at}" x2="{at}" y1="{TOP - 6}" y2="{bottom}"/>')
    for i, (label, marks) in enumerate(lines):
        y = TOP + LINE * (i + 0.5)
        parts.append(f'<text class="label" x="{LABEL - 10}" y="{y + 4}">{escape(label)}</text>')
        for peer, mark in marks.items():
            parts += _mark(peer, mark, x, y, f"{label}: {peer} {name(mark.median)}")
        largest = max(mark.high for mark in marks.values())
        ours = next(iter(marks.values()))
        at = f"{x(largest) + 10:.1f}"
        parts.append(f'<text class="value" x="{at}" y="{y + 4}">{name(ours.median)}</text>')
    return "\n".join([*parts, "</svg>"])


def _mark(
    peer: str, mark: Mark, x: Callable[[float], float], y: float, tip: str
) -> tuple[str, str]:
    kind = escape(peer)
    return (
        f'<line class="span {kind}" x1="{x(mark.low):.1f}" x2="{x(mark.high):.1f}" '
        f'y1="{y}" y2="{y}"/>',
        f'<circle class="{kind}" cx="{x(mark.median):.1f}" cy="{y}" r="5.5">'
        f"<title>{escape(tip)}</title></circle>",
    )


def ticks(first: float, last: float) -> list[float]:
    """Return round values between first and last, not too many."""
    exponents = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**exponent for exponent in exponents for step in steps]
        values = [value for value in values if first <= value <= last]
        if len(values) <= 9:
            break
    return values
