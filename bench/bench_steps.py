"""pytest-benchmark suite: training steps, forward to optimizer."""

from bench.rows import step_rows
from bench.suite import parameters, run


@parameters(step_rows())
def bench_step(benchmark, row, what, peer):
    run(benchmark, row, what, peer)
