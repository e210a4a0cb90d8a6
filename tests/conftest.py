"""What all tests share: the installed package is the one under test, and the choice of backend."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _hide_source_folder() -> None:
    """Take the repository root off sys.path, so that `import nnfast` finds the installed package.

    Without an installed package (a quick look with NumPy alone) the path is left as it was.
    """
    before = list(sys.path)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    if importlib.util.find_spec("nnfast") is None:
        sys.path[:] = before


_hide_source_folder()


@pytest.fixture(params=["reference", "native"])
def backend(request):
    """Run the test over each backend; its name."""
    import nnfast  # not at the top: the path has to be right first

    if request.param == "native" and importlib.util.find_spec("nnfast._core") is None:
        pytest.skip("nnfast._core is not built")
    with nnfast.use_backend(request.param):
        yield request.param
