"""One list of kernels: kernels.def = csrc.pxd = _core = reference = functional."""

import inspect
import re
from pathlib import Path

import pytest

import nnfast
from nnfast import functional, reference

ROOT = Path(__file__).parents[1]
_core = pytest.importorskip("nnfast._core", reason="nnfast._core is not built")
COMPILED = [name for name in dir(_core) if not name.startswith(("_", "runtime_"))]


def normal(parameters):
    """A C parameter list in one spelling, `real` being what the C API calls `void`."""
    text = re.sub(r"\s+", " ", parameters).replace("real", "void")
    return [re.sub(r"\s*\*\s*", " *", parameter.strip()) for parameter in text.split(",")]


def kernels():
    """(name, parameters, arguments) of each line of kernels.def."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "csrc/kernels.def").read_text(), flags=re.DOTALL)
    found = re.findall(r"(?:KERNEL|PRODUCT)\((\w+),\s*\(([^)]*)\),\s*\(([^)]*)\)\)", text)
    assert len(found) == text.count("KERNEL(") + text.count("PRODUCT(")
    return found


def declarations():
    """Name and parameters of each kernel in csrc.pxd."""
    text = (ROOT / "pyx/csrc.pxd").read_text()
    return re.findall(r"int nnf_(\w+)\(nnf_dtype dtype, ([^)]*)\)", text)


def test_csrc_pxd_declares_the_kernels_as_listed():
    listed = [(name, normal(parameters)) for name, parameters, _ in kernels()]
    assert [(name, normal(parameters)) for name, parameters in declarations()] == listed


@pytest.mark.parametrize("name, parameters, arguments", kernels())
def test_a_kernel_passes_on_its_parameters(name, parameters, arguments):
    names = [re.findall(r"\w+", parameter)[-1] for parameter in parameters.split(",")]
    assert names == [argument.strip() for argument in arguments.split(",")]


def test_every_kernel_is_bound():
    missing = {name for name, _, _ in kernels()} - set(COMPILED)
    assert not missing


def test_the_same_functions_everywhere():
    assert sorted(reference.__all__) == sorted(COMPILED)
    assert sorted(functional.__all__) == sorted(COMPILED)


@pytest.mark.parametrize("name", sorted(functional.__all__))
def test_the_same_signature_everywhere(name):
    def parameters(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    wanted = parameters(getattr(functional, name))
    assert parameters(getattr(reference, name)) == wanted
    assert parameters(getattr(_core, name)) == wanted


@pytest.mark.parametrize("name", sorted(functional.__all__))
def test_functions_say_what_they_take_and_return(name):
    text = inspect.getdoc(getattr(functional, name)) or ""
    assert "Parameters\n---" in text, "list the parameters with their shapes"
    assert "Returns\n---" in text or name.endswith("_update")


@pytest.mark.parametrize("name", [n for n in nnfast.__all__ if inspect.isclass(getattr(nnfast, n))])
def test_classes_have_docstrings(name):
    assert inspect.getdoc(getattr(nnfast, name))
