"""Calls of every compiled function, large enough for several threads: the table of test_threads.

A new kernel gets a line here, with a call for each of its parallel loops. Below 12 microseconds of
work by the kernel's own estimate (`nnf_team`) a call stays on one thread, and tests nothing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from kernel_checks import core
from numeric import Array, normal

X = normal((500, 401))
DY = normal((500, 401), seed=1)
FLOATS = X.astype(np.float32)
LABELS = np.arange(500) % 401
ROWS = np.arange(3000) * 7 % 500
IMAGE = normal((6, 8, 30, 31), np.float32)
WEIGHT = normal((12, 8, 3, 3), np.float32, seed=2)
WINDOW = (3, 1, 1)
IMAGES = normal((9, 31, 30, 31), np.float32)
FEATURES = normal((1000, 401), np.float32)
SMALL_PLANES = normal((40, 70, 7, 7), np.float32)
DEEP, DEEP_WEIGHT = normal((20, 150, 5, 6), np.float32), normal((140, 150, 3, 3), np.float32, 2)
SEQUENCE = (normal((70, 33, 20), np.float32), normal((156, 20), np.float32, 1) / 5)
STEPS = (*SEQUENCE, normal((156, 39), np.float32, 2) / 6, *normal((2, 156), np.float32, 3))
GRU = (SEQUENCE[0], *(weight[:117] for weight in STEPS[1:]))
RNN = (SEQUENCE[0], *(weight[:39] for weight in STEPS[1:]))
DSTEPS = normal((70, 33, 39), np.float32, 4)
# Weights large enough to be packed by several threads.
WIDE_STEPS = (normal((3, 9, 160), np.float32), *normal((2, 640, 160), np.float32, 1) / 10)
A, B = normal((300, 200), seed=3), normal((200, 250), seed=4)
LINEAR = (normal((100, 110)), normal((90, 110), seed=1))


def updated(name: str, states: int, *numbers: int) -> tuple[Array, ...]:
    """Return param and state after one step of an optimizer."""
    arrays = [X.copy(), *(np.full_like(X, 0.5) for _ in range(states))]
    getattr(core, name)(arrays[0], DY, *arrays[1:], *numbers, lr=0.1, weight_decay=0.1)
    return tuple(arrays)


def pooled() -> tuple[Array, Array]:
    return core.max_pool2d(IMAGE, 2)


def normed(x: Array) -> tuple[Array, ...]:
    y, mean, var = core.batch_norm(x)
    rectified = core.batch_norm(x, activation="relu")[0]
    inference = core.batch_norm_inference(x, mean, var)
    return y, mean, var, rectified, inference


def norm_gradients(x: Array, activation: str | None) -> tuple[Array, ...]:
    return core.batch_norm_backward(x, x, *core.batch_norm(x)[1:], activation=activation)


def convolved(x: Array, weight: Array, algo: str, **window: int) -> Array:
    return core.conv2d(x, weight, **window, algo=algo)


def conv_gradients(x: Array, weight: Array, algo: str, **window: int) -> tuple[Array, ...]:
    dy = core.conv2d(x, weight, **window, algo=algo)
    return core.conv2d_backward(dy, x, weight, **window, algo=algo)


def transposed(x: Array, outputs: int, size: int) -> tuple[Array, Array]:
    weight = normal((x.shape[1], outputs, size, size), np.float32, 2)
    return weight, normal(outputs, np.float32, 3)


# One of each algorithm, and of each way through it that conv.c and its like choose by size.
CONVOLUTIONS: tuple[tuple[Array, Array, str, dict[str, int]], ...] = (
    (IMAGES, normal((62, 1, 3, 3), np.float32, 2), "depthwise", {"groups": 31}),
    (IMAGE, WEIGHT, "winograd", {"padding": 1}),
    (DEEP, DEEP_WEIGHT, "winograd", {"padding": 1}),
    (IMAGES, normal((20, 31, 5, 5), np.float32, 2), "winograd", {"padding": 2}),
    (IMAGES.reshape(3, 93, 30, 31), normal((70, 93, 3, 3), np.float32, 2), "winograd", {}),
    (IMAGE, WEIGHT, "winograd", {"stride": 2, "padding": 1}),
    (DEEP, DEEP_WEIGHT, "winograd", {"stride": 2, "padding": 1}),
    (IMAGE, WEIGHT, "fold", {}),
    (normal((1, 3, 40, 64), np.float32), normal((27, 3, 3, 3), np.float32, 2), "fold", {}),
    (normal((21, 2, 30, 34), np.float32), normal((9, 2, 5, 5), np.float32, 2), "fold", {}),
    (DEEP, DEEP_WEIGHT, "gemm", {"padding": 1}),
    (IMAGES, normal((20, 31, 3, 3), np.float32, 2), "gemm", {"stride": 2}),
    (IMAGES, normal((20, 31, 1, 1), np.float32, 2), "gemm", {}),
)

TRANSPOSED: tuple[tuple[Array, Array, Array, dict[str, int]], ...] = (
    (DEEP, *transposed(DEEP, 30, 3), {"padding": 1}),
    (DEEP, *transposed(DEEP, 30, 4), {"stride": 2, "padding": 1}),
    (IMAGES, *transposed(IMAGES, 3, 5), {"stride": 2, "padding": 2, "output_padding": 1}),
)


def running() -> tuple[Array, Array]:
    arrays = X.ravel().copy(), DY.ravel().copy()
    core.batch_norm_update(*arrays, DY.ravel(), X.ravel(), 7)
    return arrays


def rows_normed() -> tuple[Array, Array, Array]:
    return core.layer_norm(X)


def lse() -> Array:
    return core.cross_entropy(X, LABELS)[1]


# Few heads, whose keys are cut into parts, and tasks of several heads.
QKV = normal((1, 600, 2 * 3 * 30), np.float32)
SHORT = normal((40, 9, 4 * 3 * 7), np.float32)


def attended(qkv: Array, heads: int) -> tuple[Array, Array]:
    return core.self_attention(qkv, heads, None, True)


CALLS: dict[str, Callable[[], Any]] = {
    "relu": lambda: core.relu(X),
    "relu_backward": lambda: core.relu_backward(DY, X),
    "leaky_relu": lambda: core.leaky_relu(X),
    "leaky_relu_backward": lambda: core.leaky_relu_backward(DY, X),
    "sigmoid": lambda: core.sigmoid(FLOATS),
    "sigmoid_backward": lambda: core.sigmoid_backward(DY, X),
    "tanh": lambda: core.tanh(X),
    "tanh_backward": lambda: core.tanh_backward(DY, X),
    "add": lambda: (core.add(X, DY), core.add(FLOATS, FLOATS, "relu")),
    "gelu": lambda: (core.gelu(FLOATS), core.gelu(X, "tanh")),
    "gelu_backward": lambda: (core.gelu_backward(DY, X), core.gelu_backward(DY, X, "tanh")),
    "softmax": lambda: (core.softmax(FLOATS), core.softmax(X.reshape(1, -1))),
    "softmax_backward": lambda: (
        core.softmax_backward(DY, X),
        core.softmax_backward(DY.reshape(1, -1), X.reshape(1, -1)),
    ),
    "log_softmax": lambda: (core.log_softmax(FLOATS), core.log_softmax(X.reshape(-1, 2))),
    "log_softmax_backward": lambda: core.log_softmax_backward(DY, X),
    "cross_entropy": lambda: (
        *core.cross_entropy(X, LABELS),
        *core.cross_entropy(X, DY, label_smoothing=0.1, reduction="none"),
        *core.cross_entropy(X.reshape(5, -1), LABELS[:5]),
    ),
    "cross_entropy_backward": lambda: core.cross_entropy_backward(X, LABELS, lse()),
    "mse_loss": lambda: (
        core.mse_loss(FLOATS, FLOATS * 2),
        core.mse_loss(FLOATS, FLOATS * 2, reduction="none"),
    ),
    "mse_loss_backward": lambda: core.mse_loss_backward(X, DY),
    "dropout": lambda: (core.dropout(FLOATS, 0.3, 1, 2), core.dropout(FEATURES, 0.0, 1, 2)),
    "dropout_backward": lambda: core.dropout_backward(DY, 0.3, 1, 2),
    "sgd_update": lambda: updated("sgd_update", 0),
    "momentum_update": lambda: updated("momentum_update", 1),
    "adagrad_update": lambda: updated("adagrad_update", 1),
    "rmsprop_update": lambda: updated("rmsprop_update", 1),
    "adadelta_update": lambda: updated("adadelta_update", 2),
    "adam_update": lambda: updated("adam_update", 2, 3),
    "adamw_update": lambda: updated("adamw_update", 2, 3),
    "gemm": lambda: (
        core.gemm(A, B),
        core.gemm(X, DY, transpose_b=True),  # packed
        core.gemm(normal((2000, 150)), normal((2000, 200)), transpose_a=True),  # cut by depth
    ),
    "linear": lambda: (
        core.linear(A, B.T.copy(), None, "tanh"),
        core.linear(X[:3], DY, None),  # dot products
    ),
    "linear_backward": lambda: (
        core.linear_backward(core.gemm(A, B), A, B.T.copy()),
        core.linear_backward(X[:100, :90].copy(), *LINEAR),  # a product for each thread
    ),
    "lstm": lambda: (*core.lstm(*STEPS), *core.lstm(*WIDE_STEPS)),
    "lstm_inference": lambda: core.lstm_inference(*STEPS),
    "lstm_backward": lambda: (
        core.lstm_backward(DSTEPS, *STEPS[:3], *core.lstm(*STEPS)),
        core.lstm_backward(WIDE_STEPS[0], *WIDE_STEPS, *core.lstm(*WIDE_STEPS)),
    ),
    "gru": lambda: core.gru(*GRU),
    "gru_inference": lambda: core.gru_inference(*GRU),
    "gru_backward": lambda: core.gru_backward(DSTEPS, *GRU[:3], *core.gru(*GRU)),
    "rnn": lambda: core.rnn(*RNN),
    "rnn_backward": lambda: core.rnn_backward(DSTEPS, *RNN[:3], core.rnn(*RNN)),
    "im2col": lambda: core.im2col(IMAGE, *WINDOW),
    "col2im": lambda: (
        core.col2im(core.im2col(IMAGE, *WINDOW), IMAGE.shape, *WINDOW),
        core.col2im(core.im2col(IMAGES, 1), IMAGES.shape, 1),
    ),
    "conv2d": lambda: tuple(convolved(*case, **window) for *case, window in CONVOLUTIONS),
    "conv2d_backward": lambda: tuple(
        conv_gradients(*case, **window) for *case, window in CONVOLUTIONS
    ),
    "conv_transpose2d": lambda: tuple(
        core.conv_transpose2d(*case, bias, activation="relu", **window)
        for *case, bias, window in TRANSPOSED
    ),
    "conv_transpose2d_backward": lambda: tuple(
        core.conv_transpose2d_backward(core.conv_transpose2d(*case, **window), *case, **window)
        for *case, _, window in TRANSPOSED
    ),
    "max_pool2d": pooled,
    "max_pool2d_backward": lambda: core.max_pool2d_backward(*pooled(), IMAGE.shape, 2),
    "avg_pool2d": lambda: core.avg_pool2d(IMAGE, *WINDOW),
    "avg_pool2d_backward": lambda: core.avg_pool2d_backward(
        core.avg_pool2d(IMAGE, *WINDOW), IMAGE.shape, *WINDOW
    ),
    "global_avg_pool2d": lambda: core.global_avg_pool2d(IMAGES),
    "global_avg_pool2d_backward": lambda: core.global_avg_pool2d_backward(
        core.global_avg_pool2d(IMAGES), IMAGES.shape
    ),
    "batch_norm": lambda: tuple(map(normed, (IMAGES, FEATURES, SMALL_PLANES))),
    "batch_norm_inference": lambda: core.batch_norm_inference(IMAGES, *normed(IMAGES)[1:3]),
    "batch_norm_backward": lambda: tuple(
        norm_gradients(x, act) for x in (IMAGES, FEATURES, SMALL_PLANES) for act in (None, "relu")
    ),
    "batch_norm_update": running,
    "layer_norm": lambda: (*rows_normed(), *core.layer_norm(FLOATS.reshape(5, -1))),
    "layer_norm_backward": lambda: core.layer_norm_backward(DY, X, *rows_normed()[1:]),
    "embedding": lambda: core.embedding(ROWS, X),
    "embedding_backward": lambda: core.embedding_backward(DY, LABELS % 7, 1000),
    "embedding_backward_rows": lambda: core.embedding_backward_rows(DY, LABELS % 300, 1000),
    "reduce_sum": lambda: (
        *(core.reduce_sum(FLOATS), core.reduce_sum(X, 0), core.reduce_sum(X, 1)),
        core.reduce_sum(FLOATS.reshape(-1, 5), 1),
        core.reduce_sum(np.resize(FLOATS, (300, 40000)), 0),
    ),
    "reduce_mean": lambda: (core.reduce_mean(FLOATS), core.reduce_mean(X, 0)),
    "reduce_max": lambda: (core.reduce_max(FLOATS), core.reduce_max(X, 1)),
    "attention": lambda: (
        *core.attention(A[None], A[None], A[None]),
        *core.attention(QKV, QKV, QKV),
    ),
    "attention_backward": lambda: core.attention_backward(
        A[None], A[None], A[None], A[None], *core.attention(A[None], A[None], A[None])
    ),
    "self_attention": lambda: (*attended(QKV, 2), *attended(SHORT, 4)),
    "self_attention_backward": lambda: (
        core.self_attention_backward(QKV[..., :60].copy(), QKV, *attended(QKV, 2), 2, None, True),
        core.self_attention_backward(SHORT[..., :28].copy(), SHORT, *attended(SHORT, 4), 4),
    ),
}
