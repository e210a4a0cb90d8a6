"""nnfast.runtime, and the names that `import nnfast` gives."""

import importlib.util
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest

import nnfast as nn
from nnfast import runtime

needs_core = pytest.mark.skipif(
    importlib.util.find_spec("nnfast._core") is None, reason="nnfast._core is not built"
)


def python(code, cwd, **environment):
    """Run code in a fresh interpreter, away from the source folder; its standard output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_core
def test_threads_as_a_call_and_in_a_with_statement():
    before = runtime.get_threads()
    with runtime.threads(3):
        assert runtime.get_threads() == 3
        with runtime.threads(1) as inner:
            assert runtime.get_threads() == 1 and repr(inner) == "threads(1)"
        runtime.threads(2)
        assert runtime.get_threads() == 2
    assert runtime.get_threads() == before
    with pytest.raises(ZeroDivisionError), runtime.threads(2):
        _ = 1 / 0
    assert runtime.get_threads() == before


AFFINITY = """
import os
cpus = sorted(os.sched_getaffinity(0))[:{count}]
os.sched_setaffinity(0, cpus)
import numpy as np, nnfast as nn
nn.runtime.threads(2)
x = np.ones((512, 512), np.float32)
others = set(os.listdir("/proc/self/task"))
for _ in range(5):
    nn.functional.gemm(x, x)
