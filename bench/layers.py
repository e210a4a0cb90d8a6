"""The layers that are measured, by name: those of the networks, and those that show a limit."""

from __future__ import annotations

from typing import Any, NamedTuple


class Layer(NamedTuple):
    """A function of nnfast.functional or "optimize", and its arguments as shapes and numbers."""

    function: str
    arguments: dict[str, Any]
    dtype: str | None = None  # None: the one asked for


def _conv(n: int, c: int, h: int, o: int, k: int, stride: int, padding: int) -> Layer:
    arguments = {"x": (n, c, h, h), "weight": (o, c, k, k), "bias": (o,)}
    return Layer("conv2d", arguments | {"stride": stride, "padding": padding})


def _conv_transpose(n: int, c: int, h: int, o: int, k: int, stride: int, padding: int) -> Layer:
    arguments = _conv(n, c, h, o, k, stride, padding).arguments
    return Layer("conv_transpose2d", arguments | {"weight": (c, o, k, k)})


def _fold(n: int, c: int, h: int, k: int, padding: int) -> dict[str, Layer]:
    """im2col of n images of c channels and h x h pixels, and its way back."""
    out, window = h + 2 * padding - k + 1, {"kernel_size": k, "padding": padding}
    shape, col = (n, c, h, h), (n * out * out, c * k * k)
    return {
        f"im2col {c} {k}x{k} on {h}x{h}": Layer("im2col", {"x": shape, **window}),
        f"col2im {c} {k}x{k} on {h}x{h}": Layer("col2im", {"col": col, "x_shape": shape, **window}),
    }


def _gemm(m: int, k: int, n: int, dtype: str | None = None) -> Layer:
    return Layer("gemm", {"a": (m, k), "b": (k, n)}, dtype)


def _gemm_nt(m: int, k: int, n: int) -> dict[str, Layer]:
    """The product of a linear layer, whose weight is (outputs, inputs)."""
    arguments = {"a": (m, k), "b": (n, k), "transpose_b": True}
    return {f"GEMM NT {m}x{k}x{n}": Layer("gemm", arguments)}


def _layer_norm(rows: int, cols: int) -> Layer:
    return Layer("layer_norm", {"x": (rows, cols), "weight": (cols,), "bias": (cols,)})


def _linear(n: int, inputs: int, outputs: int) -> Layer:
    shapes = {"x": (n, inputs), "weight": (outputs, inputs), "bias": (outputs,)}
    return Layer("linear", shapes)


def _norm(shape: tuple[int, ...], **options: Any) -> Layer:
    channels = (shape[1],)
    return Layer("batch_norm", {"x": shape, "weight": channels, "bias": channels, **options})


def _recurrent(function: str, t: int, n: int, d: int, h: int) -> Layer:
    rows = {"lstm": 4, "gru": 3, "rnn": 1}[function.split("_")[0]] * h
    shapes = {"x": (t, n, d), "weight_ih": (rows, d), "weight_hh": (rows, h)}
    return Layer(function, shapes | {"bias_ih": (rows,), "bias_hh": (rows,)})


def _attention(n: int, heads: int, t: int, d: int) -> dict[str, Layer]:
    arguments = {"qkv": (n, t, 3 * heads * d), "heads": heads}
    return {f"attention {n}x{heads}x{t}x{d}": Layer("self_attention", arguments)}


def _update(function: str, *state: str, **options: Any) -> Layer:
    names = ("param", "grad", *state)
    return Layer(function, dict.fromkeys(names, (PARAMETERS,)) | options)


def _optimize(network: str, optimizer: str) -> dict[str, Layer]:
    """The step of an optimizer over all parameters of a network."""
    arguments = {"network": network, "optimizer": optimizer}
    return {f"{optimizer} of {network}": Layer("optimize", arguments)}


IMAGES = (64, 64, 56, 56)
PARAMETERS = 2_000_000

