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
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in kept.results:
        groups.setdefault((result.row, result.what), []).append(result)
    found: dict[str, list[Line]] = {kind: [] for kind in ROWS}
    for kind, rows in ROWS.items():
        for row in rows():
            for (name, what), results in groups.items():
                if name == row.name:
                    found[kind].append(_line(kept, row, what, results))
    return {kind: list_ for kind, list_ in found.items() if list_}


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the mean of factors."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _line(kept: Kept, row: Row, what: str, results: Sequence[Result]) -> Line:
    ours = best(results, OURS)
    assert ours is not None, "each measurement has ours"
    others = [best(results, peer) for peer in {result.peer for result in results} - {OURS}]
    other = min((r for r in others if r), key=lambda result: result.median, default=None)
    under = None
    if kept.peaks:
        under = floor.floor(row, what, kept.machine["dtype"], kept.peaks, kept.machine["cache"])
    return Line(row, what, ours, other, under)
