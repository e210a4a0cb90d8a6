# conv.pxi: two-dimensional convolution.

cdef tuple _ALGORITHMS = ("auto", "depthwise", "winograd", "fold", "gemm")


cdef int check_algorithm(object algo, const nnf_conv *d) except -1:
    """The nnf_conv_algo of a name, if it can compute d."""
    if not isinstance(algo, str):
        raise TypeError(f"algo must be a string, got {describe(algo)}")
    if algo not in _ALGORITHMS:
        raise ValueError(f"algo must be one of {_ALGORITHMS}, got {algo!r}")
    if algo == "depthwise" and d.groups != d.c:
        raise ValueError(f"algo 'depthwise' needs groups equal to the channels of x, {d.c}, "
                         f"got groups {d.groups}")
    if algo == "fold" and d.groups != 1:
        raise ValueError(f"algo 'fold' needs groups 1, got {d.groups}")
    cdef bint dense = d.dilation_h == 1 and d.dilation_w == 1
    cdef bint three = d.kh == 3 and d.kw == 3, five = d.kh == 5 and d.kw == 5
    cdef bint every = dense and d.stride_h == 1 and d.stride_w == 1
    cdef bint second = (dense and d.stride_h == 2 and d.stride_w == 2 and d.pad_h == 1 and
                        d.pad_w == 1)
    if algo == "winograd" and not ((three or five) and every or three and second):
        raise ValueError(f"algo 'winograd' needs a weight of 3 x 3 or 5 x 5 at stride 1, or of 3 x 3 at "
                         f"stride 2 and padding 1, and dilation 1, got {(d.kh, d.kw)}, stride "
                         f"{(d.stride_h, d.stride_w)}, padding {(d.pad_h, d.pad_w)} and dilation "
                         f"{(d.dilation_h, d.dilation_w)}")
    return <int>_ALGORITHMS.index(algo)


cdef int set_conv(nnf_conv *d, object x, object weight, object stride, object padding,
                  object dilation, object groups) except -1:
    """Check x (N, C, H, W) and weight (O, C / groups, KH, KW) and fill in d."""
    check_array(x, "x", 4)
    check_array(weight, "weight", 4)
    check_same_dtype(weight, "weight", x, "x")
    set_image(d, x)
    cdef const intp *shape = cnp.PyArray_DIMS(weight)
    d.k, d.kh, d.kw = shape[0], shape[2], shape[3]
    d.groups = check_int(groups, "groups", 1)
    if d.c % d.groups != 0 or d.k % d.groups != 0:
        raise ValueError(f"groups must divide the channels of x, {d.c}, and of the result, {d.k}, "
                         f"got {d.groups}")
    if shape[1] != d.c // d.groups:
        raise ValueError(f"weight must have shape (out, {d.c // d.groups}, kh, kw) to match x "
                         f"{x.shape} in {d.groups} groups, got {weight.shape}")
    set_window(d, stride, padding, dilation, "weight")
    return 0


cdef double conv_work(const nnf_conv *d) noexcept:
    """Estimated nanoseconds."""
    return 0.03 * d.n * d.k * d.oh * d.ow * (d.c // d.groups) * d.kh * d.kw


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None,
           scale=None, algo="auto"):
    """Convolution of x (N, C, H, W) with weight (O, C / groups, KH, KW), scaled, biased, activated."""
    cdef nnf_conv d
    set_conv(&d, x, weight, stride, padding, dilation, groups)
    cdef int act = check_activation(activation)
    cdef int algorithm = check_algorithm(algo, &d)
    check_vector(scale, "scale", d.k, x, "x")
    check_vector(bias, "bias", d.k, x, "x")
    cdef cnp.ndarray y = new_4d(d.n, d.k, d.oh, d.ow, x)
    cdef PyThreadState *gil = release_gil(conv_work(&d))
    cdef int status = nnf_conv2d(dtype_of(y), &d, algorithm, data_of(x), data_of(weight),
                                 data_of(scale), data_of(bias), act, data_of(y))
    retake_gil(gil, status)
    return y


def conv2d_backward(dy, x, weight, stride=1, padding=0, dilation=1, groups=1, needs_dx=True,
                    needs_dbias=True, algo="auto"):
    """Gradients (dx or None, dweight, dbias or None) of conv2d."""
    cdef nnf_conv d
    set_conv(&d, x, weight, stride, padding, dilation, groups)
    cdef int algorithm = check_algorithm(algo, &d)
    check_array(dy, "dy", 4)
    check_same_dtype(dy, "dy", x, "x")
    check_output_shape(dy, "dy", d.k, &d)
    cdef cnp.ndarray dx = new_like(x) if needs_dx else None
    cdef cnp.ndarray dweight = new_like(weight)
    cdef cnp.ndarray dbias = new_1d(d.k, x) if needs_dbias else None
    cdef PyThreadState *gil = release_gil(3 * conv_work(&d))
    cdef int status = nnf_conv2d_backward(dtype_of(dweight), &d, algorithm, data_of(dy), data_of(x),
                                          data_of(weight), data_of(dx), data_of(dweight),
                                          data_of(dbias))
    retake_gil(gil, status)
    return dx, dweight, dbias
