"""`nnfast run` on made-up projects of the book's shape, each in a process of its own."""

import os
import signal
import subprocess
import sys

import pytest
from dlfs1_project import make_project

RUN = "import sys; from nnfast.compat.runner import main; sys.exit(main(sys.argv[1:]))"

TRAIN = """
import os, sys
sys.path.append(os.pardir)
import numpy as np
from collections import OrderedDict
from common.layers import *
from common.optimizer import Adam
from dataset.numbers import load

class Net:
    def __init__(self):
        self.params = {"W1": 0.1 * np.random.randn(4, 2, 3, 3), "b1": np.zeros(4),
                       "W2": 0.1 * np.random.randn(64, 5), "b2": np.zeros(5)}
        p = self.params
        self.layers = OrderedDict(c=Convolution(p["W1"], p["b1"], pad=1), r=Relu(),
                                  p=Pooling(2, 2, stride=2), a=Affine(p["W2"], p["b2"]))
        self.last = SoftmaxWithLoss()

    def gradient(self, x, t):
        for layer in self.layers.values():
            x = layer.forward(x)
        loss = self.last.forward(x, t)
        dout = self.last.backward()
        for layer in reversed(list(self.layers.values())):
            dout = layer.backward(dout)
        c, a = self.layers["c"], self.layers["a"]
        return loss, {"W1": c.dW, "b1": c.db, "W2": a.dW, "b2": a.db}

np.random.seed(0)
net, rule = Net(), Adam()
x, t = load()
for _ in range(10):
    loss, grads = net.gradient(x, t)
    rule.update(net.params, grads)
    print(f"{loss:.10f}")
"""


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "book")


def script(project, text, name="ch07/script.py"):
    path = project / name
    path.write_text(text)
    return path


def python(*args, cwd, **env):
    return subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": "", **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run(path, *args, options=(), cwd=None, **env):
    """Run a script through `nnfast run` in its own folder."""
    cwd = cwd or path.parent
    return python("-c", RUN, *options, os.path.relpath(path, cwd), *args, cwd=cwd, **env)


def report(result):
    """Give what the summary says: {module: [replaced, left]}."""
    found, module = {}, ""
    for line in result.stderr.partition("nnfast run:")[2].splitlines()[1:]:
        if line.startswith("    left as yours: "):
            found[module][1] = line.removeprefix("    left as yours: ")
        else:
            module, _, names = line.strip().partition(": ")
            found[module] = [names, ""]
    return found


@pytest.mark.parametrize("options", [(), ("--as", "dlfs1"), ("--as=auto",)])
def test_a_training_script_prints_the_same(project, options):
    path = script(project, TRAIN)
    plain, ours = python(path.name, cwd=path.parent), run(path, options=options)
    assert (plain.returncode, ours.returncode) == (0, 0), plain.stderr + ours.stderr
    assert ours.stdout == plain.stdout
    losses = [float(line) for line in ours.stdout.split()]
    assert losses[-1] < losses[0]
    replaced = report(ours)
    assert replaced["common.layers"][0].split(", ") == [
        "Relu",
        "Sigmoid",
        "Affine",
        "SoftmaxWithLoss",
        "Dropout",
        "BatchNormalization",
        "Convolution",
        "Pooling",
    ]
    assert replaced["common.util"] == [
        "smooth_curve, shuffle_dataset, conv_output_size, im2col, col2im",
        "",
    ]
    assert "Adam" in replaced["common.optimizer"][0]
    assert not any(left for _, left in replaced.values())


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_classes_come_from_us_everywhere(project, backend):
    """Also names that the user's own modules import from one another."""
    path = script(
        project,
        """
import os, sys
sys.path.append(os.pardir)
import common.layers, common.functions
from common import util
from common.multi_layer_net_extend import MultiLayerNetExtend, Affine, numerical_gradient
from common.functions import softmax
assert common.layers.softmax is softmax is common.functions.softmax
assert common.layers.im2col is util.im2col
net = MultiLayerNetExtend(4, [3], 2)
print(MultiLayerNetExtend.__module__, type(net.layers["Affine1"]).__module__, common.__file__)
for thing in (Affine, softmax, numerical_gradient, util.im2col):
    print(thing.__module__)
import nnfast; print(nnfast.get_backend())
""",
    )
    result = run(path, NNFAST_BACKEND=backend)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    user_common = os.path.join(project, "common", "__init__.py")
    assert lines[0].split()[:2] == ["common.multi_layer_net_extend", "nnfast.compat.dlfs1.layers"]
    assert os.path.realpath(lines[0].split()[2]) == os.path.realpath(user_common)
    names = ["layers", "functions", "gradient", "util"]
    assert lines[1:] == [f"nnfast.compat.dlfs1.{name}" for name in names] + [backend]


