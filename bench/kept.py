"""The results of measurements in a JSON file, where a row that is measured again is replaced.

So a long measurement can be made in parts. All results of a file are of one machine, set up in one
way. Each row brings the peaks of the machine as they were while it was measured.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.measure import Result
from bench.rows import Row

HOW_LONG = ("rounds", "seconds")  # may differ between the parts of a file


class Kept:
    """A file of results: `machine`, `date`, `samples` of its peaks by row, `results` in order."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.machine: dict[str, Any] = {}
        self.samples: dict[str, dict[str, float]] = {}
        self.date = ""
        self.results: list[Result] = []

    @classmethod
    def load(cls, file: Path) -> Kept:
        """Return what a file holds; SystemExit if that is nothing of ours."""
        kept = cls(file)
        try:
            content = json.loads(file.read_text())
            kept.machine, kept.date = content["machine"], content["date"]
            kept.samples = content["peaks"]
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
        shortest = {
            key: min(machine[key], kept.machine.get(key, machine[key]))
            for key in HOW_LONG
            if key in machine
        }
        kept.machine = {**machine, **shortest}
        return kept

    @property
    def peaks(self) -> dict[str, float] | None:
        """The lower quartiles of the peaks, had three times out of four; None if there are none."""
        if not self.samples:
            return None
        return {name: rates[len(rates) // 4] for name, rates in self.rates.items()}

    @property
    def rates(self) -> dict[str, list[float]]:
        """All samples of each peak, sorted."""
        samples = list(self.samples.values())
        names = samples[0] if samples else ()
        return {name: sorted(sample[name] for sample in samples) for name in names}

    def add(self, results: Sequence[Result], sample: dict[str, float] | None) -> None:
        """Put the results of a pass of a row in, with peaks if known, and write the file."""
        if sample:
            self.samples[results[0].row] = sample
        new = {(result.row, result.what) for result in results}
        self.results = [old for old in self.results if (old.row, old.what) not in new]
        self.results += results
        self.date = datetime.date.today().isoformat()
        head = {"date": self.date, "machine": self.machine}
        rates = _lines(f"{json.dumps(row)}: {json.dumps(s)}" for row, s in self.samples.items())
        lines = _lines(json.dumps(result._asdict()) for result in self.results)
        start = json.dumps(head, indent=1).removesuffix("\n}")
        self.file.write_text(f'{start},\n "peaks": {{{rates}}},\n "results": [{lines}]\n}}\n')


def _lines(items: Iterable[str]) -> str:
    return "\n  " + ",\n  ".join(items) + "\n "
