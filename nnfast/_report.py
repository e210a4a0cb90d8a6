"""The table that a check gives: what was compared, with the worst element of each array."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Row:
    """One compared array: its largest error and where that is."""

    name: str
    error: float
    index: tuple[int, ...]
    got: float
    expected: float


@dataclass(frozen=True)
class Report:
    """What was compared. `str` gives a table; `ok` tells whether every error is within `tol`.

    `notes` say by name what was not compared, and what else to know; they are no errors.
    """

    title: str
    rows: list[Row]
    tol: float
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every error is within the tolerance (NaN is not)."""
        return all(row.error <= self.tol for row in self.rows)

    def __str__(self) -> str:
        lines = [f"{self.title} (tolerance {self.tol:g})"]
        for row in self.rows:
            verdict = "ok" if row.error <= self.tol else "WRONG"
            where = ", ".join(map(str, row.index))
            lines.append(
                f"  {row.name:<16} error {row.error:8.1e}  {verdict:<6}"
                f"worst at [{where}]: got {row.got:.9g}, expected {row.expected:.9g}"
            )
        lines += [f"  {name:<16} {note}" for name, note in self.notes.items()]
        return "\n".join(lines)

    def check(self) -> Report:
        """Return the report if all is well; AssertionError with the table otherwise."""
        if not self.ok:
            raise AssertionError(str(self))
        return self


def compare(
    name: str, shape: tuple[int, ...], places: Array, got: Array, expected: Array, floor: float
) -> Row:
    """Compare two flat arrays relative to the largest element, at least `floor`."""
    if not got.size:
        return Row(name, 0.0, (), 0.0, 0.0)
    difference = np.abs(got - expected)
    worst = int(np.argmax(difference))  # the first NaN if there is one
    scale = max(floor, float(np.max(np.abs(expected))))
    with np.errstate(divide="ignore"):
        error = float(difference[worst] / np.float64(scale)) if difference[worst] else 0.0
    index = tuple(int(i) for i in np.unravel_index(places[worst], shape))
    return Row(name, error, index, float(got[worst]), float(expected[worst]))
