"""Layers: thin objects around `nnfast.functional` that hold parameters and what backward needs."""

from nnfast.layers.activation import GELU, LeakyReLU, ReLU, Sigmoid, Tanh
from nnfast.layers.attention import MultiheadAttention
from nnfast.layers.base import Layer
from nnfast.layers.conv import Conv2d
from nnfast.layers.conv_transpose import ConvTranspose2d
from nnfast.layers.dropout import Dropout
from nnfast.layers.embedding import Embedding
from nnfast.layers.flatten import Flatten
from nnfast.layers.gru import GRU
from nnfast.layers.layernorm import LayerNorm
from nnfast.layers.linear import Linear
from nnfast.layers.loss import CrossEntropyLoss, MSELoss
from nnfast.layers.lstm import LSTM
from nnfast.layers.norm import BatchNorm1d, BatchNorm2d
from nnfast.layers.parameter import Parameter
from nnfast.layers.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from nnfast.layers.rnn import RNN
from nnfast.layers.rowgradient import RowGradient
from nnfast.layers.sequential import Sequential
from nnfast.layers.softmax import LogSoftmax, Softmax
from nnfast.layers.transformer import TransformerEncoderLayer

__all__ = [
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "MultiheadAttention",
    "Parameter",
    "ReLU",
    "RowGradient",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TransformerEncoderLayer",
]
