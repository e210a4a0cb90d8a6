# batchnorm.pxi: batch normalisation, per channel of (n, c, h, w) or per feature of (n, c).


cdef int check_batch(object x, bint needs_values, int64_t *n, int64_t *c, int64_t *s) except -1:
    """x as (n, c, s)."""
    cdef int axes
    check_array(x, "x")
    axes = cnp.PyArray_NDIM(<cnp.ndarray>x)
    if axes != 2 and axes != 4:
        raise ValueError(f"x must have 2 or 4 axes, got {describe(x)}")
    cdef const intp *shape = cnp.PyArray_DIMS(<cnp.ndarray>x)
    n[0] = shape[0]
    c[0] = shape[1]
    s[0] = shape[2] * shape[3] if axes == 4 else 1
    if needs_values and n[0] * s[0] == 0:
        raise ValueError(f"x must have at least one value per channel, got shape {x.shape}")
    return 0


cdef cnp.ndarray check_channels(object value, str name, cnp.ndarray x):
    """`value` as an array with one element for each channel of x."""
    if value is None:
        raise TypeError(f"{name} must be an array with one value per channel, got None")
    return check_vector(value, name, cnp.PyArray_DIM(x, 1), x, "x")


def batch_norm(x, weight=None, bias=None, eps=1e-5, activation=None):
    """Normalise x with the statistics of this batch, activated; return (y, mean, var)."""
    cdef int64_t n, c, s
    check_batch(x, True, &n, &c, &s)
    cdef double epsilon = check_float(eps, "eps", 0, DBL_MAX)
    cdef int act = check_activation(activation, _RECTIFIERS)
    cdef cnp.ndarray w = check_vector(weight, "weight", c, x, "x")
    cdef cnp.ndarray b = check_vector(bias, "bias", c, x, "x")
    cdef cnp.ndarray y = new_like(x)
    cdef cnp.ndarray mean = new_1d(c, x)
    cdef cnp.ndarray var = new_1d(c, x)
    cdef PyThreadState *gil = release_gil(0.3 * <double>cnp.PyArray_SIZE(y))
    cdef int status = nnf_batch_norm(dtype_of(y), n, c, s, epsilon, data_of(x), data_of(w),
                                     data_of(b), act, data_of(y), data_of(mean), data_of(var))
    retake_gil(gil, status)
    return y, mean, var


def batch_norm_inference(x, mean, var, weight=None, bias=None, eps=1e-5, activation=None):
    """Normalise x with given statistics, activated."""
    cdef int64_t n, c, s
    check_batch(x, False, &n, &c, &s)
    cdef double epsilon = check_float(eps, "eps", 0, DBL_MAX)
    cdef int act = check_activation(activation, _RECTIFIERS)
    cdef cnp.ndarray m = check_channels(mean, "mean", x)
    cdef cnp.ndarray v = check_channels(var, "var", x)
    cdef cnp.ndarray w = check_vector(weight, "weight", c, x, "x")
    cdef cnp.ndarray b = check_vector(bias, "bias", c, x, "x")
    cdef cnp.ndarray y = new_like(x)
    cdef PyThreadState *gil = release_gil(0.2 * <double>cnp.PyArray_SIZE(y))
    cdef int status = nnf_batch_norm_inference(dtype_of(y), n, c, s, epsilon, data_of(x),
                                               data_of(m), data_of(v), data_of(w), data_of(b),
                                               act, data_of(y))
    retake_gil(gil, status)
    return y


def batch_norm_backward(dy, x, mean, var, weight=None, eps=1e-5, bias=None, activation=None,
                        needs_dx=True):
    """Return the gradients (dx or None, dweight, dbias) of batch_norm, through its statistics."""
    cdef int64_t n, c, s
    check_batch(x, True, &n, &c, &s)
    check_like(dy, "dy", x, "x")
    cdef double epsilon = check_float(eps, "eps", 0, DBL_MAX)
    cdef int act = check_activation(activation, _RECTIFIERS)
    cdef cnp.ndarray m = check_channels(mean, "mean", x)
    cdef cnp.ndarray v = check_channels(var, "var", x)
    cdef cnp.ndarray w = check_vector(weight, "weight", c, x, "x")
    cdef cnp.ndarray b = check_vector(bias, "bias", c, x, "x")
    cdef cnp.ndarray dx = new_like(x) if needs_dx else None
    cdef cnp.ndarray dweight = new_1d(c, x)
    cdef cnp.ndarray dbias = new_1d(c, x)
    cdef PyThreadState *gil = release_gil(0.5 * <double>cnp.PyArray_SIZE(x))
    cdef int status = nnf_batch_norm_backward(dtype_of(dweight), n, c, s, epsilon, data_of(dy),
                                              data_of(x), data_of(m), data_of(v), data_of(w),
                                              data_of(b), act, data_of(dx), data_of(dweight),
                                              data_of(dbias))
    retake_gil(gil, status)
    return dx, dweight, dbias


def batch_norm_update(running_mean, running_var, mean, var, count, momentum=0.1):
    """Move the running statistics towards those of a batch of `count` values per channel."""
    check_output(running_mean, "running_mean")
    if cnp.PyArray_NDIM(running_mean) != 1:
        raise ValueError(f"running_mean must have 1 axis, got {describe(running_mean)}")
    check_output(running_var, "running_var")
    check_same_shape(running_var, "running_var", running_mean, "running_mean")
    check_like(mean, "mean", running_mean, "running_mean")
    check_like(var, "var", running_mean, "running_mean")
    check_apart(running_var, "running_var", running_mean, "running_mean")
    check_apart(mean, "mean", running_mean, "running_mean")
    check_apart(mean, "mean", running_var, "running_var")
    check_apart(var, "var", running_mean, "running_mean")
    check_apart(var, "var", running_var, "running_var")
    cdef int64_t values = check_int(count, "count", 1, INT64_MAX)
    cdef double share = check_float(momentum, "momentum", 0, 1)
    retake_gil(NULL, nnf_batch_norm_update(
        dtype_of(running_mean), cnp.PyArray_SIZE(running_mean), values, share, data_of(mean),
        data_of(var), data_of(running_mean), data_of(running_var)))
