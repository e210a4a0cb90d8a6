"""Which of the user's classes and functions the stand-ins replace, and which they leave alone."""

import copy
import importlib
import pickle
import sys
import warnings

import numpy as np
import pytest
from dlfs1_project import make_project

from nnfast.compat.dlfs1.profile import PROFILE
from nnfast.compat.swap import Swap

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture
def common(tmp_path, monkeypatch):
    """The folder of the user's package, found on the path and by nothing imported yet."""
    root = make_project(tmp_path / "book")
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # tests rewrite files within a second
    return root / "common"


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def load(module, **options):
    """Import one of the user's modules under the hook; give it and what the hook reports."""
    with Swap(PROFILE, **options) as swap:
        return importlib.import_module(f"common.{module}"), swap.reports[f"common.{module}"]


@pytest.mark.parametrize("module", PROFILE.replaced)
def test_what_is_written_as_in_the_book_is_replaced(common, module):
    loaded, report = load(module)
    assert not report.left and not report.lent
    expected = [name for name in PROFILE.probes[module] if name != "mean_squared_error"]
    assert report.replaced == expected
    for name in expected:
        assert getattr(loaded, name) is getattr(PROFILE.replaced[module], name)
    assert loaded.__file__ == str(common / f"{module}.py")


def test_the_user_s_modules_get_the_stand_ins_from_one_another(common):
    with Swap(PROFILE):
        net = importlib.import_module("common.multi_layer_net_extend")
        layers = sys.modules["common.layers"]
    ours = PROFILE.replaced
    assert net.Affine is layers.Affine is ours["layers"].Affine
    assert layers.softmax is ours["functions"].softmax
    assert layers.im2col is ours["util"].im2col
    assert net.numerical_gradient is ours["gradient"].numerical_gradient
    assert net.MultiLayerNetExtend.__module__ == "common.multi_layer_net_extend"


def test_names_we_do_not_have_stay_the_user_s(common):
    with open(common / "layers.py", "a") as file:
        file.write("class Swish:\n    pass\ndef helper():\n    return softmax\n_hidden = 1\n")
    layers, report = load("layers")
    assert report.left == {"Swish": "", "helper": ""}
    assert layers.helper() is PROFILE.replaced["functions"].softmax
    assert layers._hidden == 1


def test_a_class_that_the_user_derives_from_stays(common):
    """Its children call methods of their parent that ours may lack."""
    with open(common / "layers.py", "a") as file:
        file.write("class Deep(Affine):\n    pass\n")
    layers, report = load("layers")
    assert issubclass(layers.Deep, layers.Affine)
    assert report.left == {"Affine": "a class of yours derives from it", "Deep": ""}


CHANGED = [
    # module, what the user's file says, what it says instead, the name, why it stays
    ("layers", "out[self.mask] = 0", "out[self.mask] *= 0.01", "Relu", "other numbers"),
    ("layers", "dout[self.mask] = 0", "dout = dout * ~self.mask", "Relu", "other numbers"),
    (
        "layers",
        "self.mask = None",
        "self.mask, self.params = None, []",
        "Relu",
        "has not: params",
    ),
    ("layers", "(self, W, b):", "(self, W, b, scale=1):", "Affine", "constructor takes other"),
    (
        "layers",
        "class Sigmoid:",
        "class Sigmoid:\n    def reset(self):\n        pass\n",
        "Sigmoid",
        "method reset",
    ),
    (
        "layers",
        "return x * self.mask",
        "return x * self.mask / (1 - self.dropout_ratio)",
        "Dropout",
        "other numbers",
    ),
    ("util", "framed = np.zeros(", "framed = -np.ones(", "im2col", "other numbers"),
    (
        "util",
        "c, filter_h, filter_w))",
        "c, filter_h, filter_w), input_data.dtype)",
        "im2col",
        "other numbers",
    ),
    ("functions", "softmax(x):", "softmax(x, axis=-1):", "softmax", "other arguments"),
    ("functions", "def relu(x):", "def relu(x, /):", "relu", "other arguments"),
    (
        "functions",
        "def relu(x):\n    return np.maximum(0, x)",
        "class relu:\n    pass",
        "relu",
        "a class on one side",
    ),
    (
        "optimizer",
        "params[key] -= self.lr * grads[key]",
        "raise NotImplementedError",
        "SGD",
        "it fails on a small example with NotImplementedError",
    ),
]


