# elementwise.pxi: arithmetic on arrays of one shape.


def add(a, b, activation=None):
    """Return a + b, activated."""
    check_array(a, "a")
    check_like(b, "b", a, "a")
    cdef int act = check_activation(activation)
    cdef cnp.ndarray y = new_like(a)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_add(dtype_of(y), n, data_of(a), data_of(b), act, data_of(y))
    retake_gil(gil, status)
    return y
