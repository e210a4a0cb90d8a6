# pool.pxi: maximum and mean of windows, mean of planes.


cdef int check_pixels(const nnf_conv *d, str name) except -1:
    if d.h == 0 or d.w == 0:
        raise ValueError(f"{name} must have a height and width of at least 1, "
                         f"got {(d.n, d.c, d.h, d.w)}")
    return 0


cdef int set_pool(nnf_pool *p, nnf_conv *d, object kernel_size, object stride,
                  object padding) except -1:
    """A pooling from the image in d and the window the user asks for."""
    check_pixels(d, "x")
    set_kernel(d, kernel_size, kernel_size if stride is None else stride, padding, 1)
    if d.kh * d.kw > INT32_MAX:
        raise ValueError(f"kernel_size must have positions that fit 32 bits, got {(d.kh, d.kw)}")
    if 2 * d.pad_h > d.kh or 2 * d.pad_w > d.kw:
        raise ValueError(
            f"padding must be at most half of kernel_size {(d.kh, d.kw)}, so that no window lies "
            f"in the padding alone, got {(d.pad_h, d.pad_w)}")
    p.n, p.c, p.h, p.w = d.n, d.c, d.h, d.w
    p.kh, p.kw, p.oh, p.ow = d.kh, d.kw, d.oh, d.ow
    p.stride_h, p.stride_w, p.pad_h, p.pad_w = d.stride_h, d.stride_w, d.pad_h, d.pad_w
    return 0


cdef double pool_work(const nnf_pool *p) noexcept:
    return <double>p.n * <double>p.c * <double>p.h * <double>p.w


cdef inline int index_type(const nnf_pool *p) noexcept:
    """Positions in the window, and the one after the last, fit a byte or take 32 bits."""
    return cnp.NPY_UINT8 if p.kh * p.kw < 256 else cnp.NPY_INT32


def max_pool2d(x, kernel_size, stride=None, padding=0, activation=None):
    """Return the largest value of each window of x (n, c, h, w) and its position there."""
    cdef nnf_conv d
    cdef nnf_pool p
    check_array(x, "x", 4)
    set_image(&d, x)
    set_pool(&p, &d, kernel_size, stride, padding)
    cdef int act = check_activation(activation, _RECTIFIERS)
    cdef cnp.ndarray y = new_4d(p.n, p.c, p.oh, p.ow, x)
    cdef int kind = index_type(&p)
    cdef cnp.ndarray indices = new_array(4, cnp.PyArray_DIMS(y), kind)
    cdef void *at = data_of(indices)
    cdef PyThreadState *gil = release_gil(pool_work(&p))
    cdef int status = nnf_max_pool2d(
        dtype_of(y), &p, data_of(x), act, data_of(y),
        <uint8_t *>(at if kind == cnp.NPY_UINT8 else NULL),
        <int32_t *>(at if kind == cnp.NPY_INT32 else NULL))
    retake_gil(gil, status)
    return y, indices


def max_pool2d_backward(dy, indices, x_shape, kernel_size, stride=None, padding=0):
    """Return the gradient of max_pool2d: each dy goes to the position that was the largest."""
    cdef nnf_conv d
    cdef nnf_pool p
    check_array(dy, "dy", 4)
    set_image_shape(&d, x_shape, "x_shape")
    set_pool(&p, &d, kernel_size, stride, padding)
    check_output_shape(dy, "dy", p.c, &d)
    cdef int kind = index_type(&p)
    cdef str wanted = "uint8" if kind == cnp.NPY_UINT8 else "int32"
    if not isinstance(indices, cnp.ndarray) or cnp.PyArray_TYPE(indices) != kind:
        raise TypeError(f"indices must be an array of {wanted}, got {describe(indices)}")
    if not cnp.PyArray_ISCARRAY_RO(indices):
        raise ValueError("indices must be C-contiguous, aligned and in native byte order; pass "
                         "np.ascontiguousarray(indices)")
    if not cnp.PyArray_SAMESHAPE(indices, dy):
        raise ValueError(f"indices must have the shape of dy, {dy.shape}, got {indices.shape}")
    cdef cnp.ndarray dx = new_4d(p.n, p.c, p.h, p.w, dy)
    cdef void *at = data_of(indices)
    cdef PyThreadState *gil = release_gil(pool_work(&p))
    cdef int status = nnf_max_pool2d_backward(
        dtype_of(dx), &p, data_of(dy), <uint8_t *>(at if kind == cnp.NPY_UINT8 else NULL),
        <int32_t *>(at if kind == cnp.NPY_INT32 else NULL), data_of(dx))
    retake_gil(gil, NNF_OK if status == NNF_BAD_INDEX else status)
    if status == NNF_BAD_INDEX:
        raise ValueError(f"indices must lie in [0, {p.kh * p.kw}], the positions in a window and "
                         "the one for none of them")
    return dx


