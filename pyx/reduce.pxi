# reduce.pxi: reductions over axes that lie side by side: x is (outer, len, inner) to the kernel.

ctypedef int (*reduction)(nnf_dtype, int64_t, int64_t, int64_t, const void *, void *) noexcept nogil


cdef int check_axes(object axis, int ndim, int *first, int *last) except -1:
    """Axes [first, last) from None, an integer or a tuple of neighbouring axes."""
    cdef uint64_t seen = 0
    cdef int64_t one
    cdef int count = 0
    first[0] = 0
    last[0] = ndim
    if axis is None:
        return 0
    for value in axis if isinstance(axis, (tuple, list)) else (axis,):
        one = check_int(value, "axis", -ndim, ndim - 1)
        if one < 0:
            one += ndim
        if seen >> one & 1:
            raise ValueError(f"axis must not name an axis twice, got {axis!r}")
        seen |= <uint64_t>1 << one
        count += 1
    while first[0] < ndim and not seen >> first[0] & 1:
        first[0] += 1
    last[0] = first[0] + count
    if seen != (((<uint64_t>1 << count) - 1) << first[0] if count else 0):
        raise ValueError(f"axis must name axes that lie side by side, got {axis!r}")
    return 0


cdef object reduce_axes(reduction function, bint of_nothing, object x, object axis, object keepdims):
    """The result of a reduction; of_nothing says whether an empty axis has one."""
    cdef int first, last, i, ndim
    cdef int kept = 0
    cdef int64_t size, outer = 1, length = 1, inner = 1
    cdef intp shape[64]
    check_array(x, "x")
    ndim = cnp.PyArray_NDIM(<cnp.ndarray>x)
    check_axes(axis, ndim, &first, &last)
    cdef bint keep = keepdims
    for i in range(ndim):
        size = cnp.PyArray_DIM(<cnp.ndarray>x, i)
        if i < first:
            outer *= size
        elif i < last:
            length *= size
        else:
            inner *= size
        if keep or not first <= i < last:
            shape[kept] = 1 if first <= i < last else size
            kept += 1
    if length == 0 and not of_nothing:
        raise ValueError(f"x has no maximum: shape {x.shape} is empty along axis {axis}")
    cdef cnp.ndarray y = new_array(kept, shape, cnp.PyArray_TYPE(<cnp.ndarray>x))
    cdef PyThreadState *gil = release_gil(0.3 * <double>cnp.PyArray_SIZE(<cnp.ndarray>x))
    cdef int status = function(dtype_of(y), outer, length, inner, data_of(x), data_of(y))
    retake_gil(gil, status)
    return y if kept else y[()]


def reduce_sum(x, axis=None, keepdims=False):
    """Return the sum over neighbouring axes; None means all of them. The sum of nothing is 0."""
    return reduce_axes(nnf_reduce_sum, True, x, axis, keepdims)


def reduce_mean(x, axis=None, keepdims=False):
    """Return the mean over neighbouring axes; the mean of nothing is NaN."""
    return reduce_axes(nnf_reduce_mean, True, x, axis, keepdims)


def reduce_max(x, axis=None, keepdims=False):
    """Return the maximum over neighbouring axes; NaN wins."""
    return reduce_axes(nnf_reduce_max, False, x, axis, keepdims)
