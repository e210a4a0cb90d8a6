"""Update rules in plain NumPy."""

import numpy as np


class _Rule:
    def __init__(self, lr, **hyper):
        self.lr = lr
        self.__dict__.update(hyper)

    def zeros(self, params):
        return {key: np.zeros_like(p) for key, p in params.items()}


class SGD(_Rule):
    def __init__(self, lr=0.01):
        super().__init__(lr)

    def update(self, params, grads):
        for key in params:
            params[key] -= self.lr * grads[key]


class Momentum(_Rule):
    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr, momentum=momentum, v=None)

    def update(self, params, grads):
        if self.v is None:
            self.v = self.zeros(params)
        for key in params:
            self.v[key] = self.momentum * self.v[key] - self.lr * grads[key]
            params[key] += self.v[key]


class Nesterov(_Rule):
    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr, momentum=momentum, v=None)

    def update(self, params, grads):
        if self.v is None:
            self.v = self.zeros(params)
        for key in params:
            self.v[key] *= self.momentum
            self.v[key] -= self.lr * grads[key]
            params[key] += self.momentum**2 * self.v[key]
            params[key] -= (1 + self.momentum) * self.lr * grads[key]


class AdaGrad(_Rule):
    def __init__(self, lr=0.01):
        super().__init__(lr, h=None)

    def update(self, params, grads):
        if self.h is None:
            self.h = self.zeros(params)
        for key in params:
            self.h[key] += grads[key] * grads[key]
            params[key] -= self.lr * grads[key] / (np.sqrt(self.h[key]) + 1e-7)


class RMSprop(_Rule):
    def __init__(self, lr=0.01, decay_rate=0.99):
        super().__init__(lr, decay_rate=decay_rate, h=None)

    def update(self, params, grads):
        if self.h is None:
            self.h = self.zeros(params)
        for key in params:
            self.h[key] *= self.decay_rate
            self.h[key] += (1 - self.decay_rate) * grads[key] * grads[key]
            params[key] -= self.lr * grads[key] / (np.sqrt(self.h[key]) + 1e-7)


class Adam(_Rule):
    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        super().__init__(lr, beta1=beta1, beta2=beta2, iter=0, m=None, v=None)

    def update(self, params, grads):
        if self.m is None:
            self.m, self.v = self.zeros(params), self.zeros(params)
        self.iter += 1
        rate = self.lr * np.sqrt(1.0 - self.beta2**self.iter) / (1.0 - self.beta1**self.iter)
        for key in params:
            self.m[key] += (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] += (1 - self.beta2) * (grads[key] ** 2 - self.v[key])
            params[key] -= rate * self.m[key] / (np.sqrt(self.v[key]) + 1e-7)
