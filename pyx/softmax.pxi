# softmax.pxi: softmax and its logarithm over the last axis; x, y, dx, dy of any shape.

ctypedef int (*rows_kernel)(nnf_dtype, int64_t, int64_t, const void *, void *) noexcept nogil
ctypedef int (*rows_backward_kernel)(nnf_dtype, int64_t, int64_t, const void *, const void *,
                                     void *) noexcept nogil


cdef int64_t last_axis(cnp.ndarray x, object axis) except -1:
    """The length of the last axis, which `axis` must name."""
    cdef int ndim = cnp.PyArray_NDIM(x)
    if ndim == 0:
        raise ValueError(f"axis {axis!r} does not exist in an array of no axes")
    cdef int64_t index = check_int(axis, "axis", -ndim, ndim - 1)
    if index != -1 and index != ndim - 1:
        raise ValueError(f"axis must be the last one, -1 or {ndim - 1}, got {index}")
    return cnp.PyArray_DIM(x, ndim - 1)


cdef cnp.ndarray softmax_rows(rows_kernel kernel, object x, object axis):
    check_array(x, "x")
    cdef int64_t cols = last_axis(x, axis)
    cdef cnp.ndarray y = new_like(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    if n == 0:
        return y
    cdef PyThreadState *gil = release_gil(2.0 * n)
    cdef int status = kernel(dtype_of(y), n // cols, cols, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


cdef cnp.ndarray softmax_rows_backward(rows_backward_kernel kernel, object dy, object y,
                                       object axis):
    check_array(dy, "dy")
    check_like(y, "y", dy, "dy")
    cdef int64_t cols = last_axis(dy, axis)
    cdef cnp.ndarray dx = new_like(dy)
    cdef int64_t n = cnp.PyArray_SIZE(dx)
    if n == 0:
        return dx
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = kernel(dtype_of(dx), n // cols, cols, data_of(dy), data_of(y), data_of(dx))
    retake_gil(gil, status)
    return dx


def softmax(x, axis=-1):
    """Return exp(x) / sum(exp(x)) over the last axis."""
    return softmax_rows(nnf_softmax, x, axis)


def softmax_backward(dy, y, axis=-1):
    """Return y * (dy - sum(dy * y)) over the last axis."""
    return softmax_rows_backward(nnf_softmax_backward, dy, y, axis)


def log_softmax(x, axis=-1):
    """Return x - log(sum(exp(x))) over the last axis."""
    return softmax_rows(nnf_log_softmax, x, axis)


def log_softmax_backward(dy, y, axis=-1):
    """Return dy - exp(y) * sum(dy) over the last axis."""
    return softmax_rows_backward(nnf_log_softmax_backward, dy, y, axis)