def test_the_script_sees_what_python_would_show_it(project):
    path = script(
        project,
        """
import sys, os, pickle
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), __doc__, __spec__, __package__)
print(sys.modules["__main__"].__dict__ is globals(), __builtins__, __cached__)
class C: pass
print(type(pickle.loads(pickle.dumps(C()))) is C)
def f() -> "annotation": pass
print(f.__annotations__)
import helper
print(helper.x)
""",
    )
    (project / "ch07" / "helper.py").write_text("x = 5\n")
    args = ["--epochs", "3", "-h", "--as", "x", "--", "last"]
    for cwd, given in ((path.parent, path.name), (project, "ch07/script.py"), (project, path)):
        plain = python(given, *args, cwd=cwd)
        ours = python("-c", RUN, given, *args, cwd=cwd)
        assert plain.returncode == 0, plain.stderr
        assert ours.stdout == plain.stdout
        assert "nothing was replaced" in ours.stderr


def test_a_link_to_a_script(project, tmp_path):
    path = script(project, "import helper, sys; print(helper.x, __file__, sys.argv)")
    (project / "ch07" / "helper.py").write_text("x = 5\n")
    link = tmp_path / "link.py"
    link.symlink_to(path)
    assert run(link).stdout == python(link.name, cwd=tmp_path).stdout != ""


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit()", 0),
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("sys.exit(True)", 1),
        ("sys.exit('no data')", 1),
        ("raise SystemExit", 0),
        ("raise ValueError('oh')", 1),
        ("1 / 0", 1),
        ("import nowhere", 1),
        ("raise KeyboardInterrupt", 130),
        ("def broken(:", 1),
    ],
)
def test_exit_status_and_messages(project, ending, status):
    text = f"import sys, os\nsys.path.append(os.pardir)\nfrom common.layers import Relu\n{ending}\n"
    path = script(project, text)
    plain, ours = python(path.name, cwd=path.parent), run(path)
    assert ours.returncode == status
    assert plain.returncode == (-signal.SIGINT if status == 130 else status)
    message, _, summary = ours.stderr.partition("nnfast run: ")
    assert message == plain.stderr
    if "broken" in ending:
        assert summary.startswith("nothing was replaced")
    else:
        assert "Relu" in summary


def test_ctrl_c(project):
    """The summary comes after Ctrl-C too, once."""
    path = script(
        project,
        "import sys, os, time; sys.path.append(os.pardir)\nfrom common.layers import Relu\n"
        "print('ready', flush=True)\ntime.sleep(60)\n",
    )
    # A shell's background jobs ignore SIGINT, and what they start does too: not here.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    process = subprocess.Popen(
        [sys.executable, "-c", listen + RUN, path.name],
        cwd=path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "KeyboardInterrupt" in errors
    assert "runner.py" not in errors, "the traceback shows the user's frames only"
    assert errors.count("nnfast run: replaced") == 1


