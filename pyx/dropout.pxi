# dropout.pxi: dropout by a counter-based generator; x, y, dx, dy of any shape.

ctypedef int (*dropout_kernel)(nnf_dtype, int64_t, double, uint64_t, uint64_t, const void *,
                               void *) noexcept nogil


cdef uint64_t check_uint64(object value, str name) except? 0:
    """`value` as an integer in [0, 2**64)."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {describe(value)}")
    try:
        index = PyNumber_Index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {describe(value)}") from None
    if not 0 <= index < 1 << 64:
        raise ValueError(f"{name} must be an integer from 0 to 2**64 - 1, got {index}")
    return index


cdef cnp.ndarray drop(dropout_kernel kernel, object x, str name, object p, object seed,
                      object offset):
    check_array(x, name)
    cdef double rate = check_fraction(p, "p")
    cdef uint64_t key = check_uint64(seed, "seed")
    cdef uint64_t start = check_uint64(offset, "offset")
    cdef cnp.ndarray y = new_like(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = kernel(dtype_of(y), n, rate, key, start, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


def dropout(x, p=0.5, seed=0, offset=0):
    """Return x with elements zeroed with probability p and the others scaled by 1 / (1 - p)."""
    return drop(nnf_dropout, x, "x", p, seed, offset)


def dropout_backward(dy, p=0.5, seed=0, offset=0):
    """Return dy under the mask and scale of dropout."""
    return drop(nnf_dropout_backward, dy, "dy", p, seed, offset)
