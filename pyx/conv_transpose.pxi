# conv_transpose.pxi: two-dimensional transposed convolution, described by the convolution that takes
# its result y (N, C, H, W) back to x (N, K, OH, OW).

cdef int64_t inputs_along(int64_t outputs, int64_t kernel, int64_t stride, int64_t pad,
                          int64_t dilation, int64_t more) except? -1:
    """The pixels along one axis from which so many windows come, and `more` behind the last."""
    check_size(<double>outputs * stride, "stride")
    return (outputs - 1) * stride + dilation * (kernel - 1) + 1 + more - 2 * pad


cdef int set_conv_transpose(nnf_conv *d, object x, object weight, object stride, object padding,
                            object output_padding, object groups, object dilation) except -1:
    """Check x (N, K, OH, OW) and weight (K, C / groups, KH, KW) and fill in d."""
    check_array(x, "x", 4)
    check_array(weight, "weight", 4)
    check_same_dtype(weight, "weight", x, "x")
    cdef const intp *image = cnp.PyArray_DIMS(x)
    cdef const intp *kernel = cnp.PyArray_DIMS(weight)
    cdef int64_t more_h, more_w
    d.n, d.k, d.oh, d.ow = image[0], image[1], image[2], image[3]
    d.kh, d.kw = kernel[2], kernel[3]
    d.groups = check_int(groups, "groups", 1)
    d.c = checked_product(kernel[1], d.groups, "groups")
    set_steps(d, stride, padding, dilation, "weight")
    check_pair(output_padding, "output_padding", 0, &more_h, &more_w)
    if d.k % d.groups != 0:
        raise ValueError(f"groups must divide the channels of x, {d.k}, got {d.groups}")
    if kernel[0] != d.k:
        raise ValueError(f"weight must have shape ({d.k}, out / groups, kh, kw) to match x {x.shape}, "
                         f"got {weight.shape}")
    if d.oh < 1 or d.ow < 1:
        raise ValueError(f"x must have a height and width of at least 1, got {x.shape}")
    if more_h >= d.stride_h or more_w >= d.stride_w:
        raise ValueError(f"output_padding must be smaller than stride {(d.stride_h, d.stride_w)}, "
                         f"got {(more_h, more_w)}")
    d.h = inputs_along(d.oh, d.kh, d.stride_h, d.pad_h, d.dilation_h, more_h)
    d.w = inputs_along(d.ow, d.kw, d.stride_w, d.pad_w, d.dilation_w, more_w)
    if d.h < 1 or d.w < 1:
        raise ValueError(f"padding {(d.pad_h, d.pad_w)} leaves nothing of a result of "
                         f"{(d.h + 2 * d.pad_h, d.w + 2 * d.pad_w)} pixels")
    cdef double planes = max(1.0, <double>d.n * d.c)  # h * w has to fit where there are none, too
    check_size(planes * (d.h + 2 * d.pad_h) * (d.w + 2 * d.pad_w), "stride")
    return 0


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1,
                     dilation=1, activation=None):
    """Transposed convolution of x (N, K, H, W) with weight (K, C / groups, KH, KW), biased, activated."""
    cdef nnf_conv d
    set_conv_transpose(&d, x, weight, stride, padding, output_padding, groups, dilation)
    cdef int act = check_activation(activation)
    check_vector(bias, "bias", d.c, x, "x")
    cdef cnp.ndarray y = new_4d(d.n, d.c, d.h, d.w, x)
    cdef PyThreadState *gil = release_gil(conv_work(&d))
    cdef int status = nnf_conv_transpose2d(dtype_of(y), &d, data_of(x), data_of(weight),
                                           data_of(bias), act, data_of(y))
    retake_gil(gil, status)
    return y


def conv_transpose2d_backward(dy, x, weight, stride=1, padding=0, output_padding=0, groups=1,
                              dilation=1, needs_dx=True, needs_dbias=True):
    """Gradients (dx or None, dweight, dbias or None) of conv_transpose2d."""
    cdef nnf_conv d
    set_conv_transpose(&d, x, weight, stride, padding, output_padding, groups, dilation)
    check_array(dy, "dy", 4)
    check_same_dtype(dy, "dy", x, "x")
    check_image_shape(dy, "dy", d.n, d.c, d.h, d.w)
    cdef cnp.ndarray dx = new_like(x) if needs_dx else None
    cdef cnp.ndarray dweight = new_like(weight)
    cdef cnp.ndarray dbias = new_1d(d.c, x) if needs_dbias else None
    cdef PyThreadState *gil = release_gil(3 * conv_work(&d))
    cdef int status = nnf_conv_transpose2d_backward(dtype_of(dweight), &d, data_of(dy), data_of(x),
                                                    data_of(weight), data_of(dx), data_of(dweight),
                                                    data_of(dbias))
    retake_gil(gil, status)
    return dx, dweight, dbias
