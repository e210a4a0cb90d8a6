# activation.pxi: elementwise activations; x, y, dx, dy of any shape.


def relu(x):
    """Return 0 where x <= 0 else x."""
    check_array(x, "x")
    cdef cnp.ndarray y = new_like(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_relu(dtype_of(y), n, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


def relu_backward(dy, x):
    """Return 0 where x <= 0 else dy."""
    check_array(dy, "dy")
    check_like(x, "x", dy, "dy")
    cdef cnp.ndarray dx = new_like(dy)
    cdef int64_t n = cnp.PyArray_SIZE(dx)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_relu_backward(dtype_of(dx), n, data_of(dy), data_of(x), data_of(dx))
    retake_gil(gil, status)
    return dx
