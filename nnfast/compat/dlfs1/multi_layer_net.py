"""The book's ``common.multi_layer_net``: a fully connected network of any depth."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import numpy as np

from ._promote import Array
from .gradient import numerical_gradient
from .layers import Affine, Relu, Sigmoid, SoftmaxWithLoss

__all__ = ["MultiLayerNet"]

_ACTIVATIONS = {"relu": Relu, "sigmoid": Sigmoid}
_VARIANCES = {"relu": 2.0, "he": 2.0, "sigmoid": 1.0, "xavier": 1.0}  # times 1 / inputs


class MultiLayerNet:
    """Affine layers with an activation between them, softmax and cross entropy at the end.

    Parameters
    ----------
    input_size, output_size : int
        Numbers of features and of classes, for MNIST 784 and 10.
    hidden_size_list : list of int
        Width of each hidden layer.
    activation : "relu" or "sigmoid"
    weight_init_std : float or str
        Standard deviation of the initial weights; "relu" or "he" for He's (2015), "sigmoid" or
        "xavier" for Glorot's (2010).
    weight_decay_lambda : float
        Strength of the L2 penalty on the weights.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size_list: list[int],
        output_size: int,
        activation: str = "relu",
        weight_init_std: Any = "relu",
        weight_decay_lambda: float = 0,
    ) -> None:
        self.input_size = input_size
        self.output_size = output_size
        self.hidden_size_list = hidden_size_list
        self.hidden_layer_num = len(hidden_size_list)
        self.weight_decay_lambda = weight_decay_lambda
        self.params: dict[str, Array] = {}
        self._init_weights(weight_init_std)

        self.layers: OrderedDict[str, Any] = OrderedDict()
        for i in range(1, self.hidden_layer_num + 1):
            self._add_affine(i)
            self._add_activation(i, _ACTIVATIONS[activation])
        self._add_affine(self.hidden_layer_num + 1)
        self.last_layer = SoftmaxWithLoss()

    def _init_weights(self, std: Any) -> None:
        """Draw the weights, layer after layer, from NumPy's global generator."""
        sizes = [self.input_size, *self.hidden_size_list, self.output_size]
        variance = _VARIANCES.get(str(std).lower())
        for i, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            scale = std if variance is None else np.sqrt(variance / inputs)
            weights = np.random.randn(inputs, outputs)
            self.params[f"W{i}"] = scale * weights
            self.params[f"b{i}"] = np.zeros(outputs)

    def _add_affine(self, i: int) -> None:
        self.layers[f"Affine{i}"] = Affine(self.params[f"W{i}"], self.params[f"b{i}"])

    def _add_activation(self, i: int, activation: type) -> None:
        self.layers[f"Activation_function{i}"] = activation()

    def predict(self, x: Array) -> Array:
        """Give the scores (N, classes)."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x: Array, t: Array) -> Any:
        """Give the mean loss on a batch, penalty included."""
        return self.last_layer.forward(self.predict(x), t) + self._penalty()

    def _penalty(self) -> Any:
        """Half the L2 penalty on the weights; 0 without weight decay."""
        if not self.weight_decay_lambda:
            return 0
        squares = [np.sum(W**2) for key, W in self.params.items() if key.startswith("W")]
        return sum(0.5 * self.weight_decay_lambda * s for s in squares)

    def accuracy(self, x: Array, t: Array) -> Any:
        """Give the share of samples whose highest score is at the true class."""
        labels = t if t.ndim == 1 else np.argmax(t, axis=1)
        return np.sum(np.argmax(self.predict(x), axis=1) == labels) / float(x.shape[0])

    def numerical_gradient(self, x: Array, t: Array) -> dict[str, Array]:
        """Give the gradients of all parameters by central differences (slow)."""
        return {
            key: numerical_gradient(lambda _: self._training_loss(x, t), p)
            for key, p in self.params.items()
        }

    def _training_loss(self, x: Array, t: Array) -> Any:
        return self.loss(x, t)

    def gradient(self, x: Array, t: Array) -> dict[str, Any]:
        """Give the gradients of all parameters by backpropagation, penalty included."""
        self._training_loss(x, t)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        return self._collect_grads()

    def _collect_grads(self) -> dict[str, Any]:
        grads: dict[str, Any] = {}
        for i in range(1, self.hidden_layer_num + 2):
            affine = self.layers[f"Affine{i}"]
            decay = self.weight_decay_lambda
            grads[f"W{i}"] = affine.dW + decay * affine.W if decay else affine.dW
            grads[f"b{i}"] = affine.db
        return grads
