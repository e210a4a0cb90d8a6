"""How the runner recognises the first book's code: its modules, and an example of each name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..profile import Probe, Profile
from . import (
    functions,
    gradient,
    layers,
    multi_layer_net,
    multi_layer_net_extend,
    optimizer,
    trainer,
    util,
)
from ._promote import Array


def _grid(*shape: int, dtype: Any = np.float64) -> Array:
    """Give small numbers of both signs, a few zeros and ties among them, the same every time."""
    values = (np.arange(np.prod(shape)) * 37 % 23 - 11) / 8
    return values.reshape(shape).astype(dtype)


def _call(*args: Any) -> Probe:
    """Make the probe of a function: its results for copies of these arguments."""
    return _calls(args)


def _calls(*calls: tuple[Any, ...]) -> Probe:
    """Make the probe of a function from several calls."""

    def probe(function: Callable[..., Any]) -> tuple[list[Any], Any]:
        results: list[Any] = []
        for args in calls:
            result = function(*(a.copy() if isinstance(a, np.ndarray) else a for a in args))
            results += result if isinstance(result, tuple) else [result]
        return results, function

    return probe


def _layer(x: Array, init: Callable[[], tuple[Any, ...]] = tuple, *reads: str) -> Probe:
    """Make the probe of a layer: forward, backward and the attributes named in reads."""

    def probe(layer_class: Callable[..., Any]) -> tuple[list[Any], Any]:
        layer = layer_class(*init())
        y = layer.forward(x.copy())
        dout = _grid(*y.shape)[::-1].copy()
        dx = layer.backward(dout)
        # whether dout is changed matters to whoever uses it again
        return [y, dx, dout, *(getattr(layer, name) for name in reads)], layer

    return probe


def _affine_args() -> tuple[Any, ...]:
    return _grid(4, 3), _grid(3)


def _convolution_args() -> tuple[Any, ...]:
    return _grid(2, 2, 3, 3), _grid(2), 2, 1


def _targets(samples: int, classes: int) -> tuple[Array, ...]:
    """Give labels in three forms: integers, one-hot, and soft, of which the book takes the largest.

    Somebody who smooths labels or mixes samples sums over all classes.
    """
    labels = np.arange(samples) * 2 % classes
    one_hot = np.eye(classes)[labels]
    return labels, one_hot, 0.75 * one_hot + 0.25 / classes


def _loss(loss_class: Callable[..., Any]) -> tuple[list[Any], Any]:
    results = []
    for t in _targets(4, 3):
        layer = loss_class()
        results += [layer.forward(_grid(4, 3), t), layer.backward(), layer.y]
    return results, layer


def _cross_entropy(y: Array) -> Probe:
    """Make the probe of a loss that is a function, of a batch and of one sample."""
    targets = _targets(*y.shape)
    return _calls(*((y, t) for t in targets), *((y[0], t[:1].reshape(-1)) for t in targets))


def _dropout(dropout_class: Callable[..., Any]) -> tuple[list[Any], Any]:
    layer = dropout_class(0.3)
    y = layer.forward(_grid(4, 6), True)
    return [y, layer.backward(_grid(4, 6)), layer.forward(_grid(4, 6), False)], layer


def _batch_norm(norm_class: Callable[..., Any]) -> tuple[list[Any], Any]:
    layer = norm_class(_grid(6) + 2, _grid(6))
    results = []
    for factor in (1.0, 2.0):
        y = layer.forward(factor * _grid(5, 6), True)
        results += [y, layer.backward(_grid(5, 6)[::-1].copy()), layer.dgamma, layer.dbeta]
    images = _grid(2, 1, 2, 3)
    results += [layer.forward(images, False), layer.running_mean, layer.running_var]
    return results, layer


def _optimizer(optimizer_class: Callable[..., Any]) -> tuple[list[Any], Any]:
    rule, params = optimizer_class(), {"W": _grid(3, 4), "b": _grid(5)}
    for factor in (1.0, -0.5, 0.25):
        rule.update(params, {key: factor * p[::-1] for key, p in params.items()})
    return list(params.values()), rule


def _square_sum(x: Array) -> Any:
    return np.sum(x**2)


_ELEMENTWISE = (
    "identity_function",
    "step_function",
    "sigmoid",
    "sigmoid_grad",
    "relu",
    "relu_grad",
    "softmax",
)
_COL_SHAPE = (2 * 3 * 3, 2 * 3 * 3)  # of 2 images (2, 5, 5), filter 3, stride 2, pad 1

_PROBES: dict[str, dict[str, Probe]] = {
    "layers": {
        "Relu": _layer(_grid(3, 5), tuple, "mask"),
        "Sigmoid": _layer(_grid(3, 5)),
        "Affine": _layer(_grid(3, 2, 2), _affine_args, "dW", "db"),
        "SoftmaxWithLoss": _loss,
        "Dropout": _dropout,
        "BatchNormalization": _batch_norm,
        "Convolution": _layer(_grid(2, 2, 5, 5, dtype=np.float32), _convolution_args, "dW", "db"),
        "Pooling": _layer(_grid(2, 2, 5, 5, dtype=np.float32), lambda: (2, 2, 1)),
    },
    "functions": {
        **dict.fromkeys(_ELEMENTWISE, _call(_grid(3, 5))),
        "sum_squared_error": _call(_grid(3, 5), _grid(3, 5)[::-1]),
        "mean_squared_error": _call(_grid(3, 5), _grid(3, 5)[::-1]),
        "cross_entropy_error": _cross_entropy(_grid(3, 5) ** 2),
        "softmax_loss": _cross_entropy(_grid(3, 5)),
    },
    "util": {
        "smooth_curve": _call(_grid(30)),
        "shuffle_dataset": _call(_grid(7, 2), _grid(7)),
        "conv_output_size": _call(28, 5, 2, 1),
        "im2col": _call(_grid(2, 2, 5, 5, dtype=np.float32), 3, 3, 2, 1),
        "col2im": _call(_grid(*_COL_SHAPE, dtype=np.float32), (2, 2, 5, 5), 3, 3, 2, 1),
    },
    "gradient": {
        "numerical_gradient": _call(_square_sum, _grid(2, 2, 3)),
        "numerical_gradient_2d": _call(_square_sum, _grid(2, 3)),
    },
    "optimizer": dict.fromkeys(
        ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"), _optimizer
    ),
}

PROFILE = Profile(
    package="common",
    replaced={
        "layers": layers,
        "functions": functions,
        "util": util,
        "gradient": gradient,
        "optimizer": optimizer,
    },
    provided={
        "multi_layer_net": multi_layer_net,
        "multi_layer_net_extend": multi_layer_net_extend,
        "trainer": trainer,
    },
    probes=_PROBES,
    alternatives={"Nesterov": (optimizer.NesterovCorrected,)},
)
