# geometry.pxi: windows sliding over images: their arguments and their sizes.
# Shared by convolution, im2col and pooling; a pooling window is one of dilation 1.


cdef int64_t checked_product(int64_t a, int64_t b, str what) except -1:
    """a * b of two sizes >= 0, ValueError where that overflows."""
    if b != 0 and a > (<int64_t>1 << 62) // b:
        raise ValueError(f"{what} is too large: {a} x {b} overflows 64-bit sizes")
    return a * b


cdef int check_size(double elements, str name) except -1:
    """Raise if an array of so many elements cannot exist, because of the argument `name`."""
    if elements * 8 > <double>(<int64_t>1 << 46):
        raise ValueError(f"{name} is too large: it would need an array of {elements:.3g} elements")
    return 0


cdef int set_image(nnf_conv *d, cnp.ndarray x) noexcept:
    """n, c, h, w from an array of four axes."""
    cdef const intp *shape = cnp.PyArray_DIMS(x)
    d.n, d.c, d.h, d.w = shape[0], shape[1], shape[2], shape[3]
    return 0


cdef int set_image_shape(nnf_conv *d, object value, str name) except -1:
    """n, c, h, w from a tuple given by the user."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple (n, c, h, w), got {describe(value)}")
    if len(value) != 4:
        raise ValueError(f"{name} must be a tuple (n, c, h, w), got {value!r}")
    cdef int64_t limit = <int64_t>1 << 46
    d.n = check_int(value[0], name, 0, limit)
    d.c = check_int(value[1], name, 0, limit)
    d.h = check_int(value[2], name, 0, limit)
    d.w = check_int(value[3], name, 0, limit)
    return check_size(<double>d.n * d.c * d.h * d.w, name)


cdef int64_t outputs_along(int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                           int64_t dilation) noexcept:
    """Windows that fit along one axis, 0 if none."""
    cdef int64_t room = size + 2 * pad - dilation * (kernel - 1) - 1
    return room // stride + 1 if room >= 0 else 0


cdef int set_steps(nnf_conv *d, object stride, object padding, object dilation,
                   str kernel_name) except -1:
    """Stride, padding and dilation of d's kernel, whose size is checked too."""
    check_pair(stride, "stride", 1, &d.stride_h, &d.stride_w)
    check_pair(padding, "padding", 0, &d.pad_h, &d.pad_w)
    check_pair(dilation, "dilation", 1, &d.dilation_h, &d.dilation_w)
    if not (1 <= d.kh <= MAX_SIZE and 1 <= d.kw <= MAX_SIZE):
        raise ValueError(f"{kernel_name} must have a height and width of at least 1, "
                         f"got {(d.kh, d.kw)}")
    return check_size(<double>d.kh * d.kw, kernel_name)


cdef int set_window(nnf_conv *d, object stride, object padding, object dilation,
                    str kernel_name) except -1:
    """The same and the output size, from d's image and kernel size."""
    set_steps(d, stride, padding, dilation, kernel_name)
    check_size(<double>d.n * d.c * (d.h + 2 * d.pad_h) * (d.w + 2 * d.pad_w), "padding")
    d.oh = outputs_along(d.h, d.kh, d.stride_h, d.pad_h, d.dilation_h)
    d.ow = outputs_along(d.w, d.kw, d.stride_w, d.pad_w, d.dilation_w)
    if d.oh == 0 or d.ow == 0:
        raise ValueError(
            f"{kernel_name} {(d.kh, d.kw)} with dilation {(d.dilation_h, d.dilation_w)} is larger "
            f"than the image {(d.h, d.w)} with padding {(d.pad_h, d.pad_w)}")
    return 0


cdef int set_kernel(nnf_conv *d, object kernel_size, object stride, object padding,
                    object dilation) except -1:
    """The same with the kernel size given as an argument."""
    check_pair(kernel_size, "kernel_size", 1, &d.kh, &d.kw)
    return set_window(d, stride, padding, dilation, "kernel_size")


cdef int check_image_shape(cnp.ndarray dy, str name, int64_t n, int64_t c, int64_t h,
                           int64_t w) except -1:
    """Raise unless dy, an array of four axes, has the shape (n, c, h, w)."""
    cdef const intp *shape = cnp.PyArray_DIMS(dy)
    if shape[0] != n or shape[1] != c or shape[2] != h or shape[3] != w:
        raise ValueError(f"{name} must have shape {(n, c, h, w)}, got {(<object>dy).shape}")
    return 0


cdef int check_output_shape(cnp.ndarray dy, str name, int64_t channels,
                            const nnf_conv *d) except -1:
    """Raise unless dy, an array of four axes, has the shape (n, channels, oh, ow)."""
    return check_image_shape(dy, name, d.n, channels, d.oh, d.ow)
