"""Choosing between the compiled functions and their twins."""

import inspect
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import nnfast
import nnfast.functional as F
from nnfast import backend, reference


def in_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment |= {"PATH": os.environ["PATH"]}  # an editable install builds what has changed
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_use_backend_holds_for_the_block_and_nests() -> None:
    outer = nnfast.get_backend()
    with nnfast.use_backend("reference"):
        assert nnfast.get_backend() == "reference"
        assert backend.active() is reference
        with nnfast.use_backend("native"):
            assert nnfast.get_backend() == "native"
        assert nnfast.get_backend() == "reference"
    assert nnfast.get_backend() == outer


def test_use_backend_is_undone_by_an_error() -> None:
    outer = nnfast.get_backend()
    with pytest.raises(ZeroDivisionError), nnfast.use_backend("reference"):
        1 / 0  # noqa: B018
    assert nnfast.get_backend() == outer


def test_unknown_backend_names_the_choices() -> None:
    with (
        pytest.raises(ValueError, match=r"name must be one of 'native', 'reference', got 'gpu'"),
        nnfast.use_backend("gpu"),
    ):
        pass


def test_other_threads_keep_their_backend() -> None:
    seen = []
    with nnfast.use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(nnfast.get_backend()))
        thread.start()
        thread.join()
    assert seen == [os.environ.get("NNFAST_BACKEND") or "native"]


@pytest.mark.parametrize("name", backend.BACKENDS)
def test_environment_sets_the_default(name: str) -> None:
    code = "import nnfast; print(nnfast.get_backend())"
    assert in_new_process(code, NNFAST_BACKEND=name).stdout.strip() == name


def test_environment_is_native_when_unset_or_empty() -> None:
    code = "import nnfast; print(nnfast.get_backend())"
    assert in_new_process(code).stdout.strip() == "native"
    assert in_new_process(code, NNFAST_BACKEND="").stdout.strip() == "native"


def test_environment_with_an_unknown_name_is_an_error() -> None:
    result = in_new_process("import nnfast", NNFAST_BACKEND="gpu")
    assert "ValueError: NNFAST_BACKEND must be one of 'native', 'reference'" in result.stderr


MISSING = "import sys; sys.modules['nnfast._core'] = None; import nnfast; print('imported')"


def test_a_missing_compiled_part_says_what_to_do() -> None:
    result = in_new_process(MISSING)
    assert "ImportError: nnfast's compiled part" in result.stderr
    assert "pip install ." in result.stderr


def test_the_reference_does_without_the_compiled_part() -> None:
    assert in_new_process(MISSING, NNFAST_BACKEND="reference").stdout.strip() == "imported"


def test_the_backend_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "relu", lambda x: "reference")
    with nnfast.use_backend("reference"):
        assert F.relu(np.ones(3)) == "reference"
    with nnfast.use_backend("native"):
        assert F.relu(np.ones(3)).tolist() == [1, 1, 1]


def test_functional_and_reference_have_the_same_signatures() -> None:
    assert sorted(F.__all__) == sorted(reference.__all__)
    for name in F.__all__:
        ours, twin = (
            [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
            for m in (F, reference)
        )
        assert ours == twin, name
