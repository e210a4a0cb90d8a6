"""Real data to learn from: a sample of MNIST inside the package, and MNIST in full."""

from nnfast.datasets.digits import load_digits_sample
from nnfast.datasets.download import DownloadError
from nnfast.datasets.idx import read_idx
from nnfast.datasets.mnist import load_mnist

__all__ = ["DownloadError", "load_digits_sample", "load_mnist", "read_idx"]
