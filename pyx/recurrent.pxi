# recurrent.pxi: layers over time, one direction of one layer; x (steps, batch, inputs).


cdef int check_sequence(object x, object weight_ih, object weight_hh, int64_t gates, object reverse,
                        nnf_recurrent *d) except -1:
    """The sizes of x (T, N, D), weight_ih (gates * H, D) and weight_hh (gates * H, H)."""
    check_array(x, "x", 3)
    check_array(weight_ih, "weight_ih", 2)
    check_array(weight_hh, "weight_hh", 2)
    check_same_dtype(weight_ih, "weight_ih", x, "x")
    check_same_dtype(weight_hh, "weight_hh", x, "x")
    d.steps = cnp.PyArray_DIM(x, 0)
    d.batch = cnp.PyArray_DIM(x, 1)
    d.inputs = cnp.PyArray_DIM(x, 2)
    d.hidden = cnp.PyArray_DIM(weight_hh, 1)
    d.reverse = bool(reverse)
    if cnp.PyArray_DIM(weight_hh, 0) != gates * d.hidden:
        raise ValueError(f"weight_hh must have shape ({gates} * hidden, hidden), "
                         f"got {weight_hh.shape}")
    if cnp.PyArray_DIM(weight_ih, 0) != gates * d.hidden or cnp.PyArray_DIM(weight_ih, 1) != d.inputs:
        raise ValueError(f"weight_ih must have shape {(gates * d.hidden, d.inputs)} to match x "
                         f"{x.shape} and weight_hh {weight_hh.shape}, got {weight_ih.shape}")
    return 0


cdef cnp.ndarray check_steps(object value, str name, const nnf_recurrent *d, int64_t size, object x):
    """`value` as an array (T, N, size)."""
    check_array(value, name, 3)
    check_same_dtype(value, name, x, "x")
    if (cnp.PyArray_DIM(value, 0) != d.steps or cnp.PyArray_DIM(value, 1) != d.batch
            or cnp.PyArray_DIM(value, 2) != size):
        raise ValueError(f"{name} must have shape {(d.steps, d.batch, size)}, got {value.shape}")
    return <cnp.ndarray>value


cdef cnp.ndarray check_hidden(object value, str name, const nnf_recurrent *d, object x):
    """`value` as an array (N, H); None stays None."""
    if value is None:
        return None
    check_array(value, name, 2)
    check_same_dtype(value, name, x, "x")
    if cnp.PyArray_DIM(value, 0) != d.batch or cnp.PyArray_DIM(value, 1) != d.hidden:
        raise ValueError(f"{name} must have shape {(d.batch, d.hidden)}, got {value.shape}")
    return <cnp.ndarray>value


cdef cnp.ndarray first_hidden(object value, str name, const nnf_recurrent *d, object x):
    """`value` as an array (N, H); zeros for None."""
    cdef intp shape[2]
    if value is None:
        shape[0] = d.batch
        shape[1] = d.hidden
        return cnp.PyArray_ZEROS(2, shape, cnp.PyArray_TYPE(x), 0)
    return check_hidden(value, name, d, x)


cdef cnp.ndarray new_steps(const nnf_recurrent *d, int64_t size, cnp.ndarray like):
    cdef intp shape[3]
    shape[0] = d.steps
    shape[1] = d.batch
    shape[2] = size
    return new_array(3, shape, cnp.PyArray_TYPE(like))


cdef tuple new_gradients(cnp.ndarray x, cnp.ndarray weight_ih, cnp.ndarray weight_hh,
                         cnp.ndarray h0, bint needs_dx):
    """Arrays for the gradients of x (or None), weights, biases and h0."""
    cdef int64_t rows = cnp.PyArray_DIM(weight_ih, 0)
    return (new_like(x) if needs_dx else None, new_like(weight_ih), new_like(weight_hh),
            new_1d(rows, x), new_1d(rows, x), new_like(h0))


cdef inline double work_of(const nnf_recurrent *d, int64_t gates) noexcept:
    """Nanoseconds of a forward pass."""
    return 0.03 * d.steps * d.batch * gates * d.hidden * (d.inputs + d.hidden + 40)


