"""Networks known by name, composed of `nnfast.layers` and nothing else."""

from nnfast.models.resnet import BasicBlock, resnet18

__all__ = ["BasicBlock", "resnet18"]
