"""The rules of the house, see docs/architecture.md: who may import what, where things may stand."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nnfast"

# The rooms of the package and which others each may enter. Every room stands below those it enters,
# so that there is no way round in a circle. "" is nnfast/__init__.py, what users import.
ROOMS = {
    "_core": [],
    "reference": [],
    "backend": ["_core", "reference"],
    "functional": ["backend"],
    "init": [],
    "layers": ["functional", "init"],
    "optim": ["functional", "layers"],
    "models": ["functional", "layers"],
    "": ["backend", "functional", "init", "layers", "optim"],
    "runtime": ["backend"],
    "_progress": [],
    "datasets": ["_progress"],
    "_places": ["layers"],
    "_subject": ["_places", "layers"],
    "_report": [],
    "testing": ["_places", "_report", "_subject"],
    "plot": [],
    "compat": ["functional"],
    "demo": ["", "functional", "datasets", "plot", "_progress"],
    "cli": ["", "demo", "runtime", "compat"],
    "__main__": ["cli"],
}
# Lines a file may have: about 300 of C, about 200 of Python, and a quarter; tests more.
LONGEST = {"csrc": 375, "pyx": 375, "nnfast": 250, "bench": 250, "tools": 250, "tests": 375}
SUFFIXES = {".c", ".h", ".def", ".pyx", ".pxd", ".pxi", ".py"}


def files(*suffixes, under="."):
    return sorted(
        path
        for path in (ROOT / under).rglob("*")
        if path.suffix in suffixes and not {"build", ".venv"} & set(path.relative_to(ROOT).parts)
    )


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def code(path):
    """The text of a C file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)


def every(paths):
    """Parametrise a test over files."""
    paths = list(paths)
    return pytest.mark.parametrize("path", paths, ids=names(paths))


def imports(path):
    """Each module that a file of the package imports: (full name, whether on loading the file)."""
    package = ["nnfast", *path.relative_to(PACKAGE).parts[:-1]]
    tree = ast.parse(path.read_text())
    late = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test))
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in late
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node not in late


def room_of(module):
    """The room of a name under nnfast; "" for what the front itself defines."""
    name = [*module.split("."), ""][1]
    return name if (PACKAGE / name).is_dir() or name in ROOMS else ""


@every(files(".py", under="nnfast"))
def test_imports_go_one_way(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    room = "" if parts == ("__init__",) else parts[0]
    assert room in ROOMS, f"say in ROOMS what {room} may import"
    allowed = {room, *ROOMS[room]}
    for module, _ in imports(path):
        if module.split(".")[0] == "nnfast":
            assert room_of(module) in allowed, f"{room or 'nnfast'} must not import {module}"


def test_rooms_stand_below_those_they_enter():
    order = list(ROOMS)
    for room, entered in ROOMS.items():
        assert all(order.index(other) < order.index(room) for other in entered), room
        assert room in ("_core", "") or (PACKAGE / room).is_dir() or PACKAGE / f"{room}.py", room


@every(files(".py", under="nnfast"))
def test_loading_a_module_needs_numpy_alone(path):
    for module, on_loading in imports(path):
        library = module.split(".")[0]
        known = library in ("nnfast", "numpy") or library in sys.stdlib_module_names
        assert known or not on_loading, f"import {library} inside the function that needs it"


@every(files(".py", under="nnfast/reference"))
def test_reference_imports_only_numpy(path):
    for module, _ in imports(path):
        library = module.split(".")[0]
        assert (
            module.startswith(("numpy", "nnfast.reference")) or library in sys.stdlib_module_names
        )


def loaded(code, tmp_path):
    """The modules that are loaded after running `code` in a new interpreter."""
    code += "; import sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_nnfast_loads_little(tmp_path):
    extra = loaded("import nnfast", tmp_path) - loaded("import numpy", tmp_path)
    libraries = {module.split(".")[0] for module in extra} - sys.stdlib_module_names
    runtime = {name for name in libraries if name.startswith(("cython_runtime", "_cython_"))}
    assert libraries - runtime <= {"nnfast", "numpy"}
    slow = {"argparse", "asyncio", "http", "importlib.metadata", "multiprocessing", "ssl", "urllib"}
    assert not slow & extra
    on_demand = ("cli", "compat", "datasets", "demo", "models", "plot", "reference", "testing")
    assert not {f"nnfast.{name}" for name in on_demand} & extra


def test_openmp_in_two_files():
    users = [p for p in files(".c", ".h") if re.search(r"omp\.h|omp_\w+\(|\bomp parallel", code(p))]
    assert names(users) == ["csrc/parallel.h", "csrc/threads.c"]


def test_vector_types_and_intrinsics_in_the_vocabulary():
    pattern = r"vector_size|immintrin|arm_neon|\b_mm\w*_|\bv\w+q_[fsu]\d\d\b"
    users = names(p for p in files(".c", ".h") if re.search(pattern, code(p)))
    allowed = r"csrc/vec\w*\.h"
    assert not [user for user in users if not re.fullmatch(allowed, user)]


def test_csrc_knows_nothing_of_python():
    assert not [p for p in files(".c", ".h", under="csrc") if re.search(r"Py[A-Z]|numpy/", code(p))]


@every([ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", *files(".c", ".h", under="csrc")])
def test_no_flags_that_change_arithmetic(path):
    assert not re.search(
        r"-ffast-math|-Ofast|-funsafe-math|fast_math|float_control", path.read_text()
    )


@every(path for folder in LONGEST for path in files(*SUFFIXES, under=folder))
def test_files_are_short(path):
    folder = path.relative_to(ROOT).parts[0]
    assert len(path.read_text().splitlines()) <= LONGEST[folder]


@every(files(".c", ".h", ".def", under="csrc"))
def test_c_files_open_by_saying_what_they_are_for(path):
    text = path.read_text()
    assert text.startswith(f"/* {path.name}: ")
    opening = text.split("*/")[0]
    if path.match("kernels/*.c"):
        assert re.search(r"\w+ \(\w+[,)]|\ball \(\w+\)", opening), "state the shape of every array"


@every(files(".pyx", ".pxd", ".pxi", under="pyx"))
def test_cython_files_open_by_saying_what_they_are_for(path):
    text = path.read_text()
    assert text.startswith(f"# {path.name}: ") or '"""' in text.splitlines()[2]


@every(p for folder in ("nnfast", "bench", "tools", "tests") for p in files(".py", under=folder))
def test_python_files_open_by_saying_what_they_are_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@every(files(".c", under="csrc/kernels"))
def test_sizes_and_offsets_are_int64(path):
    assert not re.search(r"\blong\b|\bunsigned\b|for \((?:size_t|int32_t) ", code(path))
