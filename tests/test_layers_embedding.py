"""The embedding layer, its dense and its sparse gradient, and what optimizers make of them."""

import copy
import pickle

import numpy as np
import pytest

import nnfast as nn
from nnfast import optim
from nnfast.testing import check_gradients

INDICES = np.array([[3, 0, 3], [5, 6, 3]])
both = pytest.mark.parametrize("sparse", [False, True])


def dout(dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal((2, 3, 4)).astype(dtype)


def layer(**options):
    return nn.Embedding(7, 4, rng=0, **options)


@both
@pytest.mark.parametrize("padding_idx", [None, 3, -1])
def test_gradients(sparse, padding_idx, backend):
    embedding = layer(sparse=sparse, padding_idx=padding_idx)
    if padding_idx is None:
        check_gradients(embedding, INDICES)
    expected = layer()
    for each in (embedding, expected):
        assert each.backward(each(INDICES) * 0 + dout(), needs_dx=True) is None
    wanted = expected.weight.grad
    if padding_idx is not None:
        wanted[padding_idx] = 0
    np.testing.assert_array_equal(np.asarray(embedding.weight.grad), wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_forward_takes_any_integers(dtype, backend):
    embedding = layer()
    y = embedding(INDICES.astype(dtype))
    np.testing.assert_array_equal(y, embedding.weight.data[INDICES])
    embedding.backward(dout())
    assert embedding(5).shape == (4,)


def test_padding_starts_as_zero_and_stays():
    embedding = layer(padding_idx=-2)
    assert embedding.padding_idx == 5 and not embedding.weight.data[5].any()
    assert embedding.weight.data[4].any()
    optimizer = optim.SGD(embedding.parameters(), lr=1.0)
    for sparse in (False, True):
        embedding.sparse = sparse
        embedding.backward(embedding(INDICES) * 0 + 1)
        optimizer.step()
        assert not embedding.weight.data[5].any()


def test_weights():
    embedding = nn.Embedding(1000, 50, rng=0)
    assert abs(embedding.weight.data.std() - 1) < 0.02
    assert nn.Embedding(1000, 50, rng=0, init="normal").weight.data.std() < 0.02
    model = nn.Sequential(nn.Embedding(7, 4, padding_idx=1), nn.Flatten(), rng=0)
    np.testing.assert_array_equal(model[0].weight.data[2:], layer().weight.data[2:])
    assert model[0].astype(np.float64).weight.data.dtype == np.float64


@both
def test_in_a_model(sparse, backend):
    model = nn.Sequential(layer(sparse=sparse), nn.Flatten(), nn.Linear(12, 2), rng=0)
    y = model(INDICES)
    assert model.backward(np.ones_like(y), needs_dx=True) is None
    assert model.grads["0.weight"].shape == (7, 4)


def test_repr_copy_and_state(backend):
    embedding = layer(padding_idx=-1, sparse=True)
    assert repr(embedding) == "Embedding(7, 4, padding_idx=6, sparse=True)"
    assert repr(layer()) == "Embedding(7, 4)"
    other = nn.Embedding(7, 4)
    other.load_state_dict(embedding.state_dict())
    for again in (other, copy.deepcopy(embedding), pickle.loads(pickle.dumps(embedding))):
        np.testing.assert_array_equal(again(INDICES), embedding(INDICES))


@both
def test_one_backward_for_each_forward_and_none_when_frozen(sparse, backend):
    embedding = layer(sparse=sparse)
    with pytest.raises(RuntimeError, match=r"Embedding\.backward: call forward first"):
        embedding.backward(dout())
    embedding.weight.requires_grad = False
    embedding(INDICES)
    embedding.backward(dout())
    assert embedding.weight.grad is None


@pytest.mark.parametrize("kinds", [(True, True), (True, False), (False, True)])
def test_gradients_of_a_shared_table_are_added(kinds, backend):
    first, second = (layer(sparse=sparse) for sparse in kinds)
    second.weight = first.weight
    other = np.array([[6, 6, 1], [0, 3, 2]])
    for _ in range(2):  # the second pass must not add to the first
        first(INDICES)
        second(other)
        second.backward(dout(seed=1))
        first.backward(dout())
    expected = np.zeros((7, 4), np.float32)
    np.add.at(expected, INDICES, dout())
    np.add.at(expected, other, dout(seed=1))
    grad = first.weight.grad
    assert isinstance(grad, nn.RowGradient) == all(kinds)
    np.testing.assert_allclose(np.asarray(grad), expected, rtol=1e-6)


def test_row_gradient():
    values = np.arange(6.0).reshape(2, 3)
    grad = nn.RowGradient(np.array([1, 3]), values, (5, 3))
    dense = np.zeros((5, 3))
    dense[[1, 3]] = values
    np.testing.assert_array_equal(grad.dense(), dense)
    assert np.asarray(grad, np.float32).dtype == np.float32 and grad.dtype == np.float64
    single = nn.RowGradient(np.array([1, 3]), values.astype(np.float32), (5, 3))
    assert np.asarray(single).dtype == single.dtype == np.float32
    with pytest.raises(ValueError, match="cannot become an array without being copied"):
        single.__array__(copy=False)
    assert repr(grad) == "RowGradient(2 rows of (5, 3), dtype=float64)"
    assert np.linalg.norm(grad) == np.linalg.norm(values)
    assert np.sum(grad) == 15
    np.testing.assert_array_equal(dense + grad, 2 * dense)
    np.testing.assert_array_equal(grad + dense, 2 * dense)
    total = grad + nn.RowGradient(np.array([0, 3]), values, (5, 3))
    assert total.rows.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(total.values, [values[0], values[0], 2 * values[1]])
    with pytest.raises(ValueError, match="values must have a row for each of the 2 rows"):
        nn.RowGradient(np.array([1, 3]), values[:1], (5, 3))
    with pytest.raises(ValueError, match="gradient of w must be"):
        nn.Parameter(np.ones((4, 3)), name="w").collect(grad)


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd-decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "adagrad": lambda p: optim.AdaGrad(p, lr=0.1),
    "adagrad-decay": lambda p: optim.AdaGrad(p, lr=0.1, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1),
    "adadelta": lambda p: optim.Adadelta(p),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_make_the_same_of_sparse_gradients(name, backend):
    dense, sparse = layer(), layer(sparse=True)
    optimizers = [OPTIMIZERS[name](each.parameters()) for each in (dense, sparse)]
    data = sparse.weight.data
    for step in range(4):
        for each, optimizer in zip((dense, sparse), optimizers, strict=True):
            each((INDICES + step) % 7)
            each.backward(dout(seed=step))
            optimizer.step()
        assert isinstance(sparse.weight.grad, nn.RowGradient)
        np.testing.assert_array_equal(sparse.weight.data, dense.weight.data)
    assert sparse.weight.data is data  # in place
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert states[0].keys() == states[1].keys()
    for key, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][key])


