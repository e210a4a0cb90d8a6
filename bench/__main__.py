"""Command line of the benchmarks, see `python -m bench --help`.

The installed nnfast is measured: `-m` puts the current folder on sys.path, where the source folder
of the same name would hide it, so that entry is taken off before anything imports nnfast.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]

from bench import measure, rows, table, worker  # noqa: E402
from bench.peers import OURS, PEERS  # noqa: E402


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("steps", "time whole training steps"),
        ("inference", "time networks in use"),
        ("layers", "time single operations, forward and forward + backward"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        peers = ",".join(name for name in PEERS if name != OURS)
        command.add_argument("--against", default="reference", help=f"peers, of {peers}")
        command.add_argument("--dtype", default="float32", choices=("float32", "float64"))
        command.add_argument("--threads", type=int, default=2, metavar="N")
        command.add_argument("--rows", metavar="NAME,...", help="only rows with such a name")
        command.add_argument(
            "--repeat", type=int, default=5, metavar="N", help="turns of each peer"
        )
        command.add_argument(
            "--json", type=Path, metavar="FILE", help="also write the results here"
        )
    report = commands.add_parser("report", help="draw JSON results as one HTML page")
    report.add_argument("files", nargs="+", type=Path, metavar="FILE")
    report.add_argument("--out", type=Path, default=Path("bench.html"), metavar="FILE")
    commands.add_parser("worker", help="time one row for a parent process")
    args = parser.parse_args()
    if args.command == "worker":
        worker.main()
    elif args.command == "report":
        from bench.report import write

        write(args.files, args.out)
        print(args.out)
    else:
        compare(args)


def compare(args: argparse.Namespace) -> None:
    """Measure rows against peers, print a table and keep the numbers."""
    against = [name for name in args.against.split(",") if name]
    unknown = [name for name in against if name not in PEERS]
    if unknown:
        raise SystemExit(f"--against: no peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    chosen = getattr(rows, f"{args.command.removesuffix('s')}_rows")()
    plan = measure.Plan(against, args.dtype, args.threads, args.repeat)
    kept = []
    print(f"{args.dtype}, {args.threads} threads; ratio: the peer's median time over {OURS}'s")
    print(table.header(against), flush=True)
    for results in measure.measure(rows.select(chosen, args.rows), plan):
        print(table.line(results, against), flush=True)
        kept += [result._asdict() for result in results]
        if args.json:
            content = {"tool": "nnfast bench", "machine": measure.machine(plan), "results": kept}
            args.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
