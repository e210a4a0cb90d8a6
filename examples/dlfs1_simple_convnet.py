"""The convolutional network of the book's chapter 7, on nnfast's kernels by changed imports alone.

conv - relu - pool - affine - relu - affine - softmax on the digits that nnfast brings along. Apart
from the imports this is written as a reader of "Deep Learning from Scratch" would write it on the
book's NumPy layers:

    python examples/dlfs1_simple_convnet.py [EPOCHS]
"""

import sys
import time

import numpy as np

from nnfast.compat.dlfs1.layers import Affine, Convolution, Pooling, Relu, SoftmaxWithLoss
from nnfast.compat.dlfs1.optimizer import Adam
from nnfast.datasets import load_digits_sample


class SimpleConvNet:
    """30 filters of 5 x 5 and a hidden layer of 100, for images of 28 x 28 and 10 classes."""

    def __init__(self, weight_init_std=0.01):
        self.params = {
            "W1": weight_init_std * np.random.randn(30, 1, 5, 5),
            "b1": np.zeros(30),
            "W2": weight_init_std * np.random.randn(30 * 12 * 12, 100),
            "b2": np.zeros(100),
            "W3": weight_init_std * np.random.randn(100, 10),
            "b3": np.zeros(10),
        }
        p = self.params
        self.layers = {
            "Conv1": Convolution(p["W1"], p["b1"], stride=1, pad=0),
            "Relu1": Relu(),
            "Pool1": Pooling(pool_h=2, pool_w=2, stride=2),
            "Affine1": Affine(p["W2"], p["b2"]),
            "Relu2": Relu(),
            "Affine2": Affine(p["W3"], p["b3"]),
        }
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x):
        """Give the scores of each image."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def accuracy(self, x, t, batch_size=100):
        """Give the share of images that are recognised."""
        hits = 0
        for i in range(0, len(x), batch_size):
            y = self.predict(x[i : i + batch_size])
            hits += np.sum(np.argmax(y, axis=1) == t[i : i + batch_size])
        return hits / len(x)

    def gradient(self, x, t):
        """Give the loss and the gradients of all parameters."""
        loss = self.last_layer.forward(self.predict(x), t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grads = {}
        for i, name in enumerate(("Conv1", "Affine1", "Affine2"), start=1):
            grads[f"W{i}"], grads[f"b{i}"] = self.layers[name].dW, self.layers[name].db
        return loss, grads


def main(epochs=10, batch_size=100):
    """Train, and print the accuracy after every epoch."""
    np.random.seed(0)
    (x_train, t_train), (x_test, t_test) = load_digits_sample()
    network, optimizer = SimpleConvNet(), Adam(lr=0.001)
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        order = np.random.permutation(len(x_train))
        for i in range(0, len(order), batch_size):
            batch = order[i : i + batch_size]
            loss, grads = network.gradient(x_train[batch], t_train[batch])
            optimizer.update(network.params, grads)
        seconds = time.perf_counter() - start
        accuracy = network.accuracy(x_test, t_test)
        print(f"epoch {epoch}: loss {loss:.4f}, test accuracy {accuracy:.1%}, {seconds:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
