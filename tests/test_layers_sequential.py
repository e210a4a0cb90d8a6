"""Sequential: order, names, gradients of whole networks, precision of a whole training step."""

import numpy as np
import pytest

import nnfast as nn

NETWORKS = {
    "mlp": (
        lambda: [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 3)],
        (7, 6),
    ),
    "fused": (lambda: [nn.Linear(6, 5, activation="tanh"), nn.Linear(5, 3)], (7, 6)),
    "simpleconv": (
        lambda: [
            *(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(27, 6), nn.ReLU(), nn.Linear(6, 4)),
        ],
        (3, 1, 8, 8),
    ),
    "everything": (
        lambda: [
            *(nn.Conv2d(2, 4, 3, padding=1, activation="leaky_relu"), nn.BatchNorm2d(4)),
            *(nn.LeakyReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, groups=4, padding=1)),
            nn.Sequential(nn.Tanh(), nn.Conv2d(4, 6, 1, stride=2), nn.Sigmoid()),
            *(nn.GlobalAvgPool2d(), nn.Softmax()),
        ],
        (2, 2, 8, 8),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_whole_networks(name, backend):
    layers, shape = NETWORKS[name]
    model = nn.Sequential(*layers(), rng=0, dtype=np.float64)
    nn.testing.check_gradients(model, np.random.default_rng(3).standard_normal(shape), most=40)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_float32_training_step_has_no_float64_anywhere(name, optimizer, backend, monkeypatch):
    layers, shape = NETWORKS[name]
    model = nn.Sequential(*layers(), rng=0)
    seen = []
    kernels = nn.backend.active()

    def watch(function):
        def call(*args, **kwargs):
            out = function(*args, **kwargs)
            results = out if isinstance(out, tuple) else (out,)
            seen.extend(a.dtype for a in (*args, *results) if hasattr(a, "dtype"))
            return out

        return call

    for kernel in nn.reference.__all__:
        monkeypatch.setattr(kernels, kernel, watch(getattr(kernels, kernel)))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    loss = nn.CrossEntropyLoss()
    opt = getattr(nn.optim, optimizer)(model.parameters(), lr=0.1)
    before = model.state_dict()
    value = loss(model(x), np.arange(shape[0]) % 3)
    model.backward(loss.backward())
    opt.step()
    assert value.dtype == np.float32
    assert np.dtype(np.float64) not in seen and seen.count(np.float32) > 20
    after = model.state_dict()
    assert any(not np.array_equal(before[key], after[key]) for key in before)
    assert all(a.dtype == before[key].dtype for key, a in after.items())


def test_training_learns(backend):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2)).astype(np.float32)
    t = (x[:, 0] * x[:, 1] > 0).astype(np.int64)  # no straight line separates these
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2), rng=0)
    loss, opt = nn.CrossEntropyLoss(), nn.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(150):
        loss(model(x), t)
        model.backward(loss.backward())
        opt.step()
    assert np.mean(model(x).argmax(1) == t) > 0.95


