"""The book's ``common.trainer``: mini-batch training with an accuracy check every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from . import optimizer as rules
from ._promote import Array

__all__ = ["Trainer"]

_OPTIMIZERS = {
    "sgd": rules.SGD,
    "momentum": rules.Momentum,
    "nesterov": rules.Nesterov,
    "adagrad": rules.AdaGrad,
    "rmsprop": rules.RMSprop,
    "adam": rules.Adam,
}


class Trainer:
    """Trains a network that has gradient, loss, accuracy and params.

    Parameters
    ----------
    network : object
    x_train, t_train, x_test, t_test : arrays
    epochs, mini_batch_size : int
        Batches are drawn with replacement from NumPy's global generator.
    optimizer : str
        "SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop" or "Adam", in any case.
    optimizer_param : dict
        Arguments of the optimizer.
    evaluate_sample_num_per_epoch : int, optional
        How many of the first samples the accuracy is measured on each epoch; all of them if None.
    verbose : bool
        Whether to print the loss of every step and the accuracy of every epoch.
    """

    def __init__(
        self,
        network: Any,
        x_train: Array,
        t_train: Array,
        x_test: Array,
        t_test: Array,
        epochs: int = 20,
        mini_batch_size: int = 100,
        optimizer: str = "SGD",
        optimizer_param: Mapping[str, Any] = MappingProxyType({"lr": 0.01}),
        evaluate_sample_num_per_epoch: int | None = None,
        verbose: bool = True,
    ) -> None:
        self.network = network
        self.verbose = verbose
        self.x_train = x_train
        self.t_train = t_train
        self.x_test = x_test
        self.t_test = t_test
        self.epochs = epochs
        self.batch_size = mini_batch_size
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.optimizer: Any = _OPTIMIZERS[optimizer.lower()](**optimizer_param)
        self.train_size = x_train.shape[0]
        self.iter_per_epoch = max(self.train_size / mini_batch_size, 1)
        self.max_iter = int(epochs * self.iter_per_epoch)
        self.current_iter = 0
        self.current_epoch = 0
        self.train_loss_list: list[Any] = []
        self.train_acc_list: list[Any] = []
        self.test_acc_list: list[Any] = []

    def train_step(self) -> None:
        """Train on one random batch; at the start of an epoch measure the accuracy too."""
        chosen = np.random.choice(self.train_size, self.batch_size)
        x, t = self.x_train[chosen], self.t_train[chosen]
        self.optimizer.update(self.network.params, self.network.gradient(x, t))
        loss = self.network.loss(x, t)
        self.train_loss_list.append(loss)
        self._say(f"train loss:{loss!s}")
        if self.current_iter % self.iter_per_epoch == 0:
            self._finish_epoch()
        self.current_iter += 1

    def _finish_epoch(self) -> None:
        self.current_epoch += 1
        samples = slice(self.evaluate_sample_num_per_epoch)
        train = self.network.accuracy(self.x_train[samples], self.t_train[samples])
        test = self.network.accuracy(self.x_test[samples], self.t_test[samples])
        self.train_acc_list.append(train)
        self.test_acc_list.append(test)
        self._say(f"=== epoch:{self.current_epoch}, train acc:{train!s}, test acc:{test!s} ===")

    def train(self) -> None:
        """Train for all epochs and say the final accuracy on the test set."""
        for _ in range(self.max_iter):
            self.train_step()
        accuracy = self.network.accuracy(self.x_test, self.t_test)
        self._say("=============== Final Test Accuracy ===============")
        self._say(f"test acc:{accuracy!s}")

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line)
