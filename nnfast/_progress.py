"""A progress bar: tqdm where it is installed, plain text otherwise, nothing in a pipe.

A pipe or a log file gets no bar, so that it holds no carriage returns; what it should keep, the
caller prints.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_REDRAW_SECONDS = 0.1


class Progress:
    """Count to ``total`` before the user's eyes; use it as a context manager.

    Parameters
    ----------
    total : int or None
        Where the count ends; None if nobody knows.
    label : str
        What stands before the bar.
    unit : str
        What is counted; ``"B"`` is shown with binary prefixes.
    """

    def __init__(self, total: int | None, label: str, unit: str = "it") -> None:
        self.total, self.label, self.unit = total, label, unit
        self.count = 0
        self._note = ""
        self._drawn = 0.0
        self._width = 0
        self._visible = sys.stderr.isatty() or _in_notebook()
        self._bar: Any = _tqdm_bar(total, label, unit) if self._visible else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more and show ``note`` behind the bar."""
        self.count += amount
        self._note = note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)
        elif self._visible and time.monotonic() - self._drawn >= _REDRAW_SECONDS:
            self._draw()

    def close(self) -> None:
        """Wipe the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
        elif self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        text = f"{self.label} {self._amount(self.count)}"
        if self.total:
            part = min(1.0, self.count / self.total)
            filled = round(24 * part)
            bar = "#" * filled + "." * (24 - filled)
            text = f"{self.label} {part:4.0%} [{bar}] {self._amount(self.count)}"
            text += f"/{self._amount(self.total)}"
        if self._note:
            text += f"  {self._note}"
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def _amount(self, count: int) -> str:
        return f"{count / 2**20:.1f} MiB" if self.unit == "B" else str(count)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _tqdm_bar(total: int | None, label: str, unit: str) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    size = unit == "B"
    return tqdm(
        total=total, desc=label, unit=unit, unit_scale=size, unit_divisor=1024, leave=False,
        dynamic_ncols=True,
    )  # fmt: skip
