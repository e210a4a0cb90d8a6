"""Training on the stand-ins and on the NumPy originals from one seed, compared at every step."""

import types

import numpy as np
import pytest
from dlfs1_numpy import layers as original_layers
from dlfs1_numpy import optimizer as original_optimizer
from dlfs1_numpy.convnets import DeepConvNet, SimpleConvNet
from dlfs1_numpy.multi_layer_net_extend import MultiLayerNetExtend as OriginalNet

from nnfast.compat.dlfs1 import layers, optimizer
from nnfast.compat.dlfs1.gradient import numerical_gradient
from nnfast.compat.dlfs1.multi_layer_net import MultiLayerNet
from nnfast.compat.dlfs1.multi_layer_net_extend import MultiLayerNetExtend
from nnfast.compat.dlfs1.trainer import Trainer
from nnfast.datasets import load_digits_sample

pytestmark = pytest.mark.usefixtures("backend")

STEPS = 20
OPTIMIZERS = ["SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"]
by_optimizer = pytest.mark.parametrize("rule", OPTIMIZERS)


@pytest.fixture(scope="module")
def digits():
    """Images (N, 1, 28, 28) in float32, as the book's loader gives them, and labels."""
    (x, t), _ = load_digits_sample()
    assert x.shape[1:] == (1, 28, 28) and x.dtype == np.float32 and x.max() <= 1
    return x[:800], t[:800]


@pytest.fixture(scope="module")
def small_digits(digits):
    """Every other pixel: (N, 1, 14, 14), not contiguous."""
    return digits[0][:, :, ::2, ::2], digits[1]


def train(build, make_rule, x, t, batch=20, steps=STEPS):
    """Yield the loss and all parameters after every step of a training from seed 0."""
    np.random.seed(0)
    network, rule = build(), make_rule()
    for _ in range(steps):
        chosen = np.random.choice(len(x), batch)
        grads = network.gradient(x[chosen], t[chosen])
        rule.update(network.params, grads)
        loss = network.loss(x[chosen], t[chosen])
        state = np.random.get_state()
        yield {
            "loss": loss,
            "next draw": np.random.rand(),
            "grads": grads,
            "params": network.params,
        }
        np.random.set_state(state)  # the two trainings take turns


def assert_same_training(ours, theirs, rtol=1e-10):
    """Hold two trainings together; rtol grows by itself once a step, as rounding errors do.

    Gradients are judged by the largest of all gradients, parameters likewise: before a batch norm
    the gradient of a bias is 0, and what is computed for it is rounding error alone.
    """
    losses = []
    for step, (mine, yours) in enumerate(zip(ours, theirs, strict=True), start=1):
        assert mine["loss"] == pytest.approx(yours["loss"], rel=rtol * step)
        assert mine["next draw"] == yours["next draw"]
        for kind in ("grads", "params"):
            assert mine[kind].keys() == yours[kind].keys()
            largest = max(np.abs(value).max() for value in yours[kind].values())
            for key, value in mine[kind].items():
                assert value.dtype == yours[kind][key].dtype
                error = np.abs(value - yours[kind][key]).max()
                assert error <= rtol * step * largest, (step, kind, key, error, largest)
        losses.append(float(mine["loss"]))
    assert np.isfinite(losses).all()
    assert len(set(losses)) > 1, "something is learned"


def extended(net, **options):
    return lambda: net(196, [30, 20], 10, **options)


@by_optimizer
@pytest.mark.parametrize("one_hot", [False, True])
def test_two_layer_net(small_digits, rule, one_hot):
    x, t = small_digits
    t = np.eye(10)[t] if one_hot else t
    assert_same_training(
        train(lambda: MultiLayerNet(196, [50], 10), getattr(optimizer, rule), x, t),
        train(lambda: OriginalNet(196, [50], 10), getattr(original_optimizer, rule), x, t),
    )


# the network of the book's chapter 7 at its own size, and smaller for the other optimizers
@by_optimizer
def test_simple_convnet(digits, small_digits, rule):
    full = rule == "Adam"
    data = digits if full else small_digits
    size = {} if full else {"input_dim": (1, 14, 14), "filters": 6, "hidden": 20}
    assert_same_training(
        train(lambda: SimpleConvNet(layers, **size), getattr(optimizer, rule), *data, 10),
        train(
            lambda: SimpleConvNet(original_layers, **size),
            getattr(original_optimizer, rule),
            *data,
            10,
        ),
    )


def test_deep_convnet_with_dropout(small_digits):
    """The pattern of the book's chapter 8, on images of 12 x 12."""
    x, t = small_digits[0][:, :, 1:13, 1:13], small_digits[1]
    assert_same_training(
        train(lambda: DeepConvNet(layers), optimizer.Adam, x, t),
        train(lambda: DeepConvNet(original_layers), original_optimizer.Adam, x, t),
    )


