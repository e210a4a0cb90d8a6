# im2col.pxi: images to the matrix of their windows and back.


def im2col(x, kernel_size, stride=1, padding=0, dilation=1):
    """Return each window of x (n, c, h, w) as one row: (n * oh * ow, c * kh * kw)."""
    cdef nnf_conv d
    check_array(x, "x", 4)
    set_image(&d, x)
    set_kernel(&d, kernel_size, stride, padding, dilation)
    cdef int64_t rows = checked_product(checked_product(d.n, d.oh, "col"), d.ow, "col")
    cdef int64_t taps = checked_product(checked_product(d.c, d.kh, "col"), d.kw, "col")
    cdef cnp.ndarray col = new_2d(rows, taps, x)
    cdef PyThreadState *gil = release_gil(<double>rows * <double>taps)
    cdef int status = nnf_im2col(dtype_of(col), &d, data_of(x), data_of(col))
    retake_gil(gil, status)
    return col


def col2im(col, x_shape, kernel_size, stride=1, padding=0, dilation=1):
    """Add the windows col (n * oh * ow, c * kh * kw) up into images of x_shape (n, c, h, w)."""
    cdef nnf_conv d
    check_array(col, "col", 2)
    set_image_shape(&d, x_shape, "x_shape")
    set_kernel(&d, kernel_size, stride, padding, dilation)
    cdef int64_t rows = checked_product(checked_product(d.n, d.oh, "col"), d.ow, "col")
    cdef int64_t taps = checked_product(checked_product(d.c, d.kh, "col"), d.kw, "col")
    if cnp.PyArray_DIM(col, 0) != rows or cnp.PyArray_DIM(col, 1) != taps:
        raise ValueError(f"col must have shape {(rows, taps)}, got {col.shape}")
    cdef cnp.ndarray x = new_4d(d.n, d.c, d.h, d.w, col)
    cdef PyThreadState *gil = release_gil(<double>rows * <double>taps)
    cdef int status = nnf_col2im(dtype_of(x), &d, data_of(col), data_of(x))
    retake_gil(gil, status)
    return x
