"""Calls that must fail: a good call of every function, and what to put in place of one argument.

A row holds the function, the argument that is wrong and that the message must name, its value and
the error. Where the shapes of two arrays contradict each other the message may name either.
"""

from typing import Any

import numpy as np
from numeric import normal


def recurrent_calls() -> dict[str, dict[str, Any]]:
    """Return the calls of the functions over time: T = 3, N = 2, D = 4, H = 5."""
    calls: dict[str, dict[str, Any]] = {}
    steps, first, last = normal((3, 2, 5)), {"h0": normal((2, 5))}, {"dhn": normal((2, 5))}
    for name, gates, kept in (("lstm", 4, "cells"), ("gru", 3, "inner"), ("rnn", 1, "")):
        rows = gates * 5
        sizes = {"weight_ih": normal((rows, 4)), "weight_hh": normal((rows, 5))}
        state = first | ({"c0": normal((2, 5))} if name == "lstm" else {})
        option = {"nonlinearity": "relu"} if name == "rnn" else {}
        given = {"x": normal((3, 2, 4)), **sizes, **state, **option}
        calls[name] = given | {"bias_ih": normal(rows), "bias_hh": normal(rows)}
        outputs = {"y": steps, "gates": normal((3, 2, rows)), kept: steps} if kept else {"y": steps}
        ends = last | ({"dcn": normal((2, 5))} if name == "lstm" else {})
        calls[f"{name}_backward"] = {"dy": steps, **given, **outputs, **ends}
        if kept:
            calls[f"{name}_inference"] = calls[name]
    return calls


