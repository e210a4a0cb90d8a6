"""Optimizers over the parameters of a model, each step one pass over all of them.

They change ``parameter.data`` in place and pass over parameters which are frozen or have no
gradient yet. `lr` and the other settings are plain attributes and may be changed at any time. A
setting of the wrong kind or out of range raises a TypeError or ValueError that names it.
The formulas are those of PyTorch where papers and libraries differ.
"""

from nnfast.optim.adam import Adam, AdamW
from nnfast.optim.adaptive import Adadelta, AdaGrad, RMSprop
from nnfast.optim.base import Optimizer
from nnfast.optim.clip import clip_grad_norm_
from nnfast.optim.sgd import SGD

__all__ = [
    "SGD",
    "AdaGrad",
    "Adadelta",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
]
