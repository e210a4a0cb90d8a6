"""The results of measurements in a JSON file, where a row that is measured again is replaced.

So a long measurement can be made in parts. All results of a file are of one machine, set up in one
way; its peaks are the highest seen.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.measure import Result
from bench.rows import Row

HOW_LONG = ("rounds", "seconds")  # may differ between the parts of a file


class Kept:
    """A file of results: `machine`, `peaks` (None if unknown), `date` and `results` in order."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.machine: dict[str, Any] = {}
        self.peaks: dict[str, float] | None = None
        self.date = ""
        self.results: list[Result] = []

    @classmethod
    def load(cls, file: Path) -> Kept:
        """Return what a file holds; SystemExit if that is nothing of ours."""
        kept = cls(file)
        try:
            content = json.loads(file.read_text())
            kept.machine, kept.peaks = content["machine"], content["peaks"]
            kept.date = content["date"]
            kept.results = [Result(**result) for result in content["results"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{file}: no results of `python -m bench` ({error!r})") from None
        return kept

    @classmethod
    def open(cls, file: Path, machine: dict[str, Any], rows: Sequence[Row]) -> Kept:
        """Return the file to which a measurement of `rows` is added, if there is one already.

        SystemExit if it has other rows, of another machine or set-up.
        """
        kept = cls.load(file) if file.exists() else cls(file)
        different = [key for key in machine if kept.machine.get(key) != machine[key]]
        if different and set(different) - set(HOW_LONG):
            if {result.row for result in kept.results} - {row.name for row in rows}:
                raise SystemExit(f"{file}: has rows with another {', '.join(different)}; remove it")
            kept = cls(file)
        kept.machine = machine
        return kept

    def add_peaks(self, peaks: dict[str, float] | None) -> None:
        """Note the peaks, where they are higher than those known."""
        known = self.peaks or {}
        if peaks:
            self.peaks = {name: max(rate, known.get(name, 0)) for name, rate in peaks.items()}

    def add(self, results: Sequence[Result]) -> None:
        """Put the results of a pass of a row in, and write the file."""
        new = {(result.row, result.what) for result in results}
        self.results = [old for old in self.results if (old.row, old.what) not in new]
        self.results += results
        self.date = datetime.date.today().isoformat()
        head = {"date": self.date, "machine": self.machine, "peaks": self.peaks}
        lines = ",\n".join(json.dumps(result._asdict()) for result in self.results)
        self.file.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "results": [\n{lines}\n]}}\n')
