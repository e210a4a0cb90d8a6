"""What all tests share: the choice of backend."""

import importlib.util

import pytest


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
