"""Kernels in a forked child and in many Python threads at once: no hang, the same bits."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from pathlib import Path

import pytest
from kernel_checks import assert_same_bits
from thread_calls import CALLS

FORK = """
import os, sys
import numpy as np
from nnfast import _core
_core.runtime_set_threads(4)
x = np.random.default_rng(0).standard_normal((400, 1000))
before = _core.softmax(x)  # wakes the worker threads
child = os.fork()
if child == 0:
    same = np.array_equal(_core.softmax(x), before) and np.array_equal(_core.relu(x), x * (x > 0))
    os._exit(0 if same else 3)
status = os.waitpid(child, 0)[1]
assert os.waitstatus_to_exitcode(status) == 0, status
assert np.array_equal(_core.softmax(x), before)  # the parent still works
"""

POOL = """
import multiprocessing
import numpy as np
from nnfast import _core
_core.runtime_set_threads(4)
x = np.random.default_rng(0).standard_normal((400, 1000))

def work(_):
    return _core.log_softmax(x)

expected = work(0)
with multiprocessing.get_context("fork").Pool(3) as pool:
    for result in pool.map(work, range(6)):
        assert np.array_equal(result, expected)
"""


# Here somebody else has used the same OpenMP library before nnfast is first used, in the child.
OTHERS = """
import ctypes, os
import numpy as np
from nnfast import _core
libgomp = ctypes.CDLL("libgomp.so.1")
nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
libgomp.GOMP_parallel(nothing, None, 2, 0)
x = np.ones((400, 1000))
child = os.fork()
if child == 0:
    os.environ["NNFAST_NUM_THREADS"] = "4"
    os._exit(0 if np.array_equal(_core.relu(x), x) and np.all(_core.softmax(x) > 0) else 3)
status = os.waitpid(child, 0)[1]
assert os.waitstatus_to_exitcode(status) == 0, status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("script", [FORK, POOL, OTHERS], ids=["fork", "pool", "others"])
def test_kernels_after_fork(script: str) -> None:
    """In a subprocess: a hang must not hang the tests."""
    if script is OTHERS and not find_library("gomp"):
        pytest.skip("no libgomp to be found")
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        cwd=Path(__file__).parent,  # where no source folder hides the package
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_many_python_threads_at_once(threads) -> None:
    threads(3)
    expected = {name: call() for name, call in CALLS.items()}
    names = list(CALLS) * 2
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda name: CALLS[name](), names))
    for name, result in zip(names, results, strict=True):
        assert_same_bits(result, expected[name])
