"""Train a two-layer network on 4,000 handwritten digits; about 94 % of new digits come out right.

Run it with ``python examples/train_mlp.py``.
"""

import numpy as np

import nnfast as nn
from nnfast.datasets import load_digits_sample


def main(epochs: int = 10, batch: int = 100) -> float:
    """Train, print the accuracy after each epoch, return the last one."""
    # x: float32 pixels from 0 to 1, one image of 28 * 28 in each row; t: the digits, 0 to 9.
    (x, t), (x_test, t_test) = load_digits_sample(flatten=True)

    # rng=0 decides the weights: the same seed gives the same network.
    model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10), rng=0)
    loss = nn.CrossEntropyLoss()  # includes the softmax, so the network ends in plain scores
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    rng = np.random.default_rng(0)
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        losses = []
        order = rng.permutation(len(x))  # another order in each epoch
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            losses.append(loss(model(x[chosen]), t[chosen]))  # forward
            model.backward(loss.backward())  # backward: fills parameter.grad
            optimizer.step()  # changes the weights
        accuracy = float(np.mean(model(x_test).argmax(axis=1) == t_test))
        print(f"epoch {epoch:2}  loss {np.mean(losses):.3f}  test accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