# What a class may have beside its methods, and why it then stays.
MORE = [
    ("def __call__(self, x):\n        return self.forward(x)", "method __call__"),
    ("def __repr__(self):\n        return 'ReLU'", "method __repr__"),
    ("def __len__(self):\n        return 0", "method __len__"),
    ("def _slope(self):\n        return 1", "method _slope"),
    ("kind = 'activation'", "attribute kind"),
    ("_count = 0", "attribute _count"),
    ("size = property(lambda self: 0)", "attribute size"),
    ("make = classmethod(lambda cls: cls())", "attribute make"),
    ("__slots__ = ('mask',)", "attribute __slots__"),
    ("__hash__ = None", "attribute __hash__"),
]


@pytest.mark.parametrize(("body", "why"), MORE, ids=[why for _, why in MORE])
def test_a_class_that_has_more_than_ours_stays(common, body, why):
    change(common / "layers.py", "class Relu:", f"class Relu:\n    {body}\n")
    layers, report = load("layers")
    assert layers.Relu.__module__ == "common.layers"
    assert report.left == {"Relu": f"its {why} is not like ours"}


@pytest.mark.parametrize(
    ("bases", "why"),
    [
        ("Layer", "it derives from Layer"),
        ("Layer, abc.ABC", "it derives from Layer, ABC"),
        ("metaclass=abc.ABCMeta", "its metaclass is ABCMeta"),
    ],
)
def test_a_class_that_is_of_another_kind_stays(common, bases, why):
    """`isinstance(Relu(), Layer)` has to stay true, and what Layer has to be there."""
    change(common / "layers.py", "class Relu:", f"class Relu({bases}):")
    change(
        common / "layers.py",
        "class Relu",
        "import abc\n\n\nclass Layer:\n    def info(self):\n        return 'me'\n\n\nclass Relu",
    )
    layers, report = load("layers")
    assert isinstance(layers.Relu(), getattr(layers, "Layer" if "Layer" in bases else "Relu"))
    assert report.left == {"Relu": why, "Layer": ""}


@pytest.mark.parametrize(
    "body", ["'Explained.'", "mask: object", "def __mask(self, x):\n        return x <= 0"]
)
def test_what_nobody_else_sees_does_not_matter(common, body):
    """Explanations, annotations, and names that are the class's own: an edition has those."""
    change(common / "layers.py", "class Relu:", f"class Relu:\n    {body}\n")
    change(common / "layers.py", "self.mask = None", "self.mask = self.__own = None")
    assert not load("layers")[1].left


def test_a_function_with_attributes_stays(common):
    with open(common / "functions.py", "a") as file:
        file.write("relu.derivative = relu_grad\n")
    functions, report = load("functions")
    assert functions.relu.derivative.__module__ == "common.functions"
    assert report.left == {"relu": "it has attributes that ours has not: derivative"}


SOFT = "return -np.sum(t * np.log(y + 1e-7)) / len(y)"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if t.size == y.size:\n", f"if t.ndim == 2:\n        {SOFT}\n    if False:\n"),
        ("y = y[np.newaxis]", "return 0.0"),
    ],
    ids=["soft targets", "one sample"],
)
def test_another_cross_entropy_stays(common, old, new):
    """Where labels are smoothed or mixed all classes count; the book takes the likeliest."""
    change(common / "functions.py", old, new)
    functions, report = load("functions")
    assert functions.cross_entropy_error.__module__ == "common.functions"
    assert list(report.left) == ["cross_entropy_error", "softmax_loss"]


def test_a_loss_of_soft_targets_stays(common):
    """The layer uses the user's function, so it stays too."""
    old = "if t.size == y.size:\n"
    change(common / "functions.py", old, f"if t.ndim == 2:\n        {SOFT}\n    if False:\n")
    layers, report = load("layers")
    assert report.left == {"SoftmaxWithLoss": "it gives other numbers on a small example"}
    y, t = layers.softmax(np.array([[1.0, 2.0]])), np.array([[0.4, 0.6]])
    assert layers.SoftmaxWithLoss().forward(np.array([[1.0, 2.0]]), t) == pytest.approx(
        -np.sum(t * np.log(y)), rel=1e-5
    )


@pytest.mark.parametrize(("module", "old", "new", "name", "why"), CHANGED)
def test_what_the_user_changed_stays(common, module, old, new, name, why):
    change(common / f"{module}.py", old, new)
    loaded, report = load(module)
    assert getattr(loaded, name).__module__ == f"common.{module}"
    assert name not in report.replaced
    assert list(report.left) == [name]
    assert why in report.left[name]


