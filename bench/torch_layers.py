"""The layers of `networks` in PyTorch: torch.nn, and the few that have another form there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import nn
from torch.nn import functional as F


class GlobalAvgPool2d(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


class LSTM(nn.Module):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        self.lstm = nn.LSTM(*args, **options)

    def forward(self, x: Any) -> Any:
        return self.lstm(x)[0]


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        around = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + around, inplace=True)


layers = SimpleNamespace(
    **{name: value for name, value in vars(nn).items() if not name.startswith("_")}
    | {"BasicBlock": BasicBlock, "GlobalAvgPool2d": GlobalAvgPool2d, "LSTM": LSTM}
)
