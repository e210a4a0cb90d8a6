"""Results put together: each pass of a row with its best peer, its target and its floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench import floor
from bench.kept import Kept
from bench.measure import Result
from bench.peers import OURS
from bench.rows import ROWS, Row
from bench.table import best

NEAR = 1.3  # how far above its floor a row may be that moves bytes


class Line(NamedTuple):
    """A pass of a row: ours, the fastest setting of all peers, and the floor under both."""

    row: Row
    what: str
    ours: Result
    other: Result | None
    floor: floor.Floor | None

    @property
    def ratio(self) -> float | None:
        """How many times as long as ours the best peer takes."""
        return self.other.median / self.ours.median if self.other else None

    @property
    def span(self) -> tuple[float, float] | None:
        """The ratio's range: of the quartiles that are nearest, and of those farthest apart."""
        if self.other is None:
            return None
        return self.other.low / self.ours.high, self.other.high / self.ours.low

    @property
    def below(self) -> bool:
        """Whether the ratio is below its target."""
        return self.ratio is not None and self.ratio < self.row.target(self.what)

    @property
    def share(self) -> float | None:
        """The floor's part of our time."""
        return self.floor.seconds / self.ours.median if self.floor else None

    @property
    def far(self) -> bool:
        """Whether a row that is bound by memory is too far above its floor."""
        bound = self.floor is not None and self.floor.bound == "bytes"
        return bound and self.share is not None and self.share * NEAR < 1

    @property
    def larger(self) -> bool:
        """Whether ours needs more memory than the best peer, by more than a megabyte."""
        ours, other = self.ours.bytes, self.other.bytes if self.other else None
        return ours is not None and other is not None and ours > other + 2**20


def lines(kept: Kept) -> dict[str, list[Line]]:
    """Return the lines of each kind of row, in the order of `rows`; rows of today alone."""
    peaks, dtype, cache = kept.peaks, kept.machine["dtype"], kept.machine["cache"]
    groups: dict[str, dict[str, list[Result]]] = {}
    for result in kept.results:
        groups.setdefault(result.row, {}).setdefault(result.what, []).append(result)

    def line(row: Row, what: str) -> Line:
        under = floor.floor(row, what, dtype, peaks, cache) if peaks else None
        return _line(row, what, groups[row.name][what], under)

    found = {
        kind: [line(row, what) for row in rows() for what in groups.get(row.name, ())]
        for kind, rows in ROWS.items()
    }
    return {kind: group for kind, group in found.items() if group}


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the mean of factors."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _line(row: Row, what: str, results: Sequence[Result], under: floor.Floor | None) -> Line:
    ours = best(results, OURS)
    assert ours is not None, "each measurement has ours"
    others = [best(results, peer) for peer in {result.peer for result in results} - {OURS}]
    other = min((r for r in others if r), key=lambda result: result.median, default=None)
    return Line(row, what, ours, other, under)
