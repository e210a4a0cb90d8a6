"""The command line: ``nnfast demo``, ``nnfast run``, ``nnfast info``; also ``python -m nnfast``."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line; exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Looks the version up only when asked: it takes longer than all the rest of the parser."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from nnfast import __version__

        print(f"nnfast {__version__}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of this process if not given.

    Returns
    -------
    int
        0: all went well; 1: it did not, the last line on stderr says why; 2: wrong arguments.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:  # what follows is the runner's or the script's, options too
        from nnfast.compat import runner

        return int(runner.main(arguments[1:]) or 0)
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        print("\nnnfast: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, head for one, has gone; spare Python's own complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ImportError, OSError, ValueError) as error:
        print(f"nnfast: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nnfast", description="Neural-network layers on NumPy arrays, at C speed")
    nothing = argparse.SUPPRESS
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=nothing, help="print the version"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="learn real digits, compare every layer with NumPy, measure the speed",
        description="Train the convolutional network of 'Deep Learning from Scratch', chapter 7, "
        "on 4,000 real digits (no download), test it on 1,000 others, hold every layer against "
        "its twin in NumPy, and measure both.",
        epilog="Exit code: 0, or 1 if any error is out of its bound.",
        argument_default=nothing,  # what is not given, demo.run() decides
    )
    option = demo.add_argument
    option("--epochs", metavar="N", type=_positive, help="passes over the digits (15)")
    option(
        "--backend",
        choices=("native", "reference"),
        help="compiled kernels or NumPy alone (native, or what NNFAST_BACKEND says)",
    )
    option("--dtype", choices=("float32", "float64"), help="precision (float32)")
    option("--seed", metavar="N", type=_seed, help="of all random numbers (0)")
    option("--threads", metavar="N", type=_threads, help="for the kernels (what nnfast info says)")
    option("--out", metavar="DIR", help="for the charts (nnfast-demo)")
    demo.set_defaults(command=_demo)

    commands.add_parser(
        "run", help="run your own script with the layers of its `common` package replaced by ours"
    )  # only for the list of commands: main() hands over before parsing

    info = commands.add_parser("info", help="print versions, CPU features and threads")
    info.set_defaults(command=_info)
    return parser


def _positive(text: str) -> int:
    return _whole(text, 1)


def _threads(text: str) -> int:
    return _whole(text, 1, 4096)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int, most: float = math.inf) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
    if value > most:
        raise argparse.ArgumentTypeError(f"must be at most {most}, got {value}")
    return value


def _demo(options: argparse.Namespace) -> int:
    from nnfast import demo

    given = {name: value for name, value in vars(options).items() if name != "command"}
    return 0 if demo.run(**given) else 1


def _info(options: argparse.Namespace) -> int:
    from nnfast import runtime

    print(runtime.info())
    return 0