def test_adagrad_without_eps_makes_the_same_of_sparse_gradients(backend):
    """Nothing over nothing is NaN, in the rows without a gradient too."""
    tables = [layer(sparse=sparse) for sparse in (False, True)]
    for each in tables:
        each.backward(each(INDICES) * 0 + dout())
        with np.errstate(invalid="ignore"):
            optim.AdaGrad(each.parameters(), eps=0.0).step()
    dense, sparse = (each.weight.data for each in tables)
    assert np.isnan(dense[1]).all() and not np.isnan(dense[3]).any()
    np.testing.assert_array_equal(sparse, dense)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adagrad", "adam"])
def test_optimizers_take_sparse_and_dense_gradients_together(name, backend):
    models = [
        nn.Sequential(layer(sparse=sparse), nn.Flatten(), nn.Linear(12, 2), rng=0)
        for sparse in (False, True)
    ]
    for model in models:
        optimizer = OPTIMIZERS[name](model.parameters())
        for _ in range(3):
            model.backward(np.ones_like(model(INDICES)))
            optimizer.step()
    for key, data in models[0].params.items():
        np.testing.assert_array_equal(models[1].params[key], data)
    assert not np.array_equal(models[0].params["2.bias"], np.zeros(2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(0, 3), ValueError, "num_embeddings must be at least 1, got 0"),
        (lambda: nn.Embedding(3, 2.5), TypeError, "embedding_dim must be an integer, got 2.5"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx must be below 3"),
        (lambda: nn.Embedding(3, 2, padding_idx=-4), ValueError, "padding_idx must be at least -3"),
        (lambda: nn.Embedding(3, 2, padding_idx=1.0), TypeError, "padding_idx must be an integer"),
        (lambda: nn.Embedding(3, 2, init="he"), ValueError, "init must be one of"),
        (lambda: layer()([7]), ValueError, r"indices must lie in \[0, 6\].* got 7"),
        (lambda: layer()([-1]), ValueError, r"indices must lie in \[0, 6\].* got -1"),
        (lambda: layer()([1.0]), TypeError, "indices must hold integers, got float64"),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match=message):
        call()


def test_row_gradients_times_numbers_keep_their_rows():
    grad = nn.RowGradient(np.array([1, 4]), np.array([[1.0, 2.0], [3.0, 4.0]]), (6, 2))
    whole = grad.dense()
    assert grad.size == whole.size
    for result, expected in (
        (grad * 2, whole * 2),
        (np.float64(2) * grad, whole * 2),
        (grad / 2, whole / 2),
        (-grad, -whole),
    ):
        np.testing.assert_array_equal(result.dense(), expected)
        np.testing.assert_array_equal(result.rows, grad.rows)
    np.testing.assert_array_equal(
        grad * np.arange(12.0).reshape(6, 2), whole * np.arange(12.0).reshape(6, 2)
    )
    np.testing.assert_array_equal(np.ones((6, 2)) * grad, whole)
    np.testing.assert_array_equal(grad / np.full((6, 2), 2.0), whole / 2)