cdef tuple run_lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, reverse, bint keep):
    """y with gates and cells; else y, None and the last cells alone."""
    cdef nnf_recurrent d
    check_sequence(x, weight_ih, weight_hh, 4, reverse, &d)
    cdef cnp.ndarray b_ih = check_vector(bias_ih, "bias_ih", 4 * d.hidden, x, "x")
    cdef cnp.ndarray b_hh = check_vector(bias_hh, "bias_hh", 4 * d.hidden, x, "x")
    cdef cnp.ndarray h = first_hidden(h0, "h0", &d, x)
    cdef cnp.ndarray c = first_hidden(c0, "c0", &d, x)
    cdef cnp.ndarray y = new_steps(&d, d.hidden, x)
    cdef cnp.ndarray gates = new_steps(&d, 4 * d.hidden, x) if keep else None
    cdef cnp.ndarray cells = new_steps(&d, d.hidden, x) if keep else new_like(c)
    if not keep and d.steps == 0:
        cells[...] = c
    cdef PyThreadState *gil = release_gil(work_of(&d, 4))
    cdef int status = nnf_lstm(dtype_of(y), &d, data_of(x), data_of(weight_ih), data_of(weight_hh),
                               data_of(b_ih), data_of(b_hh), data_of(h), data_of(c), data_of(y),
                               data_of(gates), data_of(cells))
    retake_gil(gil, status)
    return y, gates, cells


def lstm(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, c0=None, reverse=False):
    """y (T, N, H), gates (T, N, 4 H) and cells (T, N, H) of x (T, N, D)."""
    return run_lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, reverse, True)


def lstm_inference(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, c0=None,
                   reverse=False):
    """y (T, N, H) and the last cells (N, H) of x (T, N, D)."""
    y, _, c = run_lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, reverse, False)
    return y, c


def lstm_backward(dy, x, weight_ih, weight_hh, y, gates, cells, h0=None, c0=None, dhn=None,
                  dcn=None, reverse=False, needs_dx=True):
    """Gradients (dx or None, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0, dc0) of lstm."""
    cdef nnf_recurrent d
    check_sequence(x, weight_ih, weight_hh, 4, reverse, &d)
    check_steps(dy, "dy", &d, d.hidden, x)
    check_steps(y, "y", &d, d.hidden, x)
    check_steps(gates, "gates", &d, 4 * d.hidden, x)
    check_steps(cells, "cells", &d, d.hidden, x)
    cdef cnp.ndarray h = first_hidden(h0, "h0", &d, x)
    cdef cnp.ndarray c = first_hidden(c0, "c0", &d, x)
    cdef cnp.ndarray dh = check_hidden(dhn, "dhn", &d, x)
    cdef cnp.ndarray dc = check_hidden(dcn, "dcn", &d, x)
    cdef cnp.ndarray dc0 = new_like(c)
    dx, dw_ih, dw_hh, db_ih, db_hh, dh0 = new_gradients(x, weight_ih, weight_hh, h, needs_dx)
    cdef PyThreadState *gil = release_gil(2 * work_of(&d, 4))
    cdef int status = nnf_lstm_backward(dtype_of(dc0), &d, data_of(dy), data_of(x),
                                        data_of(weight_ih), data_of(weight_hh), data_of(y),
                                        data_of(gates), data_of(cells), data_of(h), data_of(c),
                                        data_of(dh), data_of(dc), data_of(dx), data_of(dw_ih),
                                        data_of(dw_hh), data_of(db_ih), data_of(db_hh),
                                        data_of(dh0), data_of(dc0))
    retake_gil(gil, status)
    return dx, dw_ih, dw_hh, db_ih, db_hh, dh0, dc0


cdef tuple run_gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, reverse, bint keep):
    """y with gates and inner, which are None unless `keep`."""
    cdef nnf_recurrent d
    check_sequence(x, weight_ih, weight_hh, 3, reverse, &d)
    cdef cnp.ndarray b_ih = check_vector(bias_ih, "bias_ih", 3 * d.hidden, x, "x")
    cdef cnp.ndarray b_hh = check_vector(bias_hh, "bias_hh", 3 * d.hidden, x, "x")
    cdef cnp.ndarray h = first_hidden(h0, "h0", &d, x)
    cdef cnp.ndarray y = new_steps(&d, d.hidden, x)
    cdef cnp.ndarray gates = new_steps(&d, 3 * d.hidden, x) if keep else None
    cdef cnp.ndarray inner = new_steps(&d, d.hidden, x) if keep else None
    cdef PyThreadState *gil = release_gil(work_of(&d, 3))
    cdef int status = nnf_gru(dtype_of(y), &d, data_of(x), data_of(weight_ih), data_of(weight_hh),
                              data_of(b_ih), data_of(b_hh), data_of(h), data_of(y),
                              data_of(gates), data_of(inner))
    retake_gil(gil, status)
    return y, gates, inner


