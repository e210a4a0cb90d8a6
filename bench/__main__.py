"""Command line of the benchmarks, see `python -m bench --help`.

The installed nnfast is measured: `-m` puts the current folder on sys.path, where the source folder
of the same name would hide it, so that entry is taken off before anything imports nnfast.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]

from bench import measure, peaks, report, rows, table, worker  # noqa: E402
from bench.kept import Kept  # noqa: E402
from bench.peers import OURS, PEERS  # noqa: E402

DOCUMENT = ROOT / "docs" / "performance.json"  # performance.md and .svg are written beside it
KINDS = {
    "steps": "time whole training steps",
    "inference": "time networks in use",
    "layers": "time single operations, forward and forward + backward",
    "performance": "time all of these against PyTorch, and write docs/performance.md",
}


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Time nnfast and other libraries, in turns."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in KINDS.items():
        whole = name == "performance"
        command = commands.add_parser(name, help=text, description=text)
        peers = ",".join(name for name in PEERS if name != OURS)
        against = "torch" if whole else "reference"
        command.add_argument("--against", default=against, help=f"peers, of {peers}")
        command.add_argument("--dtype", default="float32", choices=("float32", "float64"))
        command.add_argument("--threads", type=_positive, default=2, metavar="N")
        command.add_argument("--rows", metavar="NAME,...", help="only rows with such a name")
        command.add_argument(
            "--repeat", type=_positive, default=5, metavar="N", help="turns of each peer"
        )
        command.add_argument(
            "--json",
            type=Path,
            default=DOCUMENT if whole else None,
            metavar="FILE",
            help="keep the results here, beside those of other rows",
        )
    command = commands.add_parser("report", help="write the document about a file of results")
    command.add_argument("file", nargs="?", type=Path, default=DOCUMENT, metavar="FILE")
    commands.add_parser("worker", help="time one row for a parent process")
    args = parser.parse_args()
    if args.command == "worker":
        worker.main()
        return
    if args.command != "report":
        compare(args)
    if args.command in ("report", "performance"):
        for file in report.write(args.file if args.command == "report" else args.json):
            print(file)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def compare(args: argparse.Namespace) -> None:
    """Measure rows against peers, print a table and keep the numbers."""
    against = [name for name in args.against.split(",") if name]
    unknown = [name for name in against if name not in PEERS]
    if unknown:
        raise SystemExit(f"--against: no peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    if args.command == "performance" and "torch" in against and not find_spec("torch"):
        raise SystemExit("PyTorch is not installed: pip install torch, or name other peers")
    if args.json and not args.json.parent.is_dir():
        raise SystemExit(f"--json: there is no folder {args.json.parent}")
    kinds = list(rows.ROWS) if args.command == "performance" else [args.command]
    chosen = rows.select([row for kind in kinds for row in rows.ROWS[kind]()], args.rows)
    plan = measure.Plan(against, args.dtype, args.threads, args.repeat)
    kept = None
    if args.json:
        kept = Kept.open(args.json, measure.machine(plan), chosen)
        machine = peaks.Peaks(plan.threads)
    print(f"{args.dtype}, {args.threads} threads; ratio: the peer's median time over {OURS}'s")
    print(table.header(against), flush=True)
    for results in measure.measure(chosen, plan):
        print(table.line(results, against), flush=True)
        if kept:
            time.sleep(measure.PAUSE)
            kept.add(results, machine.sample())


if __name__ == "__main__":
    main()