def test_training_is_that_of_torch(backend):
    """The same network, layer for layer and name for name, through four steps in float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.Sequential(
        *(torch.nn.Conv2d(2, 4, 3, stride=2, padding=1), torch.nn.BatchNorm2d(4)),
        *(torch.nn.LeakyReLU(), torch.nn.MaxPool2d(3, 2, 1)),
        *(torch.nn.Conv2d(4, 6, 3, groups=2), torch.nn.Tanh(), torch.nn.AvgPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)),
    ).double()
    ours = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)),
        *(nn.LeakyReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(4, 6, 3, groups=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
        dtype=np.float64,
    )
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    t_opt = torch.optim.AdamW(theirs.parameters(), lr=0.01)
    opt = nn.optim.AdamW(ours.parameters(), lr=0.01)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    rng = np.random.default_rng(0)
    for _ in range(4):
        x, t = rng.standard_normal((5, 2, 16, 16)), rng.integers(0, 3, 5)
        t_loss = torch.nn.functional.cross_entropy(
            theirs(torch.tensor(x)), torch.tensor(t), label_smoothing=0.1
        )
        t_opt.zero_grad()
        t_loss.backward()
        t_opt.step()
        assert loss(ours(x), t) == pytest.approx(t_loss.item(), rel=1e-10)
        ours.backward(loss.backward())
        opt.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_after_backward_nothing_is_kept(name, training, backend):
    layers, shape = NETWORKS[name]
    model = nn.Sequential(*layers(), rng=0).train(training)
    y = model(np.random.default_rng(1).standard_normal(shape).astype(np.float32))
    model.backward(y, needs_dx=True)
    assert [layer for _, layer in model.named_layers() if layer._saved is not None] == []


@pytest.mark.parametrize("training", [True, False])
def test_layers_stay_in_the_order_given(training, backend):
    """Some are computed in another one."""
    layers, shape = NETWORKS["simpleconv"]
    given = layers()
    model = nn.Sequential(*given, rng=0).train(training)
    model.backward(model(np.ones(shape, np.float32)))
    assert list(model) == given


class Watched(nn.Tanh):
    """Counts its backward calls and remembers whether dx was asked for."""

    def __init__(self):
        self.asked = []

    def backward(self, dout, needs_dx=True):
        self.asked.append(needs_dx)
        return super().backward(dout, needs_dx)


def test_backward_stops_at_the_first_layer_that_learns():
    first, second = Watched(), Watched()
    model = nn.Sequential(first, nn.Linear(3, 3), second, nn.Linear(3, 3), rng=0)
    x = np.ones((2, 3), np.float32)
    assert model.backward(model(x)) is None
    assert (first.asked, second.asked) == ([], [True])
    model[1].weight.requires_grad = model[1].bias.requires_grad = False
    model.backward(model(x))
    assert (first.asked, second.asked) == ([], [True])
    assert model.backward(model(x), needs_dx=True).shape == x.shape
    assert (first.asked, second.asked) == ([True], [True, True])


def test_backward_reaches_a_layer_whose_weights_are_in_a_list():
    class Scale(nn.Layer):
        def __init__(self):
            self.scales = [nn.Parameter(np.full(3, 2, np.float32))]

        def forward(self, x):
            self._saved = x
            return x * self.scales[0].expect()

        def backward(self, dout, needs_dx=True):
            self.scales[0].collect((dout * self._take()).sum(0))
            return dout * self.scales[0].data

    model = nn.Sequential(Scale(), nn.Tanh())
    model.backward(model(np.ones((2, 3), np.float32)))
    assert model.grads["0.scales.0"].all()


def test_list_of_layers():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), rng=0)
    assert len(model) == 2 and list(model) == [model[0], model[1]] and model[-1] is model[1]
    assert model.append(nn.Linear(4, 2)) is model
    assert [name for name, _ in model.named_parameters()][-1] == "2.bias"
    expected = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), rng=0)
    np.testing.assert_array_equal(model[2].weight.data, expected[2].weight.data)
    part = model[1:]
    assert isinstance(part, nn.Sequential) and part[1] is model[2]
    with pytest.raises(IndexError):
        model[3]


def test_same_layer_twice_is_refused_not_wrong():
    layer = nn.Linear(3, 3, rng=0)
    model = nn.Sequential(layer, layer)
    y = model(np.ones((1, 3), np.float32))
    with pytest.raises(RuntimeError, match=r"Linear\.backward: call forward first"):
        model.backward(y)


def test_dropout_in_a_seeded_model_is_reproducible():
    x = np.ones((4, 50), np.float32)
    first, second = (nn.Sequential(nn.Dropout(), nn.Dropout(), rng=3) for _ in range(2))
    np.testing.assert_array_equal(first(x), second(x))
    assert first[0].dropout_state[0] != first[1].dropout_state[0]


def test_a_subclass_keeps_its_own_forward_before_a_relu(backend):
    class Doubled(nn.Linear):
        def forward(self, x):
            return super().forward(2 * x)

    plain, doubled = nn.Linear(3, 4, rng=0), Doubled(3, 4, rng=0)
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    expected = nn.Sequential(plain, nn.ReLU())(2 * x)
    np.testing.assert_array_equal(nn.Sequential(doubled, nn.ReLU())(x), expected)


NORMED = {
    "rows": (lambda: [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)], (7, 6)),
    "images": (lambda: [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()], (3, 2, 6, 6)),
    "pooled": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)], (3, 2, 6, 6)),
    "first": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.ReLU()], (3, 2, 6, 6)),
    "has one": (lambda: [nn.BatchNorm2d(2, activation="relu"), nn.ReLU()], (3, 2, 6, 6)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMED)
def test_batch_norm_with_its_relu_has_the_bits_of_both_apart(name, training, backend):
    layers, shape = NORMED[name]
    together, apart = (nn.Sequential(*layers(), rng=0).train(training) for _ in range(2))
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    expected, y = x, together(x)
    for layer in apart:
        expected = layer(expected)
    folded = name == "images" and not training  # into the convolution: other roundings
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6 if folded else 0)
    grad = dout = np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
    for layer in reversed(list(apart)):
        grad = layer.backward(grad)
    np.testing.assert_array_equal(together.backward(dout, needs_dx=True), grad)
    for key, value in apart.grads.items():
        np.testing.assert_array_equal(together.grads[key], value)
    for key, value in apart.state_dict().items():
        np.testing.assert_array_equal(together.state_dict()[key], value)
    with pytest.raises(RuntimeError, match="call forward first"):
        together.backward(dout)


def test_a_subclass_of_batch_norm_or_relu_is_not_passed_by(backend):
    class Shifted(nn.BatchNorm1d):
        def forward(self, x):
            return super().forward(x) + 1

    class Leaky(nn.ReLU):
        def forward(self, x):
            return super().forward(x) + np.float32(0.5)

    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    plain = nn.BatchNorm1d(3)(x)
    y = nn.Sequential(Shifted(3), nn.ReLU())(x)
    np.testing.assert_array_equal(y, np.maximum(plain + 1, 0))
    y = nn.Sequential(nn.BatchNorm1d(3), Leaky())(x)
    np.testing.assert_array_equal(y, np.maximum(plain, 0) + np.float32(0.5))


def named():
    return nn.Sequential({"body": nn.Linear(3, 4), "relu": nn.ReLU(), "fc": nn.Linear(4, 5)}, rng=0)


@pytest.mark.parametrize(
    "replace",
    [
        lambda model, layer: setattr(model, "fc", layer),
        lambda model, layer: model.__setitem__("fc", layer),
        lambda model, layer: model.__setitem__(-1, layer),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_can_be_replaced(replace, training, backend):
    model, head, x = named().train(training), nn.Linear(4, 2), np.ones((1, 3), np.float32)
    assert model.fc is model["fc"] is model[2] and model(x).shape == (1, 5)
    replace(model, head)
    assert model.fc is model["fc"] is model[-1] is head and model(x).shape == (1, 2)
    assert [name for name, _ in model.named_parameters()][2:] == ["fc.weight", "fc.bias"]
    assert list(model.parameters())[2] is head.weight
    again = named()
    replace(again, nn.Linear(4, 2))  # drawn from the generator of the model
    third = named()
    replace(third, nn.Linear(4, 2))
    np.testing.assert_array_equal(again.fc.weight.data, third.fc.weight.data)


def test_layers_by_name():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).append(nn.Linear(4, 2), "head")
    assert model["0"] is model[0] and model["head"] is model[2] and "head" in dir(model)
    with pytest.raises(KeyError, match="'tail' is none of the layers 0, 1, head"):
        model["tail"]
    with pytest.raises(AttributeError, match="no attribute 'tail'"):
        _ = model.tail
    with pytest.raises(TypeError, match="layer must be an nnfast Layer, got str"):
        model["head"] = "head"
    with pytest.raises(ValueError, match="name must be a new identifier, got 3"):
        model.append(nn.ReLU(), 3)


def test_a_subclass_may_have_layers_of_its_own(backend):
    class Headed(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(3, 4), rng=0)
            self.head = nn.Linear(4, 2, rng=1)

        def forward(self, x):
            return self.head(super().forward(x))

    model = Headed()
    assert model(np.ones((1, 3), np.float32)).shape == (1, 2) and len(model) == 1
    assert list(model.state_dict()) == ["0.weight", "0.bias", "head.weight", "head.bias"]
    assert not model.eval().head.training
