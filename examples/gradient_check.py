"""Write a layer of your own and hold it against numbers.

`verify` compares the backward pass with finite differences, and the layer with one of ours. Run it
with ``python examples/gradient_check.py``: the first layer is right, the second has a bug.
"""

import numpy as np

import nnfast as nn
from nnfast.testing import numerical_gradient, verify


class Affine:
    """A fully connected layer in plain NumPy: y = x W + b."""

    def __init__(self, W: np.ndarray, b: np.ndarray) -> None:
        self.W, self.b = W, b
        self.dW, self.db = np.zeros_like(W), np.zeros_like(b)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """X (N, in) to y (N, out)."""
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """Gradient of y to that of x; those of W and b are kept in dW and db."""
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


class WrongAffine(Affine):
    """The same with a common mistake: the bias gradient is averaged instead of summed."""

    def backward(self, dout: np.ndarray) -> np.ndarray:
        """As in Affine, almost."""
        dx = super().backward(dout)
        self.db = dout.mean(axis=0)
        return dx


def main() -> None:
    """Check a function by hand, a right layer, a wrong layer, and a whole network."""
    x = np.random.default_rng(0).standard_normal((5, 4))
    W = np.random.default_rng(1).standard_normal((4, 3))
    b = np.zeros(3)

    print("The gradient of sum(x**2) is 2 x. At 3 we find", numerical_gradient(np.square, 3.0))

    linear = nn.Linear(4, 3, dtype=np.float64)
    linear.load_state_dict({"weight": W.T, "bias": b})  # our layout is (out, in)
    print("\nA right layer, also held against nn.Linear:")
    print(verify(Affine(W, b), x, ours=linear))

    print("\nA wrong one:")
    try:
        verify(WrongAffine(W, b), x)
    except AssertionError as report:
        print(report)

    print("\nA whole network:")
    print(verify(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), rng=0), x))


if __name__ == "__main__":
    main()
