"""The checks check: right layers pass, wrong ones are named with their worst element."""

import numpy as np
import pytest

import nnfast as nn
import nnfast.functional as F
from nnfast.testing import check_gradients, numerical_gradient, verify

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 4))


class Affine:
    """A layer as the books write it."""

    def __init__(self, error=0.0):
        self.W, self.b = RNG.standard_normal((4, 3)), np.zeros(3)
        self.dW = self.db = None
        self.error = error

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(0)
        self.dW[2, 1] += self.error
        return dout @ self.W.T


class Dict(Affine):
    """The same with dicts."""

    def __init__(self):
        super().__init__()
        self.params, self.grads = {"W": self.W, "b": self.b}, {}

    def forward(self, x):
        self.W, self.b = self.params["W"], self.params["b"]
        return super().forward(x)

    def backward(self, dout):
        dx = super().backward(dout)
        self.grads.update(W=self.dW, b=self.db)
        return dx


class Lists(Affine):
    """The same with lists."""

    def __init__(self):
        super().__init__()
        self.params = [self.W, self.b]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x):
        self.W, self.b = self.params
        return super().forward(x)

    def backward(self, dout):
        dx = super().backward(dout)
        self.grads[0][...], self.grads[1][...] = self.dW, self.db
        return dx


class Ours(nn.Layer):
    """The same on our base class, with the layout and names of Affine."""

    def __init__(self, factor=1.0):
        self.W = nn.Parameter(np.ones((4, 3)))
        self.b = nn.Parameter(np.ones(3))
        self.factor = factor

    def forward(self, x):
        self._saved = x
        return self.factor * (x @ self.W.expect()) + self.b.expect()

    def backward(self, dout, needs_dx=True):
        self.W.collect(self.factor * self._take().T @ dout)
        self.b.collect(dout.sum(0))
        return self.factor * dout @ self.W.data.T


def test_numerical_gradient():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    grad = numerical_gradient(lambda a: np.sum(a**3), x)
    np.testing.assert_allclose(grad, 3 * x.astype(float) ** 2, rtol=1e-8, atol=1e-9)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert numerical_gradient(lambda a: a * a, 3.0) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (Affine(), ["x", "W", "b"]),
        (Dict(), ["x", "W", "b"]),
        (Lists(), ["x", "params[0]", "params[1]"]),
        (Ours(), ["x", "W", "b"]),
        (nn.Linear(4, 2, rng=0), ["x", "weight", "bias"]),
        (nn.Sequential(nn.Dropout(rng=0), nn.Linear(4, 2)), ["x", "1.weight", "1.bias"]),
        ((F.relu, F.relu_backward), ["x"]),
    ],
)
def test_right_layers_pass_and_all_is_found(layer, names):
    report = check_gradients(layer, X)
    assert report.ok and [row.name for row in report.rows] == names
    assert str(report).count("ok") == len(names)


def test_wrong_element_is_found():
    with pytest.raises(AssertionError, match=r"W .*WRONG\s+worst at \[2, 1\]: got .*, expected"):
        check_gradients(Affine(error=1e-3), X)
    check_gradients(Affine(error=1e-9), X)


def test_missing_and_misshapen_gradients():
    lazy = Affine()
    lazy.backward = lambda dout: None
    with pytest.raises(AssertionError, match=r"gradient of x must have shape \(5, 4\), got None"):
        check_gradients(lazy, X)


def test_nan_is_wrong():
    with pytest.raises(AssertionError, match="WRONG"):
        check_gradients((lambda x: x * 2, lambda dout, x: dout * np.nan), X)


def test_random_forward_is_refused():
    with pytest.raises(ValueError, match="forward must give the same result twice"):
        check_gradients((lambda x: x + np.random.rand(), lambda dout, x: dout), X)  # noqa: NPY002


def test_nothing_given_is_changed():
    layer, norm, x = nn.Linear(4, 3, rng=0), nn.BatchNorm1d(4), X.astype(np.float32)
    before = layer.state_dict(), norm.state_dict()
    check_gradients(layer, x)
    check_gradients(norm, x)
    for one, state in zip((layer, norm), before, strict=True):
        for name, array in one.state_dict().items():
            np.testing.assert_array_equal(array, state[name])
            assert array.dtype == state[name].dtype
    assert layer.weight.grad is None


