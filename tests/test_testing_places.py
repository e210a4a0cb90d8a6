"""The checks find weights and gradients wherever a layer keeps them, and say what they did not."""

import numpy as np
import pytest

import nnfast as nn
from nnfast.testing import check_gradients, verify

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 4))


class Linear:
    """Weights alone; the gradient comes into being in backward, where `store` puts it."""

    def __init__(self, store=lambda self, dW: setattr(self, "dW", dW)):
        self.W, self.store = RNG.standard_normal((4, 4)), store

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.store(self, self.x.T @ dout)
        return dout @ self.W.T


def under(name):
    return lambda self, dW: setattr(self, name, dW)


STORES = {name: under(name) for name in ("dW", "grad_W", "W_grad", "gW")}
STORES |= {
    f"grads[{key!r}]": lambda self, dW, key=key: setattr(self, "grads", {key: dW})
    for key in ("W", "dW")
}


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_gradients_are_found_where_backward_puts_them(store):
    report = verify(Linear(store), X)
    assert [row.name for row in report.rows] == ["x", "W"] and not report.notes
    with pytest.raises(AssertionError, match=r"W .*WRONG"):
        verify(Linear(lambda self, dW: store(self, 2 * dW)), X)
    used = Linear(store)
    used.backward(used.forward(X))
    used.dx = X  # with the saved input it looks like a weight and its gradient
    assert [row.name for row in verify(used, X).rows] == ["x", "W"]


def test_gradients_in_lists_beside_the_weights():
    class Two(Linear):
        def __init__(self, factor=1):
            self.weights, self.factor = [np.ones((4, 3)), np.ones((3, 2), np.float32)], factor

        def forward(self, x):
            self.x, self.h = x, x @ self.weights[0]
            return self.h @ self.weights[1]

        def backward(self, dout):
            dh = dout @ self.weights[1].T
            self.dweights = [self.x.T @ dh, self.factor * self.h.T @ dout]
            return dh @ self.weights[0].T

    assert [row.name for row in verify(Two(), X).rows] == ["x", "weights[0]", "weights[1]"]
    with pytest.raises(AssertionError, match=r"weights\[1\] .*WRONG"):
        verify(Two(factor=2), X)


def test_weights_made_by_the_first_forward():
    class Lazy(Linear):
        def __init__(self, factor=1):
            super().__init__(lambda self, dW: setattr(self, "dW", factor * dW))
            del self.W

        def forward(self, x):
            if not hasattr(self, "W"):
                self.W = RNG.standard_normal((4, 3))
            return super().forward(x)

    assert [row.name for row in verify(Lazy(), X).rows] == ["x", "W"]
    with pytest.raises(AssertionError, match=r"W .*WRONG"):
        verify(Lazy(2), X)


def test_arrays_without_a_gradient_are_noted_if_they_take_part():
    report = verify(Linear(under("delta")), X)
    assert report.ok and report.notes == {"W": "takes part, but no gradient found: not checked"}
    assert "W                takes part, but no gradient" in str(report)

    class Scaled(nn.Layer):
        buffers = ("known",)

        def __init__(self):
            self.known, self.forgotten, self.unused = np.ones(4), np.full(4, 2.0), np.ones(4)

        def forward(self, x):
            return x * self.known * self.forgotten

        def backward(self, dout, needs_dx=True):
            return dout * self.known * self.forgotten

    assert list(check_gradients(Scaled(), X).notes) == ["forgotten"]


def test_parameters_of_any_name_are_found():
    class Hidden(nn.Layer):
        def __init__(self):
            self._w = nn.Parameter(np.ones(4))

        def forward(self, x):
            self._saved = x
            return x * self._w.expect()

        def backward(self, dout, needs_dx=True):
            self._w.collect((dout * self._take()).sum(0))
            return dout * self._w.data

    assert [row.name for row in check_gradients(Hidden(), X).rows] == ["x", "_w"]


