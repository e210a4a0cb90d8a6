"""The kernel tests on each instruction set below the one in use; page_ends.py on every one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_checks import core

HERE = Path(__file__).parent
ISAS = ["baseline", "avx2", "avx512"]
MODULES = sorted(str(path) for path in [*HERE.glob("test_kernels_*.py"), HERE / "test_vecmath.py"])


def environment(isa: str) -> dict[str, str]:
    return {**os.environ, "NNFAST_ISA": isa}


def run(isa: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(isa),
        cwd=HERE,  # not the repository root, whose source folder would hide the package
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def chosen(isa: str) -> str:
    """Return the instruction set in use where NNFAST_ISA names `isa`."""
    result = run(isa, "-c", "from nnfast import _core; print(_core.runtime_isa())")
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def need(isa: str) -> None:
    if isa not in core.runtime_isas():
        pytest.skip(f"{isa} was not compiled in")
    if chosen(isa) != isa:
        pytest.skip(f"this CPU has no {isa}")


@pytest.mark.parametrize("isa", ISAS)
def test_kernels_on_instruction_set(isa: str) -> None:
    need(isa)
    if isa == core.runtime_isa():
        pytest.skip(f"{isa} is in use: every other test runs on it")
    options = ["-q", "-x", "-p", "no:cacheprovider"]
    result = run(isa, "-m", "pytest", *options, *MODULES)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


@pytest.mark.skipif(sys.platform != "linux", reason="the script uses mmap as Linux has it")
@pytest.mark.parametrize("isa", ISAS)
def test_nothing_is_read_beyond_arguments(isa: str) -> None:
    need(isa)
    result = run(isa, str(HERE / "page_ends.py"))
    assert result.returncode == 0, result.stderr[-2000:]


def test_the_choice_can_only_be_lowered() -> None:
    assert chosen("baseline") == core.runtime_isas()[0]
    if "NNFAST_ISA" not in os.environ:
        assert chosen("none of them") == core.runtime_isa()