LAYERS = {
    "conv 1-30 5x5 on 28x28": _conv(100, 1, 28, 30, 5, 1, 0),
    "conv 16-16 3x3 on 28x28": _conv(100, 16, 28, 16, 3, 1, 1),
    "conv 64-64 3x3 on 8x8": _conv(100, 64, 8, 64, 3, 1, 1),
    "conv 64-64 3x3 on 56x56": _conv(16, 64, 56, 64, 3, 1, 1),
    "conv 128-128 3x3 on 28x28": _conv(16, 128, 28, 128, 3, 1, 1),
    "conv 256-256 3x3 on 14x14": _conv(16, 256, 14, 256, 3, 1, 1),
    "conv 64-128 3x3/2 on 56x56": _conv(16, 64, 56, 128, 3, 2, 1),
    "conv 256-512 3x3/2 on 14x14": _conv(16, 256, 14, 512, 3, 2, 1),
    "conv 64-256 1x1 on 56x56": _conv(16, 64, 56, 256, 1, 1, 0),
    "conv 256-512 1x1/2 on 56x56": _conv(16, 256, 56, 512, 1, 2, 0),
    "conv 1024-1024 1x1 on 7x7": _conv(16, 1024, 7, 1024, 1, 1, 0),
    "conv 64-64 4x4/2 on 14x14": _conv(100, 64, 14, 64, 4, 2, 1),
    "conv 3-64 7x7/2 on 224x224": _conv(16, 3, 224, 64, 7, 2, 3),
    "conv 64-192 5x5 on 27x27": _conv(16, 64, 27, 192, 5, 1, 2),
    "conv 64-64 1x9 on 1x16000": Layer(
        "conv2d",
        {"x": (4, 64, 1, 16000), "weight": (64, 64, 1, 9), "bias": (64,), "padding": (0, 4)},
    ),
    "conv transpose 64-32 4x4/2 on 14x14": _conv_transpose(100, 64, 14, 32, 4, 2, 1),
    **_fold(100, 1, 28, 5, 0),
    **_fold(100, 16, 28, 3, 1),
    **_fold(100, 64, 8, 3, 1),
    **_fold(16, 64, 56, 3, 1),
    "max pool 2/2": Layer("max_pool2d", {"x": IMAGES, "kernel_size": 2, "stride": 2}),
    "max pool 3/2": Layer("max_pool2d", {"x": IMAGES, "kernel_size": 3, "stride": 2}),
    "max pool 2/2 on 28x28": Layer(
        "max_pool2d", {"x": (100, 32, 28, 28), "kernel_size": 2, "stride": 2}
    ),
    "average pool 2/2": Layer("avg_pool2d", {"x": IMAGES, "kernel_size": 2, "stride": 2}),
    "global average pool": Layer("global_avg_pool2d", {"x": IMAGES}),
    "batch norm": _norm(IMAGES),
    "batch norm 256 on 8x8": _norm((64, 256, 8, 8)),
    "batch norm 512 on 4x4": _norm((32, 512, 4, 4)),
    "batch norm 100x100": _norm((100, 100)),
    "batch norm + ReLU": _norm(IMAGES, activation="relu"),
    "batch norm + ReLU on 8x8": _norm((64, 256, 8, 8), activation="relu"),
    "layer norm 4096x256": _layer_norm(4096, 256),
    "layer norm 2048x256": _layer_norm(2048, 256),
    "embedding 10000x100": Layer("embedding", {"indices": (20, 35), "weight": (10000, 100)}),
    "ReLU": Layer("relu", {"x": IMAGES}),
    "ReLU 100x100": Layer("relu", {"x": (100, 100)}),
    "ReLU 10": Layer("relu", {"x": (10,)}),
    "leaky ReLU": Layer("leaky_relu", {"x": IMAGES}),
    "sigmoid": Layer("sigmoid", {"x": IMAGES}),
    "tanh": Layer("tanh", {"x": IMAGES}),
    "dropout 0.5": Layer("dropout", {"x": IMAGES, "p": 0.5}),
    "residual add + ReLU": Layer("add", {"a": IMAGES, "b": IMAGES, "activation": "relu"}),
    "GELU": Layer("gelu", {"x": IMAGES}),
    "GELU 2048x1024": Layer("gelu", {"x": (2048, 1024)}),
    "softmax 4096x1000": Layer("softmax", {"x": (4096, 1000)}),
    "log-softmax 4096x1000": Layer("log_softmax", {"x": (4096, 1000)}),
    "cross-entropy 4096x1000": Layer("cross_entropy", {"x": (4096, 1000), "target": (4096,)}),
    "cross-entropy 700x10000": Layer("cross_entropy", {"x": (700, 10000), "target": (700,)}),
    "cross-entropy 100x10": Layer("cross_entropy", {"x": (100, 10), "target": (100,)}),
    "MSE 4096x1000": Layer("mse_loss", {"x": (4096, 1000), "target": (4096, 1000)}),
    "sum": Layer("reduce_sum", {"x": (4096, 1000)}),
    "sum of columns": Layer("reduce_sum", {"x": (4096, 1000), "axis": 0}),
    "mean of rows": Layer("reduce_mean", {"x": (4096, 1000), "axis": 1}),
    "maximum of rows": Layer("reduce_max", {"x": (4096, 1000), "axis": 1}),
    "linear 784-100": _linear(100, 784, 100),
    "linear 4320-100": _linear(100, 4320, 100),
    "linear 256-1024": _linear(4096, 256, 1024),
    "linear 1x10-10": _linear(1, 10, 10),
    **{f"GEMM {n}": _gemm(n, n, n) for n in (64, 128, 256, 512, 1024, 2048, 4096)},
    "GEMM 512 float64": _gemm(512, 512, 512, "float64"),
    **_gemm_nt(1, 784, 100),
    **_gemm_nt(20, 100, 400),
    **_gemm_nt(100, 4320, 100),
    **_gemm_nt(700, 100, 10000),
    "LSTM 35x20 100-100": _recurrent("lstm", 35, 20, 100, 100),
    "LSTM 35x32 128-256": _recurrent("lstm", 35, 32, 128, 256),
    "LSTM 100x64 64-128": _recurrent("lstm", 100, 64, 64, 128),
    "LSTM 20x1 64-64": _recurrent("lstm", 20, 1, 64, 64),
    "LSTM inference 35x32 128-256": _recurrent("lstm_inference", 35, 32, 128, 256),
    "GRU 35x20 100-100": _recurrent("gru", 35, 20, 100, 100),
    "RNN 35x20 100-100": _recurrent("rnn", 35, 20, 100, 100),
    **_attention(16, 8, 128, 32),
    **_attention(4, 8, 512, 64),
    "SGD": _update("sgd_update", lr=0.01),
    "momentum": _update("momentum_update", "velocity", lr=0.01),
    "AdaGrad": _update("adagrad_update", "sum_sq", lr=0.01),
    "RMSprop": _update("rmsprop_update", "mean_sq", lr=0.01),
    "Adadelta": _update("adadelta_update", "mean_sq", "mean_delta_sq"),
    "Adam": _update("adam_update", "m", "v", step=10),
    "AdamW": _update("adamw_update", "m", "v", step=10),
    **_optimize("mlp", "Adam"),
    **_optimize("resnet18", "Adam"),
    **_optimize("resnet18", "momentum"),
}
