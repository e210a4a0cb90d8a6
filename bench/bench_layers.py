"""pytest-benchmark suite: every kernel family on the layer shapes of tests/cases.py."""

from typing import Any

from bench.rows import Row, layer_rows
from bench.suite import parameters, run


@parameters(layer_rows())
def bench_layer(benchmark: Any, row: Row, what: str, peer: str) -> None:
    run(benchmark, row, what, peer)
