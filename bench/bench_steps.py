"""pytest-benchmark suite: training steps, forward to optimizer."""

from typing import Any

from bench.rows import Row, step_rows
from bench.suite import parameters, run


@parameters(step_rows())
def bench_step(benchmark: Any, row: Row, what: str, peer: str) -> None:
    run(benchmark, row, what, peer)