def gru(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, reverse=False):
    """y (T, N, H), gates (T, N, 3 H) and inner (T, N, H) of x (T, N, D)."""
    return run_gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, reverse, True)


def gru_inference(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, reverse=False):
    """y (T, N, H) of x (T, N, D)."""
    return run_gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, reverse, False)[0]


def gru_backward(dy, x, weight_ih, weight_hh, y, gates, inner, h0=None, dhn=None, reverse=False,
                 needs_dx=True):
    """Gradients (dx or None, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0) of gru."""
    cdef nnf_recurrent d
    check_sequence(x, weight_ih, weight_hh, 3, reverse, &d)
    check_steps(dy, "dy", &d, d.hidden, x)
    check_steps(y, "y", &d, d.hidden, x)
    check_steps(gates, "gates", &d, 3 * d.hidden, x)
    check_steps(inner, "inner", &d, d.hidden, x)
    cdef cnp.ndarray h = first_hidden(h0, "h0", &d, x)
    cdef cnp.ndarray dh = check_hidden(dhn, "dhn", &d, x)
    cdef tuple result = new_gradients(x, weight_ih, weight_hh, h, needs_dx)
    dx, dw_ih, dw_hh, db_ih, db_hh, dh0 = result
    cdef PyThreadState *gil = release_gil(2 * work_of(&d, 3))
    cdef int status = nnf_gru_backward(dtype_of(h), &d, data_of(dy), data_of(x),
                                       data_of(weight_ih), data_of(weight_hh), data_of(y),
                                       data_of(gates), data_of(inner), data_of(h), data_of(dh),
                                       data_of(dx), data_of(dw_ih), data_of(dw_hh), data_of(db_ih),
                                       data_of(db_hh), data_of(dh0))
    retake_gil(gil, status)
    return result


cdef int check_nonlinearity(object value) except -1:
    """The nnf_activation of a name."""
    if not isinstance(value, str):
        raise TypeError(f"nonlinearity must be 'tanh' or 'relu', got {describe(value)}")
    if value != "tanh" and value != "relu":
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {value!r}")
    return NNF_TANH if value == "tanh" else NNF_RELU


def rnn(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, nonlinearity="tanh",
        reverse=False):
    """y (T, N, H) of x (T, N, D)."""
    cdef nnf_recurrent d
    check_sequence(x, weight_ih, weight_hh, 1, reverse, &d)
    cdef int act = check_nonlinearity(nonlinearity)
    cdef cnp.ndarray b_ih = check_vector(bias_ih, "bias_ih", d.hidden, x, "x")
    cdef cnp.ndarray b_hh = check_vector(bias_hh, "bias_hh", d.hidden, x, "x")
    cdef cnp.ndarray h = first_hidden(h0, "h0", &d, x)
    cdef cnp.ndarray y = new_steps(&d, d.hidden, x)
    cdef PyThreadState *gil = release_gil(work_of(&d, 1))
    cdef int status = nnf_rnn(dtype_of(y), &d, act, data_of(x), data_of(weight_ih),
                              data_of(weight_hh), data_of(b_ih), data_of(b_hh), data_of(h),
                              data_of(y))
    retake_gil(gil, status)
    return y


def rnn_backward(dy, x, weight_ih, weight_hh, y, h0=None, dhn=None, nonlinearity="tanh",
                 reverse=False, needs_dx=True):
    """Gradients (dx or None, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0) of rnn."""
    cdef nnf_recurrent d
    check_sequence(x, weight_ih, weight_hh, 1, reverse, &d)
    cdef int act = check_nonlinearity(nonlinearity)
    check_steps(dy, "dy", &d, d.hidden, x)
    check_steps(y, "y", &d, d.hidden, x)
    cdef cnp.ndarray h = first_hidden(h0, "h0", &d, x)
    cdef cnp.ndarray dh = check_hidden(dhn, "dhn", &d, x)
    cdef tuple result = new_gradients(x, weight_ih, weight_hh, h, needs_dx)
    dx, dw_ih, dw_hh, db_ih, db_hh, dh0 = result
    cdef PyThreadState *gil = release_gil(2 * work_of(&d, 1))
    cdef int status = nnf_rnn_backward(dtype_of(h), &d, act, data_of(dy), data_of(x),
                                       data_of(weight_ih), data_of(weight_hh), data_of(y),
                                       data_of(h), data_of(dh), data_of(dx), data_of(dw_ih),
                                       data_of(dw_hh), data_of(db_ih), data_of(db_hh),
                                       data_of(dh0))
    retake_gil(gil, status)
    return result