def test_layers_inside_a_layer_of_any_kind():
    class Net:
        def __init__(self, listed):
            self.first, self.rest = nn.Linear(4, 4, rng=0), [nn.Tanh(), Linear()]
            if listed:  # the same once more, as books do it
                self.params, self.grads = [self.rest[1].W], []

        def forward(self, x):
            return self.rest[1].forward(self.rest[0](self.first(x)))

        def backward(self, dout):
            dout = self.rest[1].backward(dout)
            self.grads = [self.rest[1].dW.copy()]
            return self.first.backward(self.rest[0].backward(dout), needs_dx=True)

    names = [row.name for row in check_gradients(Net(False), X).rows]
    assert names == ["x", "first.weight", "first.bias", "rest.1.W"]
    names = [row.name for row in check_gradients(Net(True), X).rows]
    assert names == ["x", "params[0]", "first.weight", "first.bias"]


def test_shared_weights_are_checked_once():
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Tanh(), nn.Linear(3, 3, rng=1))
    model[2].weight = model[0].weight
    report = check_gradients(model, np.ones((2, 3)))
    assert [row.name for row in report.rows] == ["x", "0.weight", "0.bias", "2.bias"]
    assert report.notes == {"2.weight": "is the same array as 0.weight"}

    class Twice:
        def __init__(self):
            self.params, self.grads = dict.fromkeys(("V", "W"), np.eye(4)), {}

        def forward(self, x):
            self.x = x
            return x @ self.params["V"] @ self.params["W"]

        def backward(self, dout):
            dh = dout @ self.params["W"].T
            self.grads = {"V": self.x.T @ dh, "W": (self.x @ self.params["V"]).T @ dout}
            return dh @ self.params["V"].T

    assert [row.name for row in verify(Twice(), X).rows] == ["x", "V"]


def test_frozen_weights_are_passed_over():
    layer = nn.Linear(4, 3, rng=0)
    layer.weight.requires_grad = False
    report = check_gradients(layer, X)
    assert [row.name for row in report.rows] == ["x", "bias"] and not report.notes


def test_two_arrays_of_one_name_are_both_checked():
    class Both:
        def __init__(self, factor=1):
            self.params, self.grads = {"W": np.full(4, 2.0)}, {}
            self.W, self.factor = np.full(4, 3.0), factor

        def forward(self, x):
            self.x = x
            return x * self.params["W"] + self.W

        def backward(self, dout):
            self.grads = {"W": (dout * self.x).sum(0)}
            self.dW = self.factor * dout.sum(0)
            return dout * self.params["W"]

    assert [row.name for row in verify(Both(), X).rows] == ["x", "W", "W'"]
    with pytest.raises(AssertionError, match=r"W' .*WRONG"):
        verify(Both(factor=2), X)


def test_an_array_under_two_names_is_noted_once():
    class Shift:
        def __init__(self):
            self.one = self.other = np.ones(4)

        def forward(self, x):
            return x + self.one

        def backward(self, dout):
            return dout

    notes = {"one": "takes part, but no gradient found: not checked"}
    assert check_gradients(Shift(), X).notes == notes


def test_gradients_of_one_array_under_two_names_are_added():
    class Tied:
        def __init__(self, factor=1):
            self.V = self.W = np.eye(4) + 0.5
            self.factor = factor

        def forward(self, x):
            self.x, self.h = x, x @ self.V
            return self.h @ self.W

        def backward(self, dout):
            dh = dout @ self.W.T
            self.dV, self.dW = self.x.T @ dh, self.factor * self.h.T @ dout
            return dh @ self.V.T

    report = verify(Tied(), X)
    assert [row.name for row in report.rows] == ["x", "V"]
    assert report.notes == {"W": "is the same array as V"}
    with pytest.raises(AssertionError, match=r"V .*WRONG"):
        verify(Tied(factor=2), X)


def test_a_list_of_weights_with_gradients_in_attributes():
    class Mixed(Linear):
        def __init__(self, factor=1):
            super().__init__(lambda self, dW: setattr(self, "dW", factor * dW))
            self.params = [self.W]

    assert [row.name for row in verify(Mixed(), X).rows] == ["x", "W"]
    with pytest.raises(AssertionError, match=r"W .*WRONG"):
        verify(Mixed(2), X)
