"""The reference against mathematics: finite differences, PyTorch, published random numbers."""

import cases
import numpy as np
import pytest
from numeric import Array, assert_gradient, distinct, finite_difference, normal

from nnfast import reference as ref
from nnfast.reference.dropout import low_bits, philox4x32, random_bytes


def small(table: list) -> list:
    """The cases small enough for finite differences."""
    return [case for case in table if 0 < np.prod(case.x) < 600]


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh"])
def test_activation_gradient(name: str) -> None:
    x, dy = distinct((3, 7)), normal((3, 7), seed=1)
    forward, backward = getattr(ref, name), getattr(ref, name + "_backward")
    saved = x if "relu" in name else forward(x)
    assert_gradient(backward(dy, saved), forward, x, dy)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_gradient(approximate: str) -> None:
    x, dy = distinct((3, 31)), normal((3, 31), seed=1)
    dx = ref.gelu_backward(dy, x, approximate)
    assert_gradient(dx, lambda x: ref.gelu(x, approximate), x, dy)


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "sigmoid", "tanh"])
def test_linear_gradient(activation: str | None) -> None:
    x, weight, bias = normal((4, 5)), normal((3, 5), seed=1), normal(3, seed=2)
    y = ref.linear(x, weight, bias, activation)
    dy = normal(y.shape, seed=3)
    dx, dweight, dbias = ref.linear_backward(dy, x, weight, y, activation)
    assert_gradient(dx, lambda x: ref.linear(x, weight, bias, activation), x, dy)
    assert_gradient(dweight, lambda w: ref.linear(x, w, bias, activation), weight, dy)
    assert_gradient(dbias, lambda b: ref.linear(x, weight, b, activation), bias, dy)


@pytest.mark.parametrize("case", small(cases.CONV), ids=str)
def test_conv_gradient(case: cases.Conv) -> None:
    x, weight, bias = normal(case.x), normal(case.weight, seed=1), normal(case.weight[0], seed=2)
    y = ref.conv2d(x, weight, bias, **case.options)
    dy = normal(y.shape, seed=3)
    dx, dweight, dbias = ref.conv2d_backward(dy, x, weight, **case.options)
    assert_gradient(dx, lambda x: ref.conv2d(x, weight, bias, **case.options), x, dy)
    assert_gradient(dweight, lambda w: ref.conv2d(x, w, bias, **case.options), weight, dy)
    assert_gradient(dbias, lambda b: ref.conv2d(x, weight, b, **case.options), bias, dy)


@pytest.mark.parametrize("case", small(cases.CONV_TRANSPOSE), ids=str)
def test_conv_transpose_gradient(case: cases.ConvTranspose) -> None:
    x, weight = normal(case.x), normal(case.weight, seed=1)
    bias, options = normal(case.weight[1] * case.groups, seed=2), case.options
    dy = normal(ref.conv_transpose2d(x, weight, bias, **options).shape, seed=3)
    dx, dweight, dbias = ref.conv_transpose2d_backward(dy, x, weight, **options)
    assert_gradient(dx, lambda x: ref.conv_transpose2d(x, weight, bias, **options), x, dy)
    assert_gradient(dweight, lambda w: ref.conv_transpose2d(x, w, bias, **options), weight, dy)
    assert_gradient(dbias, lambda b: ref.conv_transpose2d(x, weight, b, **options), bias, dy)


