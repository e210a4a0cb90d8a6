"""For tests/ and bench/ alike: what is imported is the installed nnfast, not the source folder."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def _hide_source_folder() -> None:
    """Take the repository root off sys.path, where it hides the installed package.

    Without an installed package (a quick look with NumPy alone) the path is left as it was.
    """
    before = list(sys.path)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    if importlib.util.find_spec("nnfast") is None:
        sys.path[:] = before


_hide_source_folder()
