"""Train a convolutional network with batch norm and dropout on 4,000 handwritten digits.

About 97 % of new digits come out right. Run it with ``python examples/train_cnn.py``.
"""

import numpy as np

import nnfast as nn
from nnfast.datasets import load_digits_sample


def build(rng: int = 0) -> nn.Sequential:
    """Return the network; the comments say what shape leaves each part for N images."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),  # batch norm has a bias of its own
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 16, 14, 14)
        nn.Conv2d(16, 32, 3, padding=1, activation="relu"),  # bias and ReLU in one pass
        nn.MaxPool2d(2),  # (N, 32, 7, 7)
        nn.Flatten(),  # (N, 1568)
        nn.Linear(32 * 7 * 7, 64, activation="relu"),
        nn.Dropout(0.5),
        nn.Linear(64, 10, init="xavier_uniform"),  # (N, 10), a score for each digit
        rng=rng,
    )


def main(epochs: int = 5, batch: int = 50) -> float:
    """Train, print the accuracy after each epoch, save and reload the weights, return it."""
    (x, t), (x_test, t_test) = load_digits_sample()  # images: (N, 1, 28, 28)
    model = build()
    print(model)
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = nn.optim.AdamW(model.parameters(), lr=2e-3)

    rng = np.random.default_rng(0)
    for epoch in range(1, epochs + 1):
        model.train()  # dropout on, batch norm by the batch
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            loss(model(x[chosen]), t[chosen])
            model.backward(loss.backward())
            optimizer.step()
        optimizer.lr *= 0.8
        print(f"epoch {epoch:2}  test accuracy {evaluate(model, x_test, t_test):.1%}")

    # What was learned is a dict of arrays: np.savez would do to keep it.
    copy = build(rng=1)
    copy.load_state_dict(model.state_dict())
    return evaluate(copy, x_test, t_test)


def evaluate(model: nn.Sequential, x: np.ndarray, t: np.ndarray) -> float:
    """Return the share of right answers."""
    model.eval()  # dropout off, batch norm by its running statistics
    return float(np.mean(model(x).argmax(axis=1) == t))


if __name__ == "__main__":
    main()
