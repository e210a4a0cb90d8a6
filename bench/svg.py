"""Draws ratios as an SVG file: one line for each row, a mark for each pass, a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby

from bench.rows import FORWARD
from bench.summary import Line

LABEL, WIDTH, RIGHT, LINE, TOP = 230, 520, 100, 17, 56  # pixels
STYLE = """
svg { font: 11px system-ui, sans-serif; background: #fff; }
text { fill: #1d2129; } .tick, .legend { fill: #6b7280; } .tick { text-anchor: middle; }
.label { text-anchor: end; } .title { font-weight: 600; font-size: 13px; }
.grid { stroke: #e3e6ea; } .one { stroke: #6b7280; stroke-width: 1.5; }
.target { stroke: #1d2129; stroke-width: 1.5; }
.span { stroke-width: 3; stroke-opacity: 0.35; }
.forward { fill: #9aa1ab; stroke: #9aa1ab; } .whole { fill: #2563eb; stroke: #2563eb; }
.below { fill: #e4572e; stroke: #e4572e; } circle { stroke: none !important; }
"""
LEGEND = (("forward", "forward"), ("whole", "step, forward + backward"), ("below", "below target"))
Scale = Callable[[float], float]


def plot(sections: Sequence[tuple[str, Sequence[Line]]]) -> str:
    """Return the plot of titled sections of rows; rows without a ratio are left out."""
    compared = [(title, [line for line in lines if line.span]) for title, lines in sections]
    ends = [end for _, lines in compared for line in lines for end in line.span or ()]
    first, last = min([1.0, *ends]) / 1.1, max([1.0, *ends]) * 1.1

    def x(value: float) -> float:
        return LABEL + WIDTH * math.log(value / first) / math.log(last / first)

    body: list[str] = []
    y = TOP
    for title, lines in compared:
        body.append(f'<text class="title" x="10" y="{y + LINE}">{escape(title)}</text>')
        y += 2 * LINE
        for name, passes in groupby(lines, key=lambda line: line.row.name):
            body += _row(name, list(passes), x, y)
            y += LINE
    size = f'viewBox="0 0 {LABEL + WIDTH + RIGHT} {y + LINE}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<style>{STYLE}</style>",
        f'<rect width="{LABEL + WIDTH + RIGHT}" height="{y + LINE}" fill="#fff"/>',
        '<text class="title" x="10" y="20">Times faster than the best other library</text>',
        *_legend(),
    ]
    for tick in ticks(first, last):
        head.append(_vertical("one" if tick == 1 else "grid", x(tick), TOP - 4, y))
        head.append(f'<text class="tick" x="{x(tick):.1f}" y="{TOP - 9}">{tick:g}</text>')
    return "\n".join([*head, *body, "</svg>\n"])


def ticks(first: float, last: float) -> list[float]:
    """Return round values between first and last, not too many."""
    exponents = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**exponent for exponent in exponents for step in steps]
        values = [value for value in values if first <= value <= last]
        if len(values) <= 9:
            break
    return values


def _row(name: str, passes: Sequence[Line], x: Scale, y: int) -> Iterator[str]:
    yield f'<text class="label" x="{LABEL - 8}" y="{y + 4}">{escape(name)}</text>'
    for line in passes:
        assert line.span is not None and line.ratio is not None
        (low, high), ratio = line.span, line.ratio
        kind = "forward" if line.what == FORWARD else "whole"
        kind = "below" if line.below else kind
        tip = f"{name} {line.what}: {ratio:.2f}"
        yield (
            f'<line class="span {kind}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="{kind}" cx="{x(ratio):.1f}" cy="{y}" r="4.5">'
            f"<title>{escape(tip)}</title></circle>"
        )
    target = passes[-1].row.target(passes[-1].what)
    if target != 1:
        yield _vertical("target", x(target), y - 6, y + 6)
    values = " / ".join(f"{line.ratio:.2f}" for line in passes)
    yield f'<text x="{LABEL + WIDTH + 10}" y="{y + 4}">{values}</text>'


def _legend() -> Iterator[str]:
    at = 320
    for kind, text in LEGEND:
        yield f'<circle class="{kind}" cx="{at}" cy="16" r="4.5"/>'
        yield f'<text class="legend" x="{at + 9}" y="20">{text}</text>'
        at += 60 + 6 * len(text)
    yield _vertical("target", at, 10, 22)
    yield f'<text class="legend" x="{at + 7}" y="20">target</text>'


def _vertical(kind: str, x: float, top: int, bottom: int) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
