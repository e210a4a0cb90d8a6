"""For tests/ and bench/ alike: what is imported is the installed nnfast, not the source folder.

The package `bench` is found all the same: it is not installed, and tests look at its parts.
"""

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


def _show_bench() -> None:
    """Make `import bench` work without the repository root on sys.path."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    sys.modules["bench"] = package


_hide_source_folder()
_show_bench()