@pytest.mark.parametrize("case", cases.CONV, ids=str)
def test_col2im_is_the_transpose_of_im2col(case: cases.Conv) -> None:
    window = (case.weight[2:], case.stride, case.padding, case.dilation)
    x = normal(case.x)
    col = ref.im2col(x, *window)
    other = normal(col.shape, seed=1)
    back = ref.col2im(other, case.x, *window)
    np.testing.assert_allclose(np.vdot(col, other), np.vdot(x, back), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", small(cases.POOL), ids=str)
def test_pool_gradient(case: cases.Pool) -> None:
    x, window = distinct(case.x), case[1:]
    y, indices = ref.max_pool2d(x, *window)
    dy = normal(y.shape, seed=1)
    dx = ref.max_pool2d_backward(dy, indices, case.x, *window)
    assert_gradient(dx, lambda x: ref.max_pool2d(x, *window)[0], x, dy)
    for count_pad in (True, False):
        dx = ref.avg_pool2d_backward(dy, case.x, *window, count_pad)
        assert_gradient(dx, lambda x, c=count_pad: ref.avg_pool2d(x, *window, c), x, dy)
    dy = normal(case.x[:2], seed=1)
    dx = ref.global_avg_pool2d_backward(dy, case.x)
    assert_gradient(dx, ref.global_avg_pool2d, x, dy)


def test_max_pool_never_chooses_padding() -> None:
    x = np.full((1, 1, 4, 4), -np.inf)
    y, indices = ref.max_pool2d(x, 3, 2, 1)
    assert (y == -np.inf).all()
    dx = ref.max_pool2d_backward(np.ones_like(y), indices, x.shape, 3, 2, 1)
    assert dx.sum() == y.size


@pytest.mark.parametrize("shape", [shape for shape in cases.NORM if 1 < np.prod(shape) < 500])
def test_batch_norm_gradient(shape: tuple[int, ...]) -> None:
    x, weight, bias = normal(shape), normal(shape[1], seed=1), normal(shape[1], seed=2)
    y, mean, var = ref.batch_norm(x, weight, bias)
    dy = normal(shape, seed=3)
    dx, dweight, dbias = ref.batch_norm_backward(dy, x, mean, var, weight)
    assert_gradient(dx, lambda x: ref.batch_norm(x, weight, bias)[0], x, dy, 1e-6)
    assert_gradient(dweight, lambda w: ref.batch_norm(x, w, bias)[0], weight, dy)
    assert_gradient(dbias, lambda b: ref.batch_norm(x, weight, b)[0], bias, dy)
    np.testing.assert_allclose(ref.batch_norm_inference(x, mean, var, weight, bias), y, rtol=1e-12)


@pytest.mark.parametrize("shape", [shape for shape in cases.LAYER_NORM if 1 < np.prod(shape) < 500])
def test_layer_norm_gradient(shape: tuple[int, ...]) -> None:
    x, weight, bias = normal(shape), normal(shape[-1], seed=1), normal(shape[-1], seed=2)
    _, mean, rstd = ref.layer_norm(x, weight, bias)
    dy = normal(shape, seed=3)
    dx, dweight, dbias = ref.layer_norm_backward(dy, x, mean, rstd, weight)
    assert_gradient(dx, lambda x: ref.layer_norm(x, weight, bias)[0], x, dy, 1e-6)
    assert_gradient(dweight, lambda w: ref.layer_norm(x, w, bias)[0], weight, dy)
    assert_gradient(dbias, lambda b: ref.layer_norm(x, weight, b)[0], bias, dy)


def test_embedding_gradient() -> None:
    indices, weight, dy = np.array([[3, 0], [3, 3]]), normal((5, 3)), normal((2, 2, 3), seed=1)
    dweight = ref.embedding_backward(dy, indices, 5)
    assert_gradient(dweight, lambda w: ref.embedding(indices, w), weight, dy)
    rows, values = ref.embedding_backward_rows(dy, indices, 5)
    assert rows.tolist() == [0, 3]
    np.testing.assert_array_equal(values, dweight[rows])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_gradient(name: str, axis: int) -> None:
    x, dy = normal((3, 4, 2)), normal((3, 4, 2), seed=1)
    forward = getattr(ref, name)
    dx = getattr(ref, name + "_backward")(dy, forward(x, axis), axis)
    assert_gradient(dx, lambda x: forward(x, axis), x, dy)


def recurrent(kind: str) -> dict:
    """Arguments of a layer over time: T = 3, N = 2, D = 3, H = 4."""
    rows = {"lstm": 16, "gru": 12, "rnn": 4}[kind]
    shapes = {"x": (3, 2, 3), "weight_ih": (rows, 3), "weight_hh": (rows, 4), "bias_ih": rows}
    shapes |= {"bias_hh": rows, "h0": (2, 4)} | ({"c0": (2, 4)} if kind == "lstm" else {})
    return {name: normal(shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_recurrent_gradient(kind: str, reverse: bool) -> None:
    """The last state, used besides y, has a gradient of its own."""
    arguments, forward = recurrent(kind), getattr(ref, kind)
    last = 0 if reverse else -1

    def results(**changed: Array) -> Array:
        result = forward(**arguments | changed, reverse=reverse)
        y, *kept = result if isinstance(result, tuple) else (result,)
        return np.stack([*y, y[last], *([kept[1][last]] if kind == "lstm" else [])])

    result = forward(**arguments, reverse=reverse)
    outputs = result if isinstance(result, tuple) else (result,)
    dy = normal(results().shape, seed=20)
    ends = {"dhn": dy[3]} | ({"dcn": dy[4]} if kind == "lstm" else {})
    first = {name: arguments[name] for name in ("h0", "c0") if name in arguments}
    inputs = [arguments[name] for name in ("x", "weight_ih", "weight_hh")]
    backward = getattr(ref, f"{kind}_backward")
    gradients = backward(dy[:3], *inputs, *outputs, **first, **ends, reverse=reverse)
    for name, gradient in zip(arguments, gradients, strict=True):
        assert_gradient(gradient, lambda v, n=name: results(**{n: v}), arguments[name], dy)


def targets(soft: bool) -> Array:
    """Targets of six samples and five classes, two labels ignored."""
    if soft:
        return np.abs(normal((6, 5), seed=1))
    return np.array([0, 4, -100, 2, -100, 1])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [None, -0.7])
@pytest.mark.parametrize("masked", [None, bool, float])
def test_attention_gradient(masked: type | None, scale: float | None, causal: bool) -> None:
    q, k, v = normal((2, 3, 6)), normal((2, 4, 6), seed=1), normal((2, 4, 4), seed=2)
    keep = normal((2, 1, 1, 4), seed=3) > 0
    mask = {None: None, bool: keep, float: normal((2, 3, 4), seed=4)}[masked]
    options = (2, mask, causal, scale)
    y, lse = ref.attention(q, k, v, *options)
    dy = normal(y.shape, seed=5)
    dq, dk, dv = ref.attention_backward(dy, q, k, v, y, lse, *options)
    assert_gradient(dq, lambda q: ref.attention(q, k, v, *options)[0], q, dy)
    assert_gradient(dk, lambda k: ref.attention(q, k, v, *options)[0], k, dy)
    assert_gradient(dv, lambda v: ref.attention(q, k, v, *options)[0], v, dy)


def test_self_attention_gradient() -> None:
    qkv, mask = normal((2, 4, 18)), np.array([True, True, False, True])
    y, lse = ref.self_attention(qkv, 3, mask, True)
    dy = normal(y.shape, seed=1)
    dqkv = ref.self_attention_backward(dy, qkv, y, lse, 3, mask, True)
    assert_gradient(dqkv, lambda qkv: ref.self_attention(qkv, 3, mask, True)[0], qkv, dy)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_gradient(
    soft: bool, smoothing: float, reduction: str, weighted: bool
) -> None:
    x, target = normal((6, 5)), targets(soft)
    weight = np.arange(1.0, 7.0) if weighted else None
    options = (weight, -100, smoothing, reduction)
    loss, lse = ref.cross_entropy(x, target, *options)
    dloss = normal(6, seed=2) if reduction == "none" else 1.7
    assert np.shape(loss) == np.shape(dloss)
    dx = ref.cross_entropy_backward(x, target, lse, *options, dloss)
    assert_gradient(dx, lambda x: ref.cross_entropy(x, target, *options)[0], x, dloss)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_gradient(reduction: str) -> None:
    x, target = normal((3, 4)), normal((3, 4), seed=1)
    dloss = normal((3, 4), seed=2) if reduction == "none" else 1.7
    dx = ref.mse_loss_backward(x, target, reduction, dloss)
    assert_gradient(dx, lambda x: ref.mse_loss(x, target, reduction), x, dloss)


def test_dropout_gradient() -> None:
    x, dy = normal((5, 7)), normal((5, 7), seed=1)
    dx = ref.dropout_backward(dy, 0.3, 42, 7)
    np.testing.assert_allclose(
        dx, finite_difference(lambda x: ref.dropout(x, 0.3, 42, 7), x, dy), atol=1e-7
    )


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter: tuple, key: tuple, words: str) -> None:
    """The vectors that the authors of Random123 publish with their library."""
    got = philox4x32(tuple(map(np.uint64, counter)), tuple(map(np.uint64, key)))
    assert [f"{int(word):08x}" for word in got] == words.split()


def test_random_bytes_are_those_of_the_blocks_in_order() -> None:
    seed, offset = (3 << 32) + 5, (7 << 32) + 9
    for i, byte in enumerate(random_bytes(37, seed, offset)):
        counter = (np.uint64(i // 16), np.uint64(0), np.uint64(9), np.uint64(7))
        word = int(philox4x32(counter, (np.uint64(5), np.uint64(3)))[i % 16 // 4])
        assert byte == word >> i % 4 * 8 & 0xFF
    (low,) = low_bits(np.array([2**32 + 1]), seed, offset)
    counter = (np.uint64(1), np.uint64(2**31 + 1), np.uint64(9), np.uint64(7))
    assert low == int(philox4x32(counter, (np.uint64(5), np.uint64(3)))[0]) >> 8


@pytest.mark.parametrize("p", [0.1, 0.5, 1 / 3, 2**-9, 1 - 2**-10])
def test_dropout_is_decided_by_numbers_of_32_bits(p: float) -> None:
    count, seed, offset = 50_000, 4, 5
    low = low_bits(np.arange(count), seed, offset)
    number = random_bytes(count, seed, offset).astype(np.uint64) << np.uint64(24) | low
    kept = number >= np.uint64(np.ceil(p * 2**32))
    np.testing.assert_array_equal(ref.dropout(np.ones(count), p, seed, offset) != 0, kept)


def test_dropout_keeps_the_stated_share() -> None:
    x = np.ones(100_000)
    y = ref.dropout(x, 0.3, seed=1)
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert abs(np.mean(y == 0) - 0.3) < 0.01
    assert np.mean(y == ref.dropout(x, 0.3, seed=2)) < 0.6
    assert np.mean(y == ref.dropout(x, 0.3, seed=1, offset=1)) < 0.6