def test_another_default_is_taken_over(common):
    """In early editions the stride of Pooling is 1 unless said."""
    change(common / "layers.py", "pool_w, stride=2", "pool_w, stride=1")
    layers, report = load("layers")
    assert "Pooling" in report.replaced
    assert issubclass(layers.Pooling, PROFILE.replaced["layers"].Pooling)
    pool = layers.Pooling(2, pool_w=2)
    assert (pool.stride, pool.pad, layers.Pooling.__name__) == (1, 0, "Pooling")
    assert pool.forward(np.ones((1, 1, 4, 4))).shape == (1, 1, 3, 3)
    assert layers.Pooling(2, 2, stride=3).stride == 3
    assert not report.left


def test_objects_with_another_default_can_be_copied_and_pickled(common):
    """By the name that the class has in the user's module."""
    change(common / "layers.py", "pool_w, stride=2", "pool_w, stride=1")
    with Swap(PROFILE):
        Pooling = importlib.import_module("common.layers").Pooling
        pool, x = Pooling(2, 2), np.arange(16.0).reshape(1, 1, 4, 4)
        y = pool.forward(x)
        for twin in (copy.copy(pool), copy.deepcopy(pool), pickle.loads(pickle.dumps(pool))):
            assert type(twin) is Pooling and twin.stride == 1
            np.testing.assert_array_equal(twin.backward(y), pool.backward(y))
        assert pickle.loads(pickle.dumps(Pooling)) is Pooling


def test_the_other_nesterov_is_recognised(common):
    """Some editions move the parameters before the velocity."""
    move = "            params[key] += self.momentum**2 * self.v[key]\n"
    change(common / "optimizer.py", move, "")
    slow = "            self.v[key] *= self.momentum\n"
    change(common / "optimizer.py", slow, move + slow)
    optimizer, report = load("optimizer")
    assert optimizer.Nesterov is PROFILE.alternatives["Nesterov"][0]
    assert not report.left


def test_required_arguments_may_be_named_otherwise(common):
    file = common / "util.py"
    file.write_text(file.read_text().replace("input_data", "images"))
    assert "im2col" in load("util")[1].replaced
    file.write_text(file.read_text().replace("stride=1", "step=1"))
    assert load("util")[1].left["im2col"] == "it takes other arguments"


def test_names_to_keep(common):
    layers, report = load("layers", keep=["Relu"])
    assert layers.Relu.__module__ == "common.layers"
    assert report.left == {"Relu": "you asked to keep it"}


def test_the_check_leaves_no_trace(common, capsys):
    """The user's code runs on small examples: no prints, no random numbers, no warnings."""
    change(common / "layers.py", "self.mask = x <= 0", "self.mask = x <= 0; print(np.log(-1.0))")
    np.random.seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "Relu" in load("layers")[1].replaced
    drawn = np.random.rand()
    np.random.seed(3)
    assert drawn == np.random.rand()
    assert capsys.readouterr() == ("", "")


def test_layers_of_the_second_book_stay(common):
    """They compute the same, but have params and grads."""
    (common / "layers.py").write_text(
        "import numpy as np\n\n\nclass Sigmoid:\n    def __init__(self):\n"
        "        self.params, self.grads, self.out = [], [], None\n\n"
        "    def forward(self, x):\n        self.out = 1 / (1 + np.exp(-x))\n"
        "        return self.out\n\n"
        "    def backward(self, dout):\n        return dout * (1.0 - self.out) * self.out\n"
    )
    layers, report = load("layers")
    assert layers.Sigmoid().params == []
    assert report.left == {"Sigmoid": "it has attributes that ours has not: params, grads"}


def test_a_module_the_user_lacks_is_lent(common):
    (common / "optimizer.py").unlink()
    optimizer, report = load("optimizer")
    assert report.lent
    assert optimizer.Adam is PROFILE.replaced["optimizer"].Adam
    assert optimizer.__name__ == "common.optimizer"


def test_other_modules_of_the_package_are_not_touched(common):
    (common / "extra.py").write_text("class Relu:\n    pass\n")
    with Swap(PROFILE) as swap:
        assert importlib.import_module("common.extra").Relu.__module__ == "common.extra"
        with pytest.raises(ModuleNotFoundError, match=r"common\.nothing"):
            importlib.import_module("common.nothing")
    assert swap.reports == {}


def test_a_module_can_be_loaded_again(common):
    with Swap(PROFILE):
        layers = importlib.import_module("common.layers")
        change(common / "layers.py", "out[self.mask] = 0", "out[self.mask] = -1")
        importlib.invalidate_caches()
        assert importlib.reload(layers).Relu.__module__ == "common.layers"
