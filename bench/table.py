"""Prints results as a table: our time, and for each peer its best setting's time over ours."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Result
from bench.peers import OURS

WIDTH = 28


def header(against: Sequence[str]) -> str:
    """Return the first line of the table."""
    columns = [f"{'row':{WIDTH}} {'':4} {OURS:>10} {'MB':>6}"]
    columns += [f" | {name:>10} {'MB':>6} {'ratio':>8}" for name in against]
    return "".join(columns)


def line(results: Sequence[Result], against: Sequence[str]) -> str:
    """Return the line of one pass of one row; ratios are medians of the peer over ours."""
    ours = next(result for result in results if result.peer == OURS)
    text = (
        f"{ours.row:{WIDTH}} {ours.what:4} {duration(ours.median):>10} {megabytes(ours.bytes):>6}"
    )
    for name in against:
        theirs = best(results, name)
        if theirs is None:
            text += f" | {'-':>10} {'':6} {'':8}"
            continue
        ratio = f"{theirs.median / ours.median:.2f}x"
        text += f" | {duration(theirs.median):>10} {megabytes(theirs.bytes):>6} {ratio:>8}"
        text += f" ({theirs.setting})" if theirs.setting else ""
    return text


def best(results: Sequence[Result], peer: str) -> Result | None:
    """Return the result of the peer's fastest setting; None if it was not measured."""
    candidates = [result for result in results if result.peer == peer]
    return min(candidates, key=lambda result: result.median, default=None)


def duration(seconds: float) -> str:
    """Write a time in a fitting unit."""
    for unit, scale in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def megabytes(count: int | None) -> str:
    """Write a number of bytes; nothing for None."""
    return "" if count is None else f"{count / 2**20:.0f}"
