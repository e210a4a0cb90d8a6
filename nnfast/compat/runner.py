"""``nnfast run SCRIPT``: runs a script written for a book's NumPy layers, unchanged, on ours.

The script sees what it would see under plain ``python SCRIPT``: its arguments, its folder first on
the path, ``__main__`` as its name. Its ``common`` package loads through `Swap`, and a summary on
stderr says in the end what was replaced, however the script ended.
"""

from __future__ import annotations

import argparse
import builtins
import io
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import SourceFileLoader
from types import ModuleType

from .dlfs1.profile import PROFILE as DLFS1
from .profile import Profile
from .swap import Report, Swap

_PROFILES = {"dlfs1": DLFS1}
_INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended


def main(argv: Sequence[str]) -> int:
    """Run ``nnfast run``.

    Parameters
    ----------
    argv : sequence of str
        The arguments after ``run``: options, the script, the script's own arguments.

    Returns
    -------
    int
        The script's exit status; 130 after Ctrl-C, 2 if the script cannot be read.
    """
    args = _parser().parse_args(argv)
    try:
        with io.open_code(os.path.abspath(args.script)) as file:
            source = file.read()
    except OSError as error:
        print(f"nnfast run: can't open file {args.script!r}: {error}", file=sys.stderr)
        return 2
    profile = DLFS1 if args.dialect == "auto" else _PROFILES[args.dialect]
    keep = [name for names in args.keep for name in names.split(",")]
    known = {name for probes in profile.probes.values() for name in probes}
    if unknown := sorted(set(keep) - known):
        print(f"nnfast run: --keep: nothing called {unknown[0]} is replaced", file=sys.stderr)
        return 2
    with Swap(profile, keep) as swap:
        status = _execute(source, args.script, args.args)
    sys.stdout.flush()
    print(summary(profile, swap.reports.values()), file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nnfast run",
        description="Run an unmodified script that uses the NumPy layers of a book, with the "
        "layers, functions and optimizers of its 'common' package replaced by nnfast's.",
    )
    parser.add_argument(
        "--as",
        dest="dialect",
        choices=("auto", *_PROFILES),
        default="auto",
        help="whose layers the script uses: dlfs1 is Deep Learning from Scratch (default: auto, "
        "which looks at each class and function by itself)",
    )
    parser.add_argument(
        "--keep",
        metavar="NAME[,NAME]",
        action="append",
        default=[],
        help="leave these classes and functions as you wrote them",
    )
    parser.add_argument("script", metavar="SCRIPT", help="the Python file to run")
    rest = parser.add_argument(
        "args", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments"
    )
    rest.required = False  # nor does the message about a missing script name it
    return parser


def _execute(source: bytes, script: str, args: Sequence[str]) -> int:
    """Run source as the main module, as ``python script args`` would; give the exit status."""
    path = os.path.abspath(script)
    main_module = ModuleType("__main__")
    loader = SourceFileLoader("__main__", path)
    vars(main_module).update(
        __file__=path, __loader__=loader, __builtins__=builtins, __cached__=None, __spec__=None
    )
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    sys.argv = [script, *args]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0:1] = [os.path.dirname(os.path.realpath(path))]
    sys.modules["__main__"] = main_module
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main_module))
        return 0
    except SystemExit as end:
        return _status(end)
    except BaseException as error:
        if error.__traceback__ is not None:  # the first frame is ours, the rest the script's
            error.__traceback__ = error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def _status(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return int(end.code)
    print(end.code, file=sys.stderr)
    return 1


def summary(profile: Profile, reports: Iterable[Report]) -> str:
    """Say what was replaced and what was left, module by module."""
    lines = ["nnfast run: replaced by nnfast"]
    for report in sorted(reports, key=lambda r: r.module):
        if report.lent:
            if report.module != profile.package:
                lines.append(f"  {report.module}: all of it, you have no such module")
            continue
        lines.append(f"  {report.module}: {', '.join(report.replaced) or 'nothing'}")
        known = [f"{name} ({why})" for name, why in report.left.items() if why]
        unknown = [name for name, why in report.left.items() if not why]
        if known or unknown:
            lines.append(f"    left as yours: {', '.join(known + unknown)}")
    if len(lines) == 1:
        names = ", ".join(f"{profile.package}.{name}" for name in profile.replaced)
        return f"nnfast run: nothing was replaced, the script imported none of {names}"
    return "\n".join(lines)