def test_integer_input_and_most():
    class Lookup(nn.Layer):
        def __init__(self):
            self.table = nn.Parameter(RNG.standard_normal((50, 8)))

        def forward(self, x):
            self._saved = x
            return self.table.expect()[x]

        def backward(self, dout, needs_dx=True):
            grad = np.zeros(self.table.shape)
            np.add.at(grad, self._take(), dout)
            self.table.collect(grad)

    report = check_gradients(Lookup(), np.array([3, 3, 7]), most=10)
    assert [row.name for row in report.rows] == ["table"]


def test_verify_against_ours():
    report = verify(Affine(), X, ours=Ours())
    names = [row.name for row in report.rows]
    assert names == ["x", "W", "b", "result", "dx", "dW", "db"]
    with pytest.raises(AssertionError, match=r"result .*WRONG"):
        verify(Affine(), X, ours=Ours(factor=1.001))
    with pytest.raises(AssertionError, match=r"result must have shape \(5, 4\), got \(5, 3\)"):
        verify(Affine(), X, ours=nn.ReLU())
    assert [row.name for row in verify(Affine(), X).rows] == ["x", "W", "b"]
    verify((np.tanh, lambda dout, x: dout / np.cosh(x) ** 2), X, ours=nn.Tanh())


def test_a_dict_of_weights_with_gradients_in_attributes():
    class Mixed(Affine):
        def __init__(self, error=0.0):
            super().__init__(error)
            self.params = {"W": self.W, "b": self.b}

        def forward(self, x):
            self.W, self.b = self.params["W"], self.params["b"]
            return super().forward(x)

    assert [row.name for row in verify(Mixed(), X).rows] == ["x", "W", "b"]
    with pytest.raises(AssertionError, match=r"W .*WRONG"):
        verify(Mixed(error=1e-3), X)


def test_a_gradient_that_params_promise_must_be_there():
    class Forgetful(Dict):
        def backward(self, dout):
            dx = Affine.backward(self, dout)
            self.grads["W"] = self.dW  # and db stays where optimizers do not look
            return dx

    with pytest.raises(AssertionError, match=r"gradient of b must have shape \(3,\), got None"):
        check_gradients(Forgetful(), X)


class Scale(nn.Layer):
    """A layer that forgets to say that a new gradient is awaited."""

    def __init__(self):
        self.w = nn.Parameter(np.ones(4, np.float32))

    def forward(self, x):
        self._saved = x
        return x * self.w.data

    def backward(self, dout, needs_dx=True):
        self.w.collect((dout * self._take()).sum(0))
        return dout * self.w.data


def test_gradients_that_accumulate():
    message = r"w, again .*WRONG(.|\n)*second backward gives twice the first; .* expect\(\)"
    with pytest.raises(AssertionError, match=message):
        check_gradients(Scale(), X)
    with pytest.raises(AssertionError, match=message):
        verify(Scale(), X)

    class Adding(Affine):  # other layers may do so on purpose
        def backward(self, dout):
            before = 0 if self.dW is None else self.dW
            dx = super().backward(dout)
            self.dW += before
            return dx

    twice = "gradients accumulate: the second backward gives twice the first"
    assert check_gradients(Adding(), X).notes == {"W, again": twice}
    Adding.zero_grad = lambda self: setattr(self, "dW", None)
    assert not check_gradients(Adding(), X).notes


def test_verify_notes_what_it_cannot_compare():
    affine, linear = Affine(), nn.Linear(4, 3, dtype=np.float64)
    linear.load_state_dict({"weight": affine.W.T, "bias": affine.b})
    report = verify(affine, X, ours=linear)
    assert [row.name for row in report.rows] == ["x", "W", "b", "result", "dx"]
    assert report.notes == {
        "dW": "not compared: Linear has no W of shape (4, 3)",
        "db": "not compared: Linear has no b of shape (3,)",
        "Linear.weight": "not compared, and left as it is",
        "Linear.bias": "not compared, and left as it is",
    }