@by_optimizer
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_batch_norm_dropout_and_weight_decay(small_digits, rule, activation):
    options = {
        "activation": activation,
        "weight_init_std": activation,
        "weight_decay_lambda": 0.1,
        "use_dropout": True,
        "dropout_ration": 0.2,
        "use_batchnorm": True,
    }
    x, t = small_digits
    assert_same_training(
        train(extended(MultiLayerNetExtend, **options), getattr(optimizer, rule), x, t),
        train(extended(OriginalNet, **options), getattr(original_optimizer, rule), x, t),
    )


@pytest.mark.parametrize("std", ["he", "Xavier", 0.01])
def test_initial_weights(std):
    results = []
    for net in (MultiLayerNet, OriginalNet):
        np.random.seed(9)
        results.append(net(6, [4, 3], 2, weight_init_std=str(std).lower() if std != 0.01 else std))
    for key, p in results[0].params.items():
        np.testing.assert_array_equal(p, results[1].params[key])
    ours = results[0]
    assert ours.layers["Affine1"].W is ours.params["W1"]
    assert list(ours.layers)[:2] == ["Affine1", "Activation_function1"]
    assert (ours.input_size, ours.output_size, ours.hidden_layer_num) == (6, 2, 2)


def test_backpropagation_agrees_with_numerical_gradients():
    np.random.seed(2)
    net = MultiLayerNetExtend(5, [4, 3], 3, "sigmoid", 0.5, 0.1, use_batchnorm=True)
    assert list(net.layers)[:3] == ["Affine1", "BatchNorm1", "Activation_function1"]
    x, t = np.random.randn(6, 5), np.array([0, 2, 1, 1, 0, 2])
    numerical, exact = net.numerical_gradient(x, t), net.gradient(x, t)
    assert numerical.keys() == exact.keys()
    for key, value in exact.items():
        np.testing.assert_allclose(value, numerical[key], atol=1e-7)


def test_the_gradient_check_of_chapter_7():
    """One image, its label in a column as the book's script has it."""
    np.random.seed(0)
    net = SimpleConvNet(layers, (1, 10, 10), filters=2, size=3, hidden=5, std=0.5)
    x, t = np.random.rand(1, 1, 10, 10), np.array([[1]])
    exact = net.gradient(x, t)
    for key, value in exact.items():
        numerical = numerical_gradient(lambda _: net.loss(x, t), net.params[key])
        np.testing.assert_allclose(value, numerical, atol=1e-7)


def test_accuracy_takes_labels_and_one_hot_rows(digits):
    x, t = digits
    np.random.seed(1)
    net = MultiLayerNet(784, [10], 10)
    expected = np.mean(np.argmax(net.predict(x), axis=1) == t)
    assert net.accuracy(x, t) == net.accuracy(x, np.eye(10)[t]) == expected


def test_trainer(digits, capsys):
    """Its lists and its lines; the batches come from the global generator."""
    x, t = digits
    np.random.seed(3)
    net = MultiLayerNetExtend(784, [20], 10, use_batchnorm=True)
    trainer = Trainer(net, x[:200], t[:200], x[200:], t[200:], 3, 50, "adam", {"lr": 0.01}, 100)
    trainer.train()
    assert trainer.max_iter == 12 and trainer.current_epoch == 3
    assert (len(trainer.train_loss_list), len(trainer.train_acc_list)) == (12, 3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"train loss:{trainer.train_loss_list[0]}"
    assert lines[1] == (
        f"=== epoch:1, train acc:{trainer.train_acc_list[0]}, "
        f"test acc:{trainer.test_acc_list[0]} ==="
    )
    assert lines[-2] == "=============== Final Test Accuracy ==============="
    assert lines[-1] == f"test acc:{net.accuracy(x[200:], t[200:])}"
    assert trainer.train_loss_list[-1] < trainer.train_loss_list[0]


def test_trainer_takes_any_network(capsys):
    network = types.SimpleNamespace(
        params={"w": np.ones(1)},
        gradient=lambda x, t: {"w": np.ones(1)},
        loss=lambda x, t: float(len(x)),
        accuracy=lambda x, t: 0.5,
    )
    x, t = np.zeros((10, 2)), np.zeros(10, int)
    trainer = Trainer(network, x, t, x, t, epochs=2, mini_batch_size=5, verbose=False)
    trainer.train()
    assert network.params["w"][0] == pytest.approx(1 - 4 * 0.01)
    assert capsys.readouterr().out == ""