workers = [int(id) for id in set(os.listdir("/proc/self/task")) - others]
assert os.sched_getaffinity(0) == set(cpus)
print(*(len(os.sched_getaffinity(id) & set(cpus)) for id in workers))
"""


@needs_core
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is told on which CPUs to run")
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("bound", [False, True], ids=["free", "bound by the user"])
def test_threads_are_kept_off_the_callers_cpu(count, bound, tmp_path):
    if not nn.runtime.info()["openmp"]:
        pytest.skip("built without OpenMP: always one thread")
    cpus = sorted(os.sched_getaffinity(0))[:count]
    if len(cpus) < count:
        pytest.skip("needs two CPUs")
    places = ",".join(map(str, cpus))
    binding = {"OMP_PROC_BIND": "close", "OMP_PLACES": f"{{{places}}}"} if bound else {}
    left = python(AFFINITY.format(count=count), tmp_path, **binding)
    assert left == str(count if bound else 1)


@needs_core
@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError)])
def test_bad_thread_counts(n, error):
    before = runtime.get_threads()
    with pytest.raises(error, match="n"):
        runtime.threads(n)
    assert runtime.get_threads() == before


@needs_core
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NNFAST_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3),
        ({"NNFAST_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2),
    ],
)
def test_threads_from_the_environment(environment, expected, tmp_path):
    if not nn.runtime.info()["openmp"]:
        pytest.skip("built without OpenMP: always one thread")
    code = "import nnfast; print(nnfast.runtime.get_threads())"
    assert int(python(code, tmp_path, **environment)) == expected


@needs_core
@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_soon_sleep(environment, expected, tmp_path, monkeypatch):
    if not any("libgomp" in path for path in runtime.openmp_runtimes()):
        pytest.skip("this build does not use libgomp")
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "import os, sys; sys.stderr = sys.stdout; os.dup2(1, 2); before = dict(os.environ); "
        "import nnfast; print('unchanged:', dict(os.environ) == before)"
    )
    shown = python(code, tmp_path, OMP_DISPLAY_ENV="verbose", **environment)
    assert "unchanged: True" in shown
    counts = re.findall(r"GOMP_SPINCOUNT\s*=\s*'(\d+)'", shown)
    assert counts, shown
    assert counts == [expected] if expected else int(counts[0]) > 5000


@needs_core
def test_isa_can_be_lowered(tmp_path):
    isas = runtime.info()["isas"]
    assert runtime.isa() in isas
    code = "import nnfast; print(nnfast.runtime.isa())"
    assert python(code, tmp_path, NNFAST_ISA=isas[0]) == isas[0]


@needs_core
def test_memory_and_trim():
    with nn.use_backend("native"):
        y = nn.functional.relu(np.ones(1_000_000, np.float32))
    held = runtime.memory()
    assert held["in_use"] >= y.nbytes
    del y
    assert runtime.memory()["in_use"] < held["in_use"]
    runtime.trim()
    assert runtime.memory()["cached"] == 0


def test_info(monkeypatch):
    monkeypatch.setenv("NNFAST_SOMETHING", "42")
    info = runtime.info()
    assert info["numpy"] == np.__version__ and info["python"] == platform.python_version()
    assert info["backend"] == nn.get_backend()
    assert info["environment"]["NNFAST_SOMETHING"] == "42"
    text = str(info)
    assert "NNFAST_SOMETHING=42" in text
    assert all(line.split()[0] in info for line in text.splitlines())


def test_info_without_the_compiled_part(monkeypatch):
    def native():
        raise ImportError("nnfast._core: no such file")

    monkeypatch.setattr(nn.backend, "native", native)
    info = runtime.info()
    assert info["warnings"] == ["nnfast._core: no such file"] and "isa" not in info


def test_info_says_when_openmp_is_missing(monkeypatch):
    class Core:
        runtime_openmp = staticmethod(lambda: False)
        runtime_isa = staticmethod(lambda: "baseline")
        runtime_isas = staticmethod(lambda: ["baseline"])
        runtime_get_threads = staticmethod(lambda: 1)

    monkeypatch.setattr(nn.backend, "native", lambda: Core)
    assert runtime.NO_OPENMP in runtime.info()["warnings"]
    assert runtime.info()["openmp"] is False


@pytest.mark.parametrize(
    ("name", "value", "ignored"),
    [
        ("NNFAST_ISA", "avx1024", True),
        ("NNFAST_NUM_THREADS", "many", True),
        ("NNFAST_NUM_THREADS", "0", True),
        ("NNFAST_NUM_THREADS", "3", False),
        ("NNFAST_POOL_LIMIT", "1 GB", True),
        ("NNFAST_POOL_LIMIT", "0", False),
    ],
)
def test_info_says_what_is_ignored(name, value, ignored, monkeypatch):
    monkeypatch.setenv(name, value)
    assert any(f"{name}={value}" in warning for warning in runtime.info()["warnings"]) == ignored


def test_openmp_runtimes_are_read_from_the_maps(monkeypatch):
    lines = [
        "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libgomp.so.1.0.0\n",
        "7f00-7f01 r-xp 00000000 08:01 1 /a b/torch.libs/libiomp5-1234.so\n",
        "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libomp.so.5\n",
        "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libgomp_tools_not.txt\n",
        "7f00-7f01 rw-p 00000000 00:00 0 \n",
    ]
    import io

    monkeypatch.setattr(runtime, "open", lambda *a, **k: io.StringIO("".join(lines)), raising=False)
    assert runtime.openmp_runtimes() == [
        "/a b/torch.libs/libiomp5-1234.so",
        "/usr/lib/libgomp.so.1.0.0",
        "/usr/lib/libomp.so.5",
    ]
    assert any("may clash" in warning for warning in runtime.info()["warnings"])
    del lines[1]  # libgomp goes with any of the others
    assert len(runtime.openmp_runtimes()) == 2
    assert not any("may clash" in warning for warning in runtime.info()["warnings"])


def test_info_where_there_are_no_maps_and_no_installed_package(monkeypatch):
    import importlib.metadata

    def missing(*args, **kwargs):
        raise FileNotFoundError("/proc/self/maps")

    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(runtime, "open", missing, raising=False)
    monkeypatch.setattr(importlib.metadata, "version", unknown)
    info = runtime.info()
    assert info["openmp_runtimes"] == [] and info["nnfast"] == "not installed"
    assert "openmp_runtimes  none" in str(info)


def test_import_leaves_numpy_random_to_its_first_use(tmp_path):
    code = (
        "import sys, numpy; before = 'numpy.random' in sys.modules; import nnfast; "
        "print(before == ('numpy.random' in sys.modules))"
    )
    assert python(code, tmp_path) == "True"


def test_public_names():
    for name in nn.__all__:
        assert getattr(nn, name) is not None
    for name in ("datasets", "reference", "runtime", "testing", "__version__"):
        assert name in dir(nn) and getattr(nn, name)
    with pytest.raises(AttributeError, match="module 'nnfast' has no attribute 'conv3d'"):
        _ = nn.conv3d
