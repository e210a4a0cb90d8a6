# activation.pxi: elementwise activations; x, y, dx, dy of any shape.

ctypedef int (*unary_kernel)(nnf_dtype, int64_t, const void *, void *) noexcept nogil
ctypedef int (*binary_kernel)(nnf_dtype, int64_t, const void *, const void *,
                              void *) noexcept nogil


cdef cnp.ndarray unary(unary_kernel kernel, object x, double work):
    """kernel(x); `work` in nanoseconds per element."""
    check_array(x, "x")
    cdef cnp.ndarray y = new_like(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(work * n)
    cdef int status = kernel(dtype_of(y), n, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


cdef cnp.ndarray binary(binary_kernel kernel, object dy, object other, str name):
    """kernel(dy, other) of two arrays alike."""
    check_array(dy, "dy")
    check_like(other, name, dy, "dy")
    cdef cnp.ndarray dx = new_like(dy)
    cdef int64_t n = cnp.PyArray_SIZE(dx)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = kernel(dtype_of(dx), n, data_of(dy), data_of(other), data_of(dx))
    retake_gil(gil, status)
    return dx


def relu(x):
    """Return 0 where x <= 0 else x."""
    return unary(nnf_relu, x, 1.0)


def relu_backward(dy, x):
    """Return 0 where x <= 0 else dy."""
    return binary(nnf_relu_backward, dy, x, "x")


def leaky_relu(x, negative_slope=0.01):
    """Return negative_slope * x where x <= 0 else x."""
    check_array(x, "x")
    cdef double slope = check_float(negative_slope, "negative_slope", -DBL_MAX, DBL_MAX)
    cdef cnp.ndarray y = new_like(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_leaky_relu(dtype_of(y), n, slope, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


def leaky_relu_backward(dy, x, negative_slope=0.01):
    """Return negative_slope * dy where x <= 0 else dy."""
    check_array(dy, "dy")
    check_like(x, "x", dy, "dy")
    cdef double slope = check_float(negative_slope, "negative_slope", -DBL_MAX, DBL_MAX)
    cdef cnp.ndarray dx = new_like(dy)
    cdef int64_t n = cnp.PyArray_SIZE(dx)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_leaky_relu_backward(dtype_of(dx), n, slope, data_of(dy), data_of(x),
                                              data_of(dx))
    retake_gil(gil, status)
    return dx


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return unary(nnf_sigmoid, x, 2.0)


def sigmoid_backward(dy, y):
    """Return dy * y * (1 - y)."""
    return binary(nnf_sigmoid_backward, dy, y, "y")


def tanh(x):
    """Return the hyperbolic tangent of x."""
    return unary(nnf_tanh, x, 2.0)


def tanh_backward(dy, y):
    """Return dy * (1 - y * y)."""
    return binary(nnf_tanh_backward, dy, y, "y")


cdef int tanh_form(object approximate) except -1:
    """Whether GELU is to take its tanh form."""
    if not isinstance(approximate, str):
        raise TypeError(f"approximate must be 'none' or 'tanh', got {describe(approximate)}")
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return approximate == "tanh"


def gelu(x, approximate="none"):
    """Return x times the normal distribution function of x, or its tanh form."""
    check_array(x, "x")
    cdef int form = tanh_form(approximate)
    cdef cnp.ndarray y = new_like(x)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_gelu(dtype_of(y), n, form, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


def gelu_backward(dy, x, approximate="none"):
    """Return dy times the derivative of gelu at x."""
    check_array(dy, "dy")
    check_like(x, "x", dy, "dy")
    cdef int form = tanh_form(approximate)
    cdef cnp.ndarray dx = new_like(dy)
    cdef int64_t n = cnp.PyArray_SIZE(dx)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_gelu_backward(dtype_of(dx), n, form, data_of(dy), data_of(x),
                                        data_of(dx))
    retake_gil(gil, status)
    return dx
