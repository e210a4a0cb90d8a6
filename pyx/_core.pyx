# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""The binding of csrc: each function checks its arguments, takes pointers, calls the kernel, returns.

Arrays must be C-contiguous float32 or float64, all of one dtype; nnfast.functional sees to that.
"""

cimport numpy as cnp
from libc.float cimport DBL_MAX
from libc.math cimport sqrt
from libc.stdint cimport INT32_MAX, INT64_MAX, INT64_MIN
from csrc cimport *

cnp.import_array()

include "array.pxi"
include "geometry.pxi"
include "runtime.pxi"
include "activation.pxi"
include "elementwise.pxi"
include "softmax.pxi"
include "loss.pxi"
include "dropout.pxi"
include "optim.pxi"
include "im2col.pxi"
include "linear.pxi"
include "conv.pxi"
include "conv_transpose.pxi"
include "pool.pxi"
include "batchnorm.pxi"
include "layernorm.pxi"
include "embedding.pxi"
include "reduce.pxi"
include "recurrent.pxi"
include "attention.pxi"