def test_a_user_without_common_gets_all_of_ours(tmp_path):
    path = script(
        tmp_path,
        """
from common.layers import *
from common.multi_layer_net import MultiLayerNet
from common.trainer import Trainer
import common.util
print(Affine.__module__, MultiLayerNet.__module__, Trainer.__module__, np.__name__)
print(common.util.__name__, common.util.im2col is im2col, bool(common.util.__doc__))
try:
    import common.nothing
except ModuleNotFoundError as error:
    print(error)
""",
        "script.py",
    )
    result = run(path)
    assert result.returncode == 0, result.stderr
    ours = "nnfast.compat.dlfs1"
    assert result.stdout.splitlines() == [
        f"{ours}.layers {ours}.multi_layer_net {ours}.trainer numpy",
        "common.util True True",
        "No module named 'common.nothing'",
    ]
    names = ["layers", "multi_layer_net", "trainer", "util"]
    assert report(result) == {
        f"common.{name}": ["all of it, you have no such module", ""] for name in names
    }


def test_a_module_the_user_lacks_is_lent(project):
    (project / "common" / "optimizer.py").unlink()
    path = script(
        project,
        "import sys, os; sys.path.append(os.pardir)\n"
        "from common.optimizer import Adam; from common.layers import Affine\n"
        "print(Adam.__module__, Affine.__module__)\n",
    )
    result = run(path)
    assert result.stdout.split() == ["nnfast.compat.dlfs1.optimizer", "nnfast.compat.dlfs1.layers"]
    assert report(result)["common.optimizer"][0] == "all of it, you have no such module"


def test_keep(project):
    path = script(
        project,
        "import sys, os; sys.path.append(os.pardir)\nfrom common.layers import *\n"
        "print(Relu.__module__, softmax.__module__, Affine.__module__)\n",
    )
    result = run(path, options=("--keep", "Relu,softmax", "--keep=sigmoid"))
    assert result.stdout.split() == [
        "common.layers",
        "common.functions",
        "nnfast.compat.dlfs1.layers",
    ]
    assert report(result)["common.layers"][1] == "Relu (you asked to keep it)"
    assert "sigmoid (you asked" in report(result)["common.functions"][1]


def test_an_error_in_the_user_s_common(project):
    (project / "common" / "layers.py").write_text("raise RuntimeError('half-written')\n")
    path = script(project, "import sys, os; sys.path.append(os.pardir)\nimport common.layers\n")
    result = run(path)
    assert result.returncode == 1
    assert "RuntimeError: half-written" in result.stderr
    assert "nnfast run:" in result.stderr


def test_the_command_line_runs_it(project):
    path = script(
        project,
        "import sys, os; sys.path.append(os.pardir)\n"
        "from common.layers import Relu; print(sys.argv); sys.exit(7)\n",
    )
    result = python("-m", "nnfast", "run", "--as", "dlfs1", path.name, "--version", cwd=path.parent)
    assert result.stdout == f"['{path.name}', '--version']\n", result.stderr
    assert result.returncode == 7
    assert "Relu" in report(result)["common.layers"][0]


def test_a_script_that_is_not_there(tmp_path):
    result = python("-c", RUN, "nowhere.py", cwd=tmp_path)
    assert result.returncode == 2
    assert "can't open file 'nowhere.py'" in result.stderr


def test_usage_errors(tmp_path):
    for args in ([], ["--as", "dlfs9", "x.py"], ["--unknown"]):
        result = python("-c", RUN, *args, cwd=tmp_path)
        assert result.returncode == 2
        assert "usage: nnfast run" in result.stderr


def test_keeping_what_is_not_replaced_is_an_error(project):
    (project / "x.py").write_text("")
    result = python("-c", RUN, "--keep", "Relu,relu_layer", "x.py", cwd=project)
    assert result.returncode == 2 and "--keep: nothing called relu_layer" in result.stderr


def test_main_leaves_the_interpreter_as_it_was(project, capfd):
    from nnfast.compat.runner import main

    path = script(
        project,
        f"import sys; sys.path.append({str(project)!r}); import common.layers; sys.exit(4)\n",
    )
    before = sys.argv, list(sys.path), sys.modules["__main__"], list(sys.meta_path)
    for _ in range(2):
        assert main([str(path)]) == 4
    assert (sys.argv, sys.path, sys.modules["__main__"], sys.meta_path) == before
    assert not any(name.partition(".")[0] == "common" for name in sys.modules)
    assert capfd.readouterr().err.count("Convolution") == 2
