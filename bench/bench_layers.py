"""pytest-benchmark suite: every kernel family on the layer shapes of tests/cases.py."""

from bench.rows import layer_rows
from bench.suite import parameters, run


@parameters(layer_rows())
def bench_layer(benchmark, row, what, peer):
    run(benchmark, row, what, peer)
