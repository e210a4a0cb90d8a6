# layernorm.pxi: layer normalisation over the last axis; x, y, dx, dy of any shape.


cdef int64_t check_rows(object x) except -1:
    """The length of the last axis of x, at least 1."""
    check_array(x, "x")
    cdef int ndim = cnp.PyArray_NDIM(<cnp.ndarray>x)
    if ndim == 0:
        raise ValueError("x must have at least 1 axis, got an array of none")
    cdef int64_t cols = cnp.PyArray_DIM(<cnp.ndarray>x, ndim - 1)
    if cols == 0:
        raise ValueError(f"x must have at least one value in its last axis, got shape {x.shape}")
    return cols


cdef cnp.ndarray check_of_rows(object value, str name, cnp.ndarray x):
    """`value` as an array with one element for each row of x."""
    if value is None:
        raise TypeError(f"{name} must be the array that layer_norm returned, got None")
    check_array(value, name)
    check_same_dtype(value, name, x, "x")
    cdef int axes = cnp.PyArray_NDIM(x) - 1
    cdef tuple shape = (<object>x).shape[:axes]
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
    return <cnp.ndarray>value


cdef inline cnp.ndarray new_of_rows(cnp.ndarray x):
    return new_array(cnp.PyArray_NDIM(x) - 1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    """Normalise each row of the last axis; return (y, mean, rstd)."""
    cdef int64_t cols = check_rows(x)
    cdef double epsilon = check_float(eps, "eps", 0, DBL_MAX)
    cdef cnp.ndarray w = check_vector(weight, "weight", cols, x, "x")
    cdef cnp.ndarray b = check_vector(bias, "bias", cols, x, "x")
    cdef cnp.ndarray y = new_like(x)
    cdef cnp.ndarray mean = new_of_rows(x)
    cdef cnp.ndarray rstd = new_of_rows(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(0.3 * n)
    cdef int status = nnf_layer_norm(dtype_of(y), n // cols, cols, epsilon, data_of(x), data_of(w),
                                     data_of(b), data_of(y), data_of(mean), data_of(rstd))
    retake_gil(gil, status)
    return y, mean, rstd


def layer_norm_backward(dy, x, mean, rstd, weight=None):
    """Return the gradients (dx, dweight, dbias) of layer_norm, through its statistics."""
    cdef int64_t cols = check_rows(x)
    check_like(dy, "dy", x, "x")
    cdef cnp.ndarray m = check_of_rows(mean, "mean", x)
    cdef cnp.ndarray r = check_of_rows(rstd, "rstd", x)
    cdef cnp.ndarray w = check_vector(weight, "weight", cols, x, "x")
    cdef cnp.ndarray dx = new_like(x)
    cdef cnp.ndarray dweight = new_1d(cols, x)
    cdef cnp.ndarray dbias = new_1d(cols, x)
    cdef int64_t n = cnp.PyArray_SIZE(dx)
    cdef PyThreadState *gil = release_gil(0.5 * n)
    cdef int status = nnf_layer_norm_backward(dtype_of(dx), n // cols, cols, data_of(dy),
                                              data_of(x), data_of(m), data_of(r), data_of(w),
                                              data_of(dx), data_of(dweight), data_of(dbias))
    retake_gil(gil, status)
    return dx, dweight, dbias
