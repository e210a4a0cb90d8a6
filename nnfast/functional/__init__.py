"""The public functions on arrays: arrays in, arrays out.

Inputs may be any arrays or array-likes, of any strides. The work dtype is the common dtype of the
floating-point arguments, float32 or float64, and that of the result; float16, bool and integers of
8 and 16 bits count as float32. Wider integers, complex numbers and objects are a TypeError: which
precision they want is the caller's to say. What is contiguous and of the work dtype is not copied.
Inputs are never changed, except where the name ends in ``_update``.

The work is done by the backend in use, see `nnfast.use_backend`. Bad arguments raise TypeError or
ValueError that names the argument, what was given and what is needed.
"""

from .activation import (
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from .attention import (
    attention,
    attention_backward,
    self_attention,
    self_attention_backward,
)
from .conv import col2im, conv2d, conv2d_backward, im2col
from .conv_transpose import conv_transpose2d, conv_transpose2d_backward
from .dropout import dropout, dropout_backward
from .elementwise import add
from .embedding import embedding, embedding_backward, embedding_backward_rows
from .gelu import gelu, gelu_backward
from .gru import gru, gru_backward, gru_inference
from .layernorm import layer_norm, layer_norm_backward
from .linear import gemm, linear, linear_backward
from .loss import cross_entropy, cross_entropy_backward, mse_loss, mse_loss_backward
from .lstm import lstm, lstm_backward, lstm_inference
from .norm import batch_norm, batch_norm_backward, batch_norm_inference, batch_norm_update
from .optim import (
    adadelta_update,
    adagrad_update,
    adam_update,
    adamw_update,
    momentum_update,
    rmsprop_update,
    sgd_update,
)
from .pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from .reduce import reduce_max, reduce_mean, reduce_sum
from .rnn import rnn, rnn_backward
from .softmax import log_softmax, log_softmax_backward, softmax, softmax_backward

__all__ = [
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "adamw_update",
    "add",
    "attention",
    "attention_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_update",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout_backward",
    "embedding",
    "embedding_backward",
    "embedding_backward_rows",
    "gelu",
    "gelu_backward",
    "gemm",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "gru",
    "gru_backward",
    "gru_inference",
    "im2col",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "lstm",
    "lstm_backward",
    "lstm_inference",
    "max_pool2d",
    "max_pool2d_backward",
    "momentum_update",
    "mse_loss",
    "mse_loss_backward",
    "reduce_max",
    "reduce_mean",
    "reduce_sum",
    "relu",
    "relu_backward",
    "rmsprop_update",
    "rnn",
    "rnn_backward",
    "self_attention",
    "self_attention_backward",
    "sgd_update",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]
