"""What all tests share: where they run, and the choice of backend."""

import importlib.util
import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def somewhere_else(tmp_path_factory):
    """Work in an empty folder: what is started there imports the installed package, not ours."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("empty"))
    yield
    os.chdir(before)


@pytest.fixture(params=["reference", "native"])
def backend(request):
    """Run the test over each backend; its name."""
    import nnfast  # not at the top: the path has to be right first

    if request.param == "native" and importlib.util.find_spec("nnfast._core") is None:
        pytest.skip("nnfast._core is not built")
    with nnfast.use_backend(request.param):
        yield request.param


@pytest.fixture
def threads():
    """Set the thread count of the kernels; the old one is back after the test."""
    from nnfast import _core

    before = _core.runtime_get_threads()
    yield _core.runtime_set_threads
    _core.runtime_set_threads(before)
