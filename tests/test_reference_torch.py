"""The reference against PyTorch, an implementation that owes nothing to ours."""

from typing import Any

import cases
import numpy as np
import pytest
from numeric import Array, normal

from nnfast import reference as ref

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
F = torch.nn.functional


def tensors(*arrays: Array) -> list[Any]:
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def assert_equal(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# PyTorch gives a result of no channels where x has none, whatever the weight.
@pytest.mark.parametrize("case", [case for case in cases.CONV if case.x[1]], ids=str)
def test_conv(case: cases.Conv) -> None:
    x, weight, bias = normal(case.x), normal(case.weight, seed=1), normal(case.weight[0], seed=2)
    inputs = tensors(x, weight, bias)
    y = ref.conv2d(x, weight, bias, **case.options)
    theirs = F.conv2d(*inputs, **case.options)
    assert_equal(y, theirs)
    dy = normal(y.shape, seed=3)
    theirs.backward(torch.tensor(dy))
    for ours, tensor in zip(
        ref.conv2d_backward(dy, x, weight, **case.options), inputs, strict=True
    ):
        assert_equal(ours, tensor.grad)


# PyTorch refuses weights without channels.
@pytest.mark.parametrize("case", [c for c in cases.CONV_TRANSPOSE if all(c.weight)], ids=str)
def test_conv_transpose(case: cases.ConvTranspose) -> None:
    x, weight = normal(case.x), normal(case.weight, seed=1)
    bias = normal(case.weight[1] * case.groups, seed=2)
    inputs = tensors(x, weight, bias)
    y = ref.conv_transpose2d(x, weight, bias, **case.options)
    theirs = F.conv_transpose2d(*inputs, **case.options)
    assert_equal(y, theirs)
    dy = normal(y.shape, seed=3)
    theirs.backward(torch.tensor(dy))
    gradients = ref.conv_transpose2d_backward(dy, x, weight, **case.options)
    for ours, tensor in zip(gradients, inputs, strict=True):
        assert_equal(ours, tensor.grad)


@pytest.mark.parametrize("case", cases.POOL, ids=str)
def test_pool(case: cases.Pool) -> None:
    x, window = normal(case.x), case[1:]
    (input_,) = tensors(x)
    y, indices = ref.max_pool2d(x, *window)
    theirs = F.max_pool2d(input_, *window)
    assert_equal(y, theirs)
    dy = normal(y.shape, seed=1)
    theirs.backward(torch.tensor(dy))
    assert_equal(ref.max_pool2d_backward(dy, indices, case.x, *window), input_.grad)
    for count_pad in (True, False):
        (input_,) = tensors(x)
        theirs = F.avg_pool2d(input_, *window, count_include_pad=count_pad)
        assert_equal(ref.avg_pool2d(x, *window, count_pad), theirs)
        theirs.backward(torch.tensor(dy))
        assert_equal(ref.avg_pool2d_backward(dy, case.x, *window, count_pad), input_.grad)


@pytest.mark.parametrize("shape", [shape for shape in cases.NORM if np.prod(shape) > 4])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    x, weight, bias = normal(shape), normal(shape[1], seed=1), normal(shape[1], seed=2)
    inputs = tensors(x, weight, bias)
    y, mean, var = ref.batch_norm(x, weight, bias)
    theirs = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True)
    assert_equal(y, theirs)
    dy = normal(shape, seed=3)
    theirs.backward(torch.tensor(dy))
    for ours, tensor in zip(ref.batch_norm_backward(dy, x, mean, var, weight), inputs, strict=True):
        assert_equal(ours, tensor.grad)


@pytest.mark.parametrize("masked", [None, bool, float])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(masked: type | None, causal: bool) -> None:
    if causal and masked:
        pytest.skip("PyTorch takes a mask or is_causal, not both")
    heads, d, dv = 2, 3, 4
    shapes = ((2, 5, heads * d), (2, 7, heads * d), (2, 7, heads * dv))
    inputs = tensors(*(normal(shape, seed=i) for i, shape in enumerate(shapes)))
    q, k, v = (tensor.detach().numpy() for tensor in inputs)
    keep = normal((2, 1, 5, 7), seed=1) > 0
    keep[1, 0, 2] = False  # a query without keys: zero there too
    mask = {None: None, bool: keep, float: normal((5, 7), seed=2)}[masked]
    y, lse = ref.attention(q, k, v, heads, mask, causal, 0.4)
    theirs = F.scaled_dot_product_attention(
        *(tensor.unflatten(2, (heads, -1)).transpose(1, 2) for tensor in inputs),
        attn_mask=None if mask is None else torch.tensor(mask),
        is_causal=causal,
        scale=0.4,
    )
    theirs = theirs.transpose(1, 2).reshape(2, 5, heads * dv)
    assert_equal(y, theirs)
    dy = normal(y.shape, seed=3)
    theirs.backward(torch.tensor(dy))
    gradients = ref.attention_backward(dy, q, k, v, y, lse, heads, mask, causal, 0.4)
    for ours, tensor in zip(gradients, inputs, strict=True):
        assert_equal(ours, tensor.grad)


@pytest.mark.parametrize("shape", [shape for shape in cases.LAYER_NORM if shape[-1] > 1])
def test_layer_norm(shape: tuple[int, ...]) -> None:
    x, weight, bias = normal(shape), normal(shape[-1], seed=1), normal(shape[-1], seed=2)
    inputs = tensors(x, weight, bias)
    y, mean, rstd = ref.layer_norm(x, weight, bias)
    theirs = F.layer_norm(inputs[0], shape[-1:], *inputs[1:])
    assert_equal(y, theirs)
    dy = normal(shape, seed=3)
    theirs.backward(torch.tensor(dy))
    ours = ref.layer_norm_backward(dy, x, mean, rstd, weight)
    for gradient, tensor in zip(ours, inputs, strict=True):
        assert_equal(gradient, tensor.grad)


