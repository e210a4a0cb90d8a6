"""The book's ``common.multi_layer_net_extend``: MultiLayerNet with batch norm and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._promote import Array
from .layers import BatchNormalization, Dropout
from .multi_layer_net import MultiLayerNet

__all__ = ["MultiLayerNetExtend"]


class MultiLayerNetExtend(MultiLayerNet):
    """A fully connected network with weight decay, dropout and batch normalisation.

    Parameters are those of MultiLayerNet and

    use_dropout : bool
        Whether a Dropout follows every activation.
    dropout_ration : float
        Share of elements it drops (spelt as in the book).
    use_batchnorm : bool
        Whether a BatchNormalization comes before every activation.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size_list: list[int],
        output_size: int,
        activation: str = "relu",
        weight_init_std: Any = "relu",
        weight_decay_lambda: float = 0,
        use_dropout: bool = False,
        dropout_ration: float = 0.5,
        use_batchnorm: bool = False,
    ) -> None:
        self.use_dropout = use_dropout
        self.use_batchnorm = use_batchnorm
        self._dropout_ratio = dropout_ration
        super().__init__(
            input_size,
            hidden_size_list,
            output_size,
            activation,
            weight_init_std,
            weight_decay_lambda,
        )

    def _add_activation(self, i: int, activation: type) -> None:
        if self.use_batchnorm:
            gamma = self.params[f"gamma{i}"] = np.ones(self.hidden_size_list[i - 1])
            beta = self.params[f"beta{i}"] = np.zeros(self.hidden_size_list[i - 1])
            self.layers[f"BatchNorm{i}"] = BatchNormalization(gamma, beta)
        super()._add_activation(i, activation)
        if self.use_dropout:
            self.layers[f"Dropout{i}"] = Dropout(self._dropout_ratio)

    def predict(self, x: Array, train_flg: bool = False) -> Array:
        """Give the scores (N, classes), with dropout and the batch's own statistics in training."""
        for name, layer in self.layers.items():
            if name.startswith(("BatchNorm", "Dropout")):
                x = layer.forward(x, train_flg)
            else:
                x = layer.forward(x)
        return x

    def loss(self, x: Array, t: Array, train_flg: bool = False) -> Any:
        """Give the mean loss on a batch, penalty included."""
        return self.last_layer.forward(self.predict(x, train_flg), t) + self._penalty()

    def _training_loss(self, x: Array, t: Array) -> Any:
        return self.loss(x, t, train_flg=True)

    def _collect_grads(self) -> dict[str, Any]:
        grads = super()._collect_grads()
        if self.use_batchnorm:
            for i in range(1, self.hidden_layer_num + 1):
                norm = self.layers[f"BatchNorm{i}"]
                grads[f"gamma{i}"], grads[f"beta{i}"] = norm.dgamma, norm.dbeta
        return grads
