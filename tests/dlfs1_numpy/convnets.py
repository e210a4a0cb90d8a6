"""Convolutional networks as users write them, built from whatever layers module is given."""

import numpy as np


class SimpleConvNet:
    """conv - relu - pool - affine - relu - affine - softmax with loss."""

    def __init__(self, layers, input_dim=(1, 28, 28), filters=30, size=5, hidden=100, std=0.01):
        channels, side, _ = input_dim
        pooled = (side - size + 1) // 2
        self.params = {
            "W1": std * np.random.randn(filters, channels, size, size),
            "b1": np.zeros(filters),
            "W2": std * np.random.randn(filters * pooled * pooled, hidden),
            "b2": np.zeros(hidden),
            "W3": std * np.random.randn(hidden, 10),
            "b3": np.zeros(10),
        }
        p = self.params
        self.layers = [
            layers.Convolution(p["W1"], p["b1"], 1, 0),
            layers.Relu(),
            layers.Pooling(pool_h=2, pool_w=2, stride=2),
            layers.Affine(p["W2"], p["b2"]),
            layers.Relu(),
            layers.Affine(p["W3"], p["b3"]),
        ]
        self.last_layer = layers.SoftmaxWithLoss()
        self.trained = (0, 3, 5)

    def predict(self, x, train_flg=False):
        for layer in self.layers:
            x = (
                layer.forward(x, train_flg)
                if "Dropout" in type(layer).__name__
                else layer.forward(x)
            )
        return x

    def loss(self, x, t):
        return self.last_layer.forward(self.predict(x, train_flg=True), t)

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last_layer.backward(1)
        for layer in self.layers[::-1]:
            dout = layer.backward(dout)
        grads = {}
        for i, index in enumerate(self.trained, start=1):
            grads[f"W{i}"], grads[f"b{i}"] = self.layers[index].dW, self.layers[index].db
        return grads


class DeepConvNet(SimpleConvNet):
    """Two (conv - relu - conv - relu - pool) stages, affine - relu - dropout - affine - dropout."""

    def __init__(self, layers, input_dim=(1, 12, 12), filters=(4, 4, 6, 6), hidden=16):
        channels, side, _ = input_dim
        self.params, self.layers, self.trained = {}, [], ()
        for i, (fn, pad) in enumerate(zip(filters, (1, 1, 1, 2), strict=True), start=1):
            self._add(i, layers.Convolution, (fn, channels, 3, 3), 9 * channels, 1, pad)
            self.layers.append(layers.Relu())
            channels, side = fn, side + 2 * pad - 2
            if i % 2 == 0:
                self.layers.append(layers.Pooling(pool_h=2, pool_w=2, stride=2))
                side //= 2
        flat = channels * side * side
        self._add(5, layers.Affine, (flat, hidden), flat)
        self.layers += [layers.Relu(), layers.Dropout(0.5)]
        self._add(6, layers.Affine, (hidden, 10), hidden)
        self.layers.append(layers.Dropout(0.5))
        self.last_layer = layers.SoftmaxWithLoss()

    def _add(self, i, layer, shape, fan_in, *args):
        self.params[f"W{i}"] = np.sqrt(2.0 / fan_in) * np.random.randn(*shape)
        self.params[f"b{i}"] = np.zeros(shape[0] if len(shape) == 4 else shape[1])
        self.trained += (len(self.layers),)
        self.layers.append(layer(self.params[f"W{i}"], self.params[f"b{i}"], *args))