def avg_pool2d(x, kernel_size, stride=None, padding=0, count_include_pad=True):
    """Return the mean of each window of x (n, c, h, w); padding counts as zeros or not at all."""
    cdef nnf_conv d
    cdef nnf_pool p
    check_array(x, "x", 4)
    set_image(&d, x)
    set_pool(&p, &d, kernel_size, stride, padding)
    cdef bint padded = count_include_pad
    cdef cnp.ndarray y = new_4d(p.n, p.c, p.oh, p.ow, x)
    cdef PyThreadState *gil = release_gil(pool_work(&p))
    cdef int status = nnf_avg_pool2d(dtype_of(y), &p, padded, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y


def avg_pool2d_backward(dy, x_shape, kernel_size, stride=None, padding=0, count_include_pad=True):
    """Return the gradient of avg_pool2d: each dy is shared out evenly over its window."""
    cdef nnf_conv d
    cdef nnf_pool p
    check_array(dy, "dy", 4)
    set_image_shape(&d, x_shape, "x_shape")
    set_pool(&p, &d, kernel_size, stride, padding)
    check_output_shape(dy, "dy", p.c, &d)
    cdef bint padded = count_include_pad
    cdef cnp.ndarray dx = new_4d(p.n, p.c, p.h, p.w, dy)
    cdef PyThreadState *gil = release_gil(pool_work(&p))
    cdef int status = nnf_avg_pool2d_backward(dtype_of(dx), &p, padded, data_of(dy), data_of(dx))
    retake_gil(gil, status)
    return dx


def global_avg_pool2d(x):
    """Return the mean of each channel: (n, c, h, w) -> (n, c)."""
    cdef nnf_conv d
    check_array(x, "x", 4)
    set_image(&d, x)
    check_pixels(&d, "x")
    cdef cnp.ndarray y = new_2d(d.n, d.c, x)
    cdef PyThreadState *gil = release_gil(0.2 * <double>cnp.PyArray_SIZE(x))
    cdef int status = nnf_global_avg_pool2d(dtype_of(y), d.n * d.c, d.h * d.w, data_of(x),
                                            data_of(y))
    retake_gil(gil, status)
    return y


def global_avg_pool2d_backward(dy, x_shape):
    """Return the gradient of global_avg_pool2d: (n, c) -> x_shape (n, c, h, w)."""
    cdef nnf_conv d
    check_array(dy, "dy", 2)
    set_image_shape(&d, x_shape, "x_shape")
    check_pixels(&d, "x_shape")
    if cnp.PyArray_DIM(dy, 0) != d.n or cnp.PyArray_DIM(dy, 1) != d.c:
        raise ValueError(f"dy must have shape {(d.n, d.c)}, got {dy.shape}")
    cdef cnp.ndarray dx = new_4d(d.n, d.c, d.h, d.w, dy)
    cdef PyThreadState *gil = release_gil(0.2 * <double>cnp.PyArray_SIZE(dx))
    cdef int status = nnf_global_avg_pool2d_backward(dtype_of(dx), d.n * d.c, d.h * d.w,
                                                     data_of(dy), data_of(dx))
    retake_gil(gil, status)
    return dx
