# embedding.pxi: rows of a table by their numbers; indices of any shape, a row for each of them.


cdef int check_indices(object indices) except -1:
    if not isinstance(indices, cnp.ndarray):
        raise TypeError(f"indices must be a NumPy array of int64, got {describe(indices)}")
    if not cnp.PyArray_EquivTypenums(cnp.PyArray_TYPE(<cnp.ndarray>indices), cnp.NPY_INT64):
        raise TypeError(f"indices must have dtype int64, got {describe(indices)}")
    if not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>indices):
        raise ValueError("indices must be C-contiguous, aligned and in native byte order; pass "
                         "np.ascontiguousarray(indices)")
    return 0


cdef int raise_bad_index(cnp.ndarray indices, int64_t rows) except -1:
    """Name the first index out of range."""
    cdef int64_t i
    cdef const int64_t *index = <const int64_t *>cnp.PyArray_DATA(indices)
    for i in range(cnp.PyArray_SIZE(indices)):
        if not 0 <= index[i] < rows:
            raise ValueError(f"indices must lie in [0, {rows - 1}], the rows of the table, got "
                             f"{index[i]} at position {i}")
    return 0


cdef struct embedding_sizes:
    int64_t n, dim, rows


cdef embedding_sizes check_embedding_backward(object dy, object indices,
                                              object num_embeddings) except *:
    cdef embedding_sizes s
    check_array(dy, "dy")
    check_indices(indices)
    s.rows = check_int(num_embeddings, "num_embeddings", 0)
    s.n = cnp.PyArray_SIZE(<cnp.ndarray>indices)
    cdef int axes = cnp.PyArray_NDIM(<cnp.ndarray>dy) - 1
    if axes < 0 or dy.shape[:axes] != indices.shape:
        raise ValueError(f"dy must have the shape of indices, {indices.shape}, and one axis more, "
                         f"got {dy.shape}")
    s.dim = cnp.PyArray_DIM(<cnp.ndarray>dy, axes)
    return s


def embedding(indices, weight):
    """Return the rows of weight with these numbers."""
    check_indices(indices)
    check_array(weight, "weight", 2)
    cdef cnp.ndarray table = weight, numbers = indices
    cdef int i, axes = cnp.PyArray_NDIM(numbers)
    cdef intp shape[64]
    if axes > 31:
        raise ValueError(f"indices must have at most 31 axes, got {axes}")
    for i in range(axes):
        shape[i] = cnp.PyArray_DIM(numbers, i)
    shape[axes] = cnp.PyArray_DIM(table, 1)
    cdef cnp.ndarray y = new_array(axes + 1, shape, cnp.PyArray_TYPE(table))
    cdef PyThreadState *gil = release_gil(0.3 * cnp.PyArray_SIZE(y))
    cdef int status = nnf_embedding(dtype_of(table), cnp.PyArray_SIZE(numbers), shape[axes],
                                    cnp.PyArray_DIM(table, 0), <const int64_t *>data_of(numbers),
                                    data_of(table), data_of(y))
    retake_gil(gil, NNF_OK if status == NNF_BAD_INDEX else status)
    if status == NNF_BAD_INDEX:
        raise_bad_index(numbers, cnp.PyArray_DIM(table, 0))
    return y


def embedding_backward(dy, indices, num_embeddings):
    """Return the gradient of the table, summed over equal indices."""
    cdef embedding_sizes s = check_embedding_backward(dy, indices, num_embeddings)
    cdef cnp.ndarray dweight = new_2d(s.rows, s.dim, dy)
    cdef PyThreadState *gil = release_gil(0.3 * (s.n + s.rows) * s.dim)
    cdef int status = nnf_embedding_backward(dtype_of(dy), s.n, s.dim, s.rows, data_of(dy),
                                             <const int64_t *>data_of(indices), data_of(dweight))
    retake_gil(gil, NNF_OK if status == NNF_BAD_INDEX else status)
    if status == NNF_BAD_INDEX:
        raise_bad_index(indices, s.rows)
    return dweight


def embedding_backward_rows(dy, indices, num_embeddings):
    """Return the numbers of the rows of the table that have a gradient, and these gradients."""
    cdef embedding_sizes s = check_embedding_backward(dy, indices, num_embeddings)
    cdef intp n = s.n
    cdef int64_t count = 0
    cdef cnp.ndarray found = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT64, 0)
    cdef cnp.ndarray values = new_2d(s.n, s.dim, dy)
    cdef PyThreadState *gil = release_gil(0.3 * s.n * s.dim)
    cdef int status = nnf_embedding_backward_rows(
        dtype_of(dy), s.n, s.dim, s.rows, data_of(dy), <const int64_t *>data_of(indices),
        <int64_t *>data_of(found), &count, data_of(values))
    retake_gil(gil, NNF_OK if status == NNF_BAD_INDEX else status)
    if status == NNF_BAD_INDEX:
        raise_bad_index(indices, s.rows)
    return found[:count], values[:count]
