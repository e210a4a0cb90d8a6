"""Sequential in inference: folded batch norms, nothing kept, gradients all the same."""

import copy
import pickle

import numpy as np
import pytest

import nnfast as nn


def inferring(*layers, **options):
    """Return layers in inference whose batch norms have seen something."""
    model = nn.Sequential(*layers, rng=0, **options)
    rng = np.random.default_rng(3)
    for _, layer in model.named_layers():
        if isinstance(layer, nn.BatchNorm2d):
            for array in (layer.running_mean, layer.running_var):
                array[:] = rng.uniform(0.5, 2, array.shape)
    return model.eval()


FOLDED = {
    "bias": lambda: [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()],
    "no bias": lambda: [nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)],
    "no weight": lambda: [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU()],
    "activation": lambda: [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, activation="relu"), nn.ReLU()],
    "not folded": lambda: [nn.Conv2d(3, 4, 3, activation="tanh"), nn.BatchNorm2d(4)],
    "depthwise": lambda: [nn.Conv2d(3, 3, 3, groups=3), nn.BatchNorm2d(3), nn.ReLU()],
    "nested": lambda: [nn.Sequential(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU()],
    "block": lambda: [nn.models.BasicBlock(3, 5, 2), nn.models.BasicBlock(5, 5), nn.Flatten()],
    "no norm": lambda: [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU(), nn.ReLU()],
}


@pytest.mark.parametrize("name", FOLDED)
def test_inference_gives_what_the_layers_give_and_keeps_nothing(name, backend):
    model, apart = (inferring(*FOLDED[name](), dtype=np.float64) for _ in range(2))
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9))
    expected = x
    for layer in apart:
        expected = layer.learn(expected) if isinstance(layer, nn.Sequential) else layer(expected)
    np.testing.assert_allclose(model(x), expected, rtol=1e-12, atol=1e-12)
    assert [layer for _, layer in model.named_layers() if layer._saved is not None] == [model]


@pytest.mark.parametrize("name", FOLDED)
def test_gradients_in_inference(name, backend):
    model = inferring(*FOLDED[name](), dtype=np.float64)
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9))
    nn.testing.check_gradients(model, x, most=20)
    with pytest.raises(RuntimeError, match=r"call forward first"):
        model.backward(model.infer(x))


def test_a_batch_norm_that_still_learns_in_inference_is_not_folded(backend):
    model = inferring(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model[1].train()
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32)
    before = model[1].running_mean.copy()
    assert abs(float(model(x).mean())) < 1e-6  # by the batch
    assert np.all(model[1].running_mean != before)


def test_a_batch_norm_of_higher_precision_is_not_folded(backend):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, rng=0), nn.BatchNorm2d(4, dtype=np.float64), nn.ReLU())
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32)
    y = model.eval()(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, model.learn(x))


def test_a_batch_norm_of_other_channels_is_refused_in_inference(backend):
    model = inferring(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5))
    with pytest.raises(ValueError, match=r"x must have shape \(N, 5, H, W\) for BatchNorm2d"):
        model(np.ones((1, 3, 9, 9), np.float32))


def test_train_between_forward_and_backward_of_inference_is_an_error(backend):
    model = inferring(nn.Linear(3, 4))
    y = model(np.ones((1, 3), np.float32))
    with pytest.raises(RuntimeError, match=r"train\(\) came in between"):
        model.train().backward(y)


@pytest.mark.parametrize("training", [True, False])
def test_a_nested_subclass_keeps_its_own_forward(training, backend):
    class Doubled(nn.Sequential):
        def forward(self, x):
            return super().forward(2 * x)

    class Infers(nn.Tanh):
        def infer(self, x):
            raise AssertionError("not a method that a layer has")

    layer = nn.Linear(3, 4, rng=0)
    model = nn.Sequential(Doubled(layer), Infers()).train(training)
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(x), nn.Tanh()(layer(2 * x)))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_backward_in_inference_leaves_a_carried_state_alone(kind, backend):
    x = np.random.default_rng(1).standard_normal((3, 2, 4)).astype(np.float32)
    alone, inside = (kind(4, 5, stateful=True, rng=0).eval() for _ in range(2))
    model = nn.Sequential(nn.Sequential(inside), nn.Tanh()).eval()
    for _ in range(2):  # the second call begins where the first one ended
        y, expected = model(x), np.tanh(alone(x))
        state = np.array(inside.state)
        dx = model.backward(np.ones_like(y), needs_dx=True)
        np.testing.assert_array_equal(np.array(inside.state), state)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        np.testing.assert_allclose(dx, alone.backward(1 - expected**2), rtol=1e-4, atol=1e-6)


def test_dropout_left_in_training_has_one_mask_for_both_ways(backend):
    model = nn.Sequential(nn.Linear(4, 50, rng=0), nn.Sequential(nn.Dropout(rng=1))).eval()
    model[1][0].train()
    x = np.ones((2, 4), np.float32)
    dropped = model(x) == 0
    model.backward(np.ones((2, 50), np.float32))
    np.testing.assert_array_equal(model[0].bias.grad, 2 * (~dropped).sum(0))
    assert model[1][0].dropout_state[1] == 1


def test_layers_that_come_later_are_seen(backend):
    inner, dropout, x = nn.Sequential(nn.Linear(4, 50, rng=0)), nn.Dropout(rng=1), np.ones((2, 4))
    model = nn.Sequential(inner).astype(np.float64).eval()
    model(x)
    inner.append(dropout)  # in training
    dropped = model(x) == 0
    model.backward(np.ones((2, 50)))
    np.testing.assert_array_equal(inner[0].bias.grad, 2 * (~dropped).sum(0))
    assert dropout.dropout_state[1] == 1


def test_batch_norm_left_in_training_counts_a_batch_once(backend):
    model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.BatchNorm1d(3)).eval()
    model[1].train()
    model.backward(model(np.eye(4, dtype=np.float32)))
    assert model[1].num_batches_tracked == 1


def test_an_empty_batch_goes_both_ways_in_inference(backend):
    layer = nn.BatchNorm1d(3).eval()
    dx = layer.backward(layer(np.ones((0, 3), np.float32)))
    assert dx.shape == (0, 3) and not layer.weight.grad.any() and not layer.bias.grad.any()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("training", [True, False])
def test_a_copy_made_before_backward_goes_back(copied, training, backend):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), rng=0).train(training)
    y = model(np.ones((2, 3), np.float32))
    twin = copied(model)
    for each in (model, twin):
        each.backward(y)
    np.testing.assert_array_equal(twin[0].weight.grad, model[0].weight.grad)


def test_an_empty_sequential_gives_back_what_it_gets(backend):
    model, x = nn.Sequential().eval(), np.ones((2, 3), np.float32)
    assert model(x) is x and model.backward(x, needs_dx=True) is x