def good_calls() -> dict[str, dict[str, Any]]:
    """Return arguments with which each function works, made anew."""
    x, image, weight = normal((2, 3)), normal((2, 4, 6, 6)), normal((6, 2, 3, 3))
    window = {"kernel_size": (3, 3), "stride": 1, "padding": 1, "dilation": 1}
    pool = {"kernel_size": 2, "stride": 2, "padding": 0}
    conv = {"stride": 1, "padding": 1, "dilation": 1, "groups": 2, "algo": "auto"}
    transposed = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 1}
    labels, rate = np.array([0, 2]), {"lr": 0.1, "weight_decay": 0.1}
    loss = {"ignore_index": -100, "label_smoothing": 0.1, "reduction": "none"}
    stream = {"p": 0.5, "seed": 1, "offset": 2}
    channels = {"mean": normal(4), "var": np.ones(4), "weight": np.ones(4)}
    norm = {"bias": normal(4), "eps": 1e-5, "activation": "relu"}
    rows = {"mean": normal(2), "rstd": np.ones(2)}
    adam = {"step": 1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, **rate}
    dense = {"x": x, "weight": normal((4, 3)), "activation": "relu"}

    def state(*names: str) -> dict[str, Any]:
        return {name: np.ones((2, 3)) for name in ("param", "grad", *names)}

    calls: dict[str, dict[str, Any]] = {
        "add": {"a": x, "b": x + 1, "activation": "relu"},
        "gemm": {"a": x, "b": normal((3, 4)), "bias": normal(4), "activation": "tanh"},
        "linear": {**dense, "bias": normal(4)},
        "linear_backward": {**dense, "dy": normal((2, 4)), "y": normal((2, 4))},
        "im2col": {"x": image, **window},
        "col2im": {"col": normal((72, 36)), "x_shape": (2, 4, 6, 6), **window},
        "conv2d": {
            **{"x": image, "weight": weight, "bias": normal(6), "scale": normal(6)},
            **{"activation": "relu", **conv},
        },
        "conv2d_backward": {"dy": normal((2, 6, 6, 6)), "x": image, "weight": weight, **conv},
        "conv_transpose2d": {
            **{"x": image, "weight": normal((4, 3, 3, 3)), "bias": normal(6)},
            **{"activation": "relu", **transposed},
        },
        "conv_transpose2d_backward": {
            **{"dy": normal((2, 6, 12, 12)), "x": image, "weight": normal((4, 3, 3, 3))},
            **transposed,
        },
        "max_pool2d": {"x": image, **pool, "activation": "relu"},
        "max_pool2d_backward": {
            "dy": normal((2, 4, 3, 3)),
            "indices": np.zeros((2, 4, 3, 3), np.uint8),
            "x_shape": (2, 4, 6, 6),
            **pool,
        },
        "avg_pool2d": {"x": image, **pool},
        "avg_pool2d_backward": {"dy": normal((2, 4, 3, 3)), "x_shape": (2, 4, 6, 6), **pool},
        "global_avg_pool2d": {"x": image},
        "global_avg_pool2d_backward": {"dy": normal((2, 4)), "x_shape": (2, 4, 6, 6)},
        "batch_norm": {"x": image, "weight": np.ones(4), **norm},
        "batch_norm_inference": {"x": image, **channels, **norm},
        "batch_norm_backward": {"dy": image + 1, "x": image, **channels, **norm},
        "batch_norm_update": {
            **{name: np.ones(4) for name in ("running_mean", "running_var", "mean", "var")},
            "count": 7,
            "momentum": 0.1,
        },
        "layer_norm": {"x": x, "weight": np.ones(3), "bias": normal(3), "eps": 1e-5},
        "layer_norm_backward": {"dy": x + 1, "x": x, **rows, "weight": np.ones(3)},
        "embedding": {"indices": labels, "weight": normal((3, 4))},
        "embedding_backward": {"dy": x, "indices": labels, "num_embeddings": 3},
        "embedding_backward_rows": {"dy": x, "indices": labels, "num_embeddings": 3},
        "cross_entropy": {"x": x, "target": labels, "sample_weight": np.ones(2), **loss},
        "cross_entropy_backward": {
            "x": x,
            "target": labels,
            "lse": normal(2),
            "sample_weight": np.ones(2),
            "dloss": normal(2),
            **loss,
        },
        "mse_loss": {"x": x, "target": x + 1, "reduction": "sum"},
        "mse_loss_backward": {"x": x, "target": x + 1, "reduction": "none", "dloss": x},
        "dropout": {"x": x, **stream},
        "dropout_backward": {"dy": x, **stream},
        "sgd_update": {**state(), **rate},
        "momentum_update": {**state("velocity"), **rate, "momentum": 0.9},
        "adagrad_update": {**state("sum_sq"), **rate, "eps": 1e-8},
        "rmsprop_update": {**state("mean_sq"), **rate, "eps": 1e-8, "alpha": 0.9},
        "adadelta_update": {**state("mean_sq", "mean_delta_sq"), **rate, "eps": 1e-8, "rho": 0.9},
        "adam_update": {**state("m", "v"), **adam},
        "adamw_update": {**state("m", "v"), **adam},
    }
    q, kv, heads = normal((2, 3, 4)), normal((2, 5, 4)), {"heads": 2, "scale": 0.5}
    saved = {"y": normal((2, 3, 4)), "lse": normal((2, 2, 3))}
    attended = {"q": q, "k": kv, "v": kv, **heads, "mask": normal((3, 5))}
    packed = {"qkv": normal((2, 3, 12)), **heads, "mask": normal((3, 3))}
    calls |= {
        "attention": attended,
        "attention_backward": {"dy": q, **attended, **saved},
        "self_attention": packed,
        "self_attention_backward": {"dy": q, **packed, **saved},
    }
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "softmax", "log_softmax"):
        saved = "x" if "relu" in name else "y"
        extra: dict[str, Any] = {"negative_slope": 0.1} if name == "leaky_relu" else {}
        extra = {"axis": 1} if "softmax" in name else extra
        calls[name] = {"x": x, **extra}
        calls[name + "_backward"] = {"dy": x + 1, saved: x, **extra}
    calls["gelu"] = {"x": x, "approximate": "tanh"}
    calls["gelu_backward"] = {"dy": x + 1, "x": x, "approximate": "none"}
    for name in ("reduce_sum", "reduce_mean", "reduce_max"):
        calls[name] = {"x": x, "axis": 1}
    return calls | recurrent_calls()


OPTIONAL = {"bias", "scale", "y", "sample_weight", "bias_ih", "bias_hh", "h0", "c0", "dhn", "dcn"}
OPTIONAL |= {"mask"}
IN_PLACE = {"param", "velocity", "sum_sq", "mean_sq", "mean_delta_sq", "m", "v"}
IN_PLACE |= {"running_mean", "running_var"}
NOT_FLOATS = {"target", "indices", "dloss", "mask"}

ANY_WIDTH = {  # arrays whose last axis may have any length
    ("conv2d", "x"),
    ("conv_transpose2d", "x"),
    ("conv_transpose2d", "weight"),
    ("batch_norm", "x"),
    ("batch_norm_inference", "x"),
    ("cross_entropy", "x"),
    ("embedding", "weight"),
    ("embedding_backward", "dy"),
    ("embedding_backward_rows", "dy"),
    ("cross_entropy_backward", "x"),
}
INTEGERS = {"stride": 1, "padding": 0, "dilation": 1, "kernel_size": 1, "groups": 1, "step": 1}
INTEGERS |= {"count": 1, "num_embeddings": 0, "heads": 1, "output_padding": 0}
NOT_NEGATIVE = {"lr", "weight_decay", "momentum", "eps"}
FRACTIONS = {"p", "beta1", "beta2", "alpha", "rho", "label_smoothing"}
CHOICES = {"activation", "algo", "reduction", "approximate", "nonlinearity"}
STREAMS = {"seed", "offset"}


