"""What the pytest-benchmark suites share: the peers in one process, a row's call to time."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

import nnfast
from bench.peers import OURS, PEERS
from bench.rows import BOTH, FORWARD, STEP, Row

DTYPE = "float32"


def parameters(rows: Sequence[Row]) -> Callable[[Any], Any]:
    """Parametrise a benchmark over rows, passes and peers."""
    cases = [(row, what) for row in rows for what in passes(row)]
    names = [f"{row.name} {what}" for row, what in cases]

    def decorate(function: Any) -> Any:
        function = pytest.mark.parametrize("peer", list(PEERS))(function)
        return pytest.mark.parametrize(("row", "what"), cases, ids=names)(function)

    return decorate


def passes(row: Row) -> list[str]:
    """Return what is timed of a row; known without building it."""
    from bench.on_nnfast import BACKWARD

    if row.function in ("train", "optimize") or row.function.endswith("_update"):
        return [STEP]
    return [FORWARD, BOTH] if row.function in BACKWARD else [FORWARD]


def run(benchmark: Any, row: Row, what: str, peer: str) -> None:
    """Time one pass of a row on a peer."""
    benchmark.group = f"{row.name} {what}"
    benchmark.extra_info.update(row=row.name, what=what, peer=peer)
    with ExitStack() as stack:
        if peer in (OURS, "reference"):
            module = importlib.import_module("bench.on_nnfast")
            stack.enter_context(nnfast.use_backend(peer))
        else:
            pytest.importorskip(peer, reason=f"{peer} is not installed")
            module = importlib.import_module(f"bench.on_{peer}")
        benchmark(module.build(row, row.dtype or DTYPE)[what])
