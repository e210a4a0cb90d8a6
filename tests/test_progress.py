"""The progress bar on a terminal, without one, with and without tqdm."""

import io
import sys

import pytest

from nnfast import _progress
from nnfast._progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch, tqdm):
    """Pretend that stderr is a terminal; called in the test, as pytest swaps stderr before it."""
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    monkeypatch.setattr(_progress, "_REDRAW_SECONDS", 0.0)
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    return stream


def test_nothing_in_a_pipe(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with Progress(10, "work") as bar:
        bar.update(3, note="here")
    assert stream.getvalue() == "" and bar.count == 3


def test_own_bar(monkeypatch):
    screen = terminal(monkeypatch, tqdm=False)
    with Progress(4, "work") as bar:
        bar.update(1, note="loss 0.5")
        bar.update(3)
    frames = screen.getvalue().split("\r")
    assert frames[1] == "work  25% [######..................] 1/4  loss 0.5"
    assert frames[2].startswith("work 100% [########################] 4/4")
    assert len(frames[2]) == len(frames[1])  # the longer text before it is overwritten
    assert frames[-2].strip() == "" and frames[-1] == ""


def test_own_bar_of_bytes_without_total(monkeypatch):
    screen = terminal(monkeypatch, tqdm=False)
    with Progress(None, "file", "B") as bar:
        bar.update(3 * 2**20)
    assert "file 3.0 MiB" in screen.getvalue()


def test_tqdm(monkeypatch):
    pytest.importorskip("tqdm")
    screen = terminal(monkeypatch, tqdm=True)
    with Progress(4, "work") as bar:
        bar.update(4, note="loss 0.5")
    assert "work" in screen.getvalue()
