"""Benchmarks: `python -m bench steps|layers|report`, and pytest-benchmark suites in bench_*.py.

Never part of the wheel. What is measured (`rows`, `networks`) is said once; `on_nnfast` and
`on_torch` build it for each peer; `worker`, `peers` and `measure` time the peers in processes of
their own, taking turns; `table` prints, `report` draws.
"""