def bad_values(function: str, name: str, value: Any) -> list[tuple[Any, type[Exception]]]:
    """Return wrong values of one argument, from what kind of argument it is."""
    if isinstance(value, np.ndarray) and name not in NOT_FLOATS:
        return _bad_arrays(function, name, value)
    if name in INTEGERS:
        least = INTEGERS[name]
        rows = [(least - 1, ValueError), (-7, ValueError), (2**70, ValueError)]
        rows += [(1.0, TypeError), ("1", TypeError), (1j, TypeError), (True, TypeError)]
        if not (name == "stride" and "pool" in function):
            rows.append((None, TypeError))
        if name not in ("groups", "step", "count", "num_embeddings", "heads"):
            rows += [((1,), ValueError), ((1, 1, 1), ValueError), ((1, least - 1), ValueError)]
            rows += [((1.5, 1), TypeError), (np.array([1, 1]), TypeError)]
        return rows
    if name in NOT_NEGATIVE | FRACTIONS | {"negative_slope", "scale"}:
        rows = [(np.nan, ValueError), (np.inf, ValueError), (-np.inf, ValueError)]
        rows += [("0.5", TypeError), (1j, TypeError), ([0.5], TypeError)]
        if (function, name) != ("conv2d", "scale"):
            rows.append((np.array([0.5, 0.5]), TypeError))
        if name != "scale":
            rows.append((None, TypeError))
        if name not in ("negative_slope", "scale"):
            rows.append((-0.1, ValueError))
        if name in FRACTIONS:
            rows.append((1.5, ValueError))
        if name in ("p", "beta1", "beta2"):
            rows.append((1.0, ValueError))
        return rows
    if name in STREAMS:
        rows = [(-1, ValueError), (2**64, ValueError), (0.5, TypeError), ("1", TypeError)]
        return [*rows, (None, TypeError), (np.array([1, 2]), TypeError)]
    if name in CHOICES:
        return [("none such", ValueError), ("", ValueError), (3, TypeError), (["relu"], TypeError)]
    if name == "axis":
        rows = [(2, ValueError), (-3, ValueError), (0.5, TypeError), ("0", TypeError)]
        return [*rows, (np.array([0, 0]), TypeError)]
    if name == "mask":
        rows = [(value.astype(int), TypeError), (value.astype(complex), TypeError)]
        rows += [("text", TypeError), (value[:2], ValueError), (value[..., :2], ValueError)]
        return [*rows, (value[None, None, None], ValueError), (value[:0], ValueError)]
    if name == "x_shape":
        rows = [((2, 4, 6), ValueError), ((2, 4, 6, 6, 1), ValueError), (None, TypeError)]
        rows += [((2, 4, 6, -6), ValueError), ((2, 4, 6, 6.0), TypeError), (5, TypeError)]
        return [*rows, ((2**40, 2**40, 6, 6), ValueError), ("2466", TypeError)]
    return []


def _bad_arrays(function: str, name: str, value: Any) -> list[tuple[Any, type[Exception]]]:
    rows: list[tuple[Any, type[Exception]]] = [
        (value.astype(dtype), TypeError)
        for dtype in (np.int64, np.uint32, np.complex128, object, "U", "datetime64[s]", "V8")
    ]
    if name in IN_PLACE and function.endswith("_update"):
        rows += [(value.astype(np.float32), TypeError), (value.tolist(), TypeError)]
        rows.append((np.repeat(value, 2, -1)[..., ::2], ValueError))
        if value.ndim > 1:
            rows.append((np.asfortranarray(value), ValueError))
        rows += [(np.broadcast_to(value[0], value.shape), ValueError), (_frozen(value), ValueError)]
    if name not in OPTIONAL and not (name == "weight" and "_norm" in function):
        rows.append((None, TypeError))
    one_array = sum(isinstance(v, np.ndarray) for v in good_calls()[function].values()) == 1
    if not one_array or value.ndim == 4:
        rows.append((np.ones((*value.shape, 1)), ValueError))
        rows.append((np.ones(value.shape[:-1]), ValueError))
    if not one_array and (function, name) not in ANY_WIDTH:
        rows.append((np.ones((*value.shape[:-1], value.shape[-1] + 7)), ValueError))
    return rows


def _frozen(value: Any) -> Any:
    value = value.copy()
    value.flags.writeable = False
    return value
