"""Benchmarks: `python -m bench performance`, and pytest-benchmark suites in bench_*.py.

Never part of the wheel. What is measured (`rows`, `layers`, `networks`) is said once; `on_nnfast`
and `on_torch` build it for each peer; `worker`, `peers` and `measure` time the peers in processes
of their own, taking turns; `kept` keeps the results. `floor` and `peaks` know what a row needs at
least; `table` prints while rows are measured, `summary`, `report` and `svg` write the document.
"""
