# optim.pxi: one optimizer step on param, of any shape; the state has its shape and dtype. param and
# state change in place.


cdef int check_apart(cnp.ndarray x, str name, cnp.ndarray other, str other_name) except -1:
    """Raise if two contiguous arrays share memory."""
    cdef char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(other)
    if a < b + cnp.PyArray_NBYTES(other) and b < a + cnp.PyArray_NBYTES(x):
        raise ValueError(f"{name} must not share memory with {other_name}")
    return 0


cdef int check_step(object param, object grad) except -1:
    check_output(param, "param")
    check_like(grad, "grad", param, "param")
    return check_apart(grad, "grad", param, "param")


cdef int check_state(object state, str name, object param, object grad) except -1:
    check_output(state, name)
    check_same_shape(state, name, param, "param")
    check_apart(state, name, param, "param")
    return check_apart(state, name, grad, "grad")


cdef double positive(object value, str name) except? -1:
    """`value` as a finite float of at least 0."""
    return check_float(value, name, 0, DBL_MAX)


def sgd_update(param, grad, lr, weight_decay=0.0):
    """Take a step of gradient descent."""
    check_step(param, grad)
    cdef double rate = positive(lr, "lr")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_sgd_update(dtype_of(param), n, data_of(param), data_of(grad), rate,
                                     decay)
    retake_gil(gil, status)


def momentum_update(param, grad, velocity, lr, momentum=0.9, weight_decay=0.0, nesterov=False):
    """Take a step with momentum, or Nesterov's."""
    check_step(param, grad)
    check_state(velocity, "velocity", param, grad)
    cdef double rate = positive(lr, "lr")
    cdef double mu = positive(momentum, "momentum")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef bint ahead = bool(nesterov)
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_momentum_update(dtype_of(param), n, data_of(param), data_of(grad),
                                          data_of(velocity), rate, mu, decay, ahead)
    retake_gil(gil, status)


def adagrad_update(param, grad, sum_sq, lr, eps=1e-10, weight_decay=0.0):
    """Take a step of AdaGrad."""
    check_step(param, grad)
    check_state(sum_sq, "sum_sq", param, grad)
    cdef double rate = positive(lr, "lr")
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_adagrad_update(dtype_of(param), n, data_of(param), data_of(grad),
                                         data_of(sum_sq), rate, small, decay)
    retake_gil(gil, status)


def rmsprop_update(param, grad, mean_sq, lr, alpha=0.99, eps=1e-8, weight_decay=0.0):
    """Take a step of RMSprop."""
    check_step(param, grad)
    check_state(mean_sq, "mean_sq", param, grad)
    cdef double rate = positive(lr, "lr")
    cdef double keep = check_float(alpha, "alpha", 0, 1)
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_rmsprop_update(dtype_of(param), n, data_of(param), data_of(grad),
                                         data_of(mean_sq), rate, keep, small, decay)
    retake_gil(gil, status)


def adadelta_update(param, grad, mean_sq, mean_delta_sq, lr=1.0, rho=0.9, eps=1e-6,
                    weight_decay=0.0):
    """Take a step of Adadelta."""
    check_step(param, grad)
    check_state(mean_sq, "mean_sq", param, grad)
    check_state(mean_delta_sq, "mean_delta_sq", param, grad)
    check_apart(mean_delta_sq, "mean_delta_sq", mean_sq, "mean_sq")
    cdef double rate = positive(lr, "lr")
    cdef double keep = check_float(rho, "rho", 0, 1)
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_adadelta_update(dtype_of(param), n, data_of(param), data_of(grad),
                                          data_of(mean_sq), data_of(mean_delta_sq), rate, keep,
                                          small, decay)
    retake_gil(gil, status)


def adam_update(param, grad, m, v, step, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
                weight_decay=0.0):
    """Take step number `step`, from 1, of Adam."""
    check_step(param, grad)
    check_state(m, "m", param, grad)
    check_state(v, "v", param, grad)
    check_apart(v, "v", m, "m")
    cdef int64_t t = check_int(step, "step", 1, INT64_MAX)
    cdef double rate = positive(lr, "lr")
    cdef double b1 = check_fraction(beta1, "beta1")
    cdef double b2 = check_fraction(beta2, "beta2")
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_adam_update(dtype_of(param), n, data_of(param), data_of(grad),
                                      data_of(m), data_of(v), t, rate, b1, b2, small, decay)
    retake_gil(gil, status)


def adamw_update(param, grad, m, v, step, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
                 weight_decay=0.01):
    """Take step number `step`, from 1, of AdamW."""
    check_step(param, grad)
    check_state(m, "m", param, grad)
    check_state(v, "v", param, grad)
    check_apart(v, "v", m, "m")
    cdef int64_t t = check_int(step, "step", 1, INT64_MAX)
    cdef double rate = positive(lr, "lr")
    cdef double b1 = check_fraction(beta1, "beta1")
    cdef double b2 = check_fraction(beta2, "beta2")
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef int64_t n = cnp.PyArray_SIZE(param)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_adamw_update(dtype_of(param), n, data_of(param), data_of(grad),
                                       data_of(m), data_of(v), t, rate, b1, b2, small, decay)
    retake_gil(gil, status)
