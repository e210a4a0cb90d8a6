# linear.pxi: matrix products and linear layers.

cdef tuple _ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh")
cdef tuple _RECTIFIERS = _ACTIVATIONS[:2]  # for what can do no other


cdef int check_activation(object activation, tuple known=_ACTIVATIONS) except -1:
    """The nnf_activation of one of the names `known`."""
    if activation is not None and not isinstance(activation, str):
        raise TypeError(f"activation must be a string or None, got {describe(activation)}")
    if activation not in known:
        raise ValueError(f"activation must be one of {known}, got {activation!r}")
    return <int>_ACTIVATIONS.index(activation)


def gemm(a, b, transpose_a=False, transpose_b=False, bias=None, activation=None):
    """op(a) (M, K) times op(b) (K, N), plus bias (N,), activated."""
    check_array(a, "a", 2)
    check_array(b, "b", 2)
    check_same_dtype(b, "b", a, "a")
    cdef int act = check_activation(activation)
    cdef bint ta = transpose_a, tb = transpose_b
    cdef const intp *sa = cnp.PyArray_DIMS(a)
    cdef const intp *sb = cnp.PyArray_DIMS(b)
    cdef int64_t m = sa[ta], k = sa[not ta], n = sb[not tb]
    if sb[tb] != k:
        raise ValueError(f"b must have {k} {'columns' if tb else 'rows'} to match a, "
                         f"got shapes {a.shape} and {b.shape}")
    check_vector(bias, "bias", n, a, "a")
    cdef cnp.ndarray y = new_2d(m, n, a)
    cdef PyThreadState *gil = release_gil(0.03 * m * n * k)
    cdef int status = nnf_gemm(dtype_of(y), ta, tb, m, n, k, data_of(a), data_of(b), data_of(bias),
                               act, data_of(y))
    retake_gil(gil, status)
    return y


cdef int check_linear(object x, object weight, int64_t *n, int64_t *size, int64_t *out) except -1:
    """Raise unless x (..., in) and weight (out, in) match; x as (n, size)."""
    check_array(x, "x")
    check_array(weight, "weight", 2)
    check_same_dtype(weight, "weight", x, "x")
    cdef int i, last = cnp.PyArray_NDIM(x) - 1
    if last < 0:
        raise ValueError("x must have at least 1 axis, got shape ()")
    size[0] = cnp.PyArray_DIM(x, last)
    if cnp.PyArray_DIM(weight, 1) != size[0]:
        raise ValueError(f"weight must have shape (out, {size[0]}) to match x {x.shape}, "
                         f"got {weight.shape}")
    out[0] = cnp.PyArray_DIM(weight, 0)
    n[0] = 1
    for i in range(last):
        n[0] *= cnp.PyArray_DIM(x, i)
    return 0


cdef int shape_of_linear(cnp.ndarray x, int64_t out, intp *shape) noexcept:
    """The shape (..., out) for x (..., in); returns the number of axes."""
    cdef int i, axes = cnp.PyArray_NDIM(x)
    for i in range(axes - 1):
        shape[i] = cnp.PyArray_DIM(x, i)
    shape[axes - 1] = out
    return axes


def linear(x, weight, bias=None, activation=None):
    """x (..., in) times weight (out, in) transposed, plus bias (out,), activated."""
    cdef int64_t n, size, out
    cdef intp shape[64]
    check_linear(x, weight, &n, &size, &out)
    cdef int act = check_activation(activation)
    check_vector(bias, "bias", out, x, "x")
    cdef cnp.ndarray y = new_array(shape_of_linear(x, out, shape), shape, cnp.PyArray_TYPE(x))
    cdef PyThreadState *gil = release_gil(0.03 * n * size * out)
    cdef int status = nnf_linear(dtype_of(y), n, size, out, data_of(x), data_of(weight),
                                 data_of(bias), act, data_of(y))
    retake_gil(gil, status)
    return y


def linear_backward(dy, x, weight, y=None, activation=None, needs_dx=True):
    """Gradients (dx or None, dweight, dbias) of linear."""
    cdef int64_t n, size, out
    cdef intp shape[64]
    check_linear(x, weight, &n, &size, &out)
    cdef int i, axes = shape_of_linear(x, out, shape)
    cdef int act = check_activation(activation)
    check_array(dy, "dy")
    check_same_dtype(dy, "dy", x, "x")
    cdef bint fits = cnp.PyArray_NDIM(dy) == axes
    for i in range(axes):
        fits = fits and cnp.PyArray_DIM(dy, i) == shape[i]
    if not fits:
        raise ValueError(f"dy must have shape {(*(<object>x).shape[:axes - 1], out)}, got {dy.shape}")
    if act != 0:
        if y is None:
            raise ValueError(f"y, the output, must be given with activation {activation!r}")
        check_like(y, "y", dy, "dy")
    cdef cnp.ndarray dx = new_like(x) if needs_dx else None
    cdef cnp.ndarray dweight = new_like(weight)
    cdef cnp.ndarray dbias = new_1d(out, x)
    cdef void *y_data = data_of(y) if act != 0 else NULL
    cdef PyThreadState *gil = release_gil(0.06 * n * size * out)
    cdef int status = nnf_linear_backward(dtype_of(dweight), n, size, out, data_of(dy), data_of(x),
                                          data_of(weight), y_data, act, data_of(dx),
                                          data_of(dweight), data_of(dbias))
    retake_gil(gil, status)
    return dx, dweight, dbias