def test_embedding() -> None:
    indices, weight = np.random.default_rng(0).integers(0, 9, (4, 7)), normal((9, 5))
    (table,) = tensors(weight)
    theirs = F.embedding(torch.tensor(indices), table)
    assert_equal(ref.embedding(indices, weight), theirs)
    dy = normal((4, 7, 5), seed=1)
    theirs.backward(torch.tensor(dy))
    assert_equal(ref.embedding_backward(dy, indices, 9), table.grad)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    x, dy = 3 * normal((20, 7)), normal((20, 7), seed=1)
    (input_,) = tensors(x)
    theirs = F.gelu(input_, approximate=approximate)
    assert_equal(ref.gelu(x, approximate), theirs)
    theirs.backward(torch.tensor(dy))
    assert_equal(ref.gelu_backward(dy, x, approximate), input_.grad)


RECURRENT = {"lstm": (torch.lstm, 4, 2), "gru": (torch.gru, 3, 1), "rnn": (torch.rnn_tanh, 1, 1)}


@pytest.mark.parametrize("size", [s for s in cases.RECURRENT if 0 not in s], ids=str)
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent(kind: str, size: tuple[int, ...]) -> None:
    function, gates, states = RECURRENT[kind]
    t, n, d, h = size
    shapes = [(t, n, d), *[(gates * h, d), (gates * h, h), (gates * h,), (gates * h,)]]
    arrays = [normal(shape, seed=i) / np.sqrt(h) for i, shape in enumerate(shapes)]
    first = [normal((n, h), seed=10 + i) for i in range(states)]
    inputs, state = tensors(*arrays), tensors(*first)
    given = [value[None] for value in state]
    options = (True, 1, 0.0, False, False, False)
    start = tuple(given) if states == 2 else given[0]
    theirs, *last = function(inputs[0], start, inputs[1:], *options)
    result = getattr(ref, kind)(*arrays, *first)
    outputs = result if isinstance(result, tuple) else (result,)
    assert_equal(outputs[0], theirs)
    dy = normal(outputs[0].shape, seed=20)
    ends = [normal((n, h), seed=21 + i) for i in range(states)]
    torch.autograd.backward(
        [theirs, *last], [torch.tensor(dy), *(torch.tensor(end[None]) for end in ends)]
    )
    gradients = getattr(ref, f"{kind}_backward")(dy, *arrays[:3], *outputs, *first, *ends)
    for ours, tensor in zip(gradients, [*inputs, *state], strict=True):
        assert_equal(ours, tensor.grad)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(soft: bool, smoothing: float, reduction: str) -> None:
    x = normal((7, 5))
    target = np.abs(normal((7, 5), seed=1)) if soft else np.array([0, 1, -100, 4, 2, 3, 3])
    weight = None if soft else np.ones(7)
    (input_,) = tensors(x)
    loss, lse = ref.cross_entropy(x, target, weight, -100, smoothing, reduction)
    theirs = F.cross_entropy(
        input_, torch.tensor(target), reduction=reduction, label_smoothing=smoothing
    )
    assert_equal(loss, theirs)
    assert_equal(lse, torch.logsumexp(input_, 1))
    dloss = normal(7, seed=2) if reduction == "none" else 1.7
    theirs.backward(torch.tensor(dloss, dtype=theirs.dtype))
    dx = ref.cross_entropy_backward(x, target, lse, weight, -100, smoothing, reduction, dloss)
    assert_equal(dx, input_.grad)


SGD, ADAM = {"lr": 0.1, "weight_decay": 0.02}, {"lr": 0.01, "weight_decay": 0.1}
OPTIMIZERS = {
    "sgd": (ref.sgd_update, 0, torch.optim.SGD, SGD, {}),
    "momentum": (ref.momentum_update, 1, torch.optim.SGD, SGD | {"momentum": 0.8}, {}),
    "nesterov": (
        ref.momentum_update,
        1,
        torch.optim.SGD,
        SGD | {"momentum": 0.8, "nesterov": True},
        {},
    ),
    "adagrad": (ref.adagrad_update, 1, torch.optim.Adagrad, SGD, {}),
    "rmsprop": (ref.rmsprop_update, 1, torch.optim.RMSprop, SGD | {"alpha": 0.9}, {}),
    "adadelta": (ref.adadelta_update, 2, torch.optim.Adadelta, SGD | {"rho": 0.8}, {}),
    "adam": (ref.adam_update, 2, torch.optim.Adam, ADAM, {"betas": (0.8, 0.99)}),
    "adamw": (ref.adamw_update, 2, torch.optim.AdamW, ADAM, {"betas": (0.8, 0.99)}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str) -> None:
    update, states, theirs, options, betas = OPTIMIZERS[name]
    param = normal((3, 5))
    (tensor,) = tensors(param)
    state = [np.zeros_like(param) for _ in range(states)]
    optimizer = theirs([tensor], **options, **betas)
    ours = dict(zip(("beta1", "beta2"), betas.get("betas", ()), strict=False)) | options
    for step in range(1, 6):
        grad = normal((3, 5), seed=step)
        tensor.grad = torch.tensor(grad)
        optimizer.step()
        count = {"step": step} if betas else {}
        assert update(param, grad, *state, **count, **ours) is None
        assert_equal(param, tensor)
