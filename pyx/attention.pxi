# attention.pxi: scaled dot-product attention; q (N, Tq, heads*d), k (N, Tk, heads*d),
# v (N, Tk, heads*dv), or the three side by side, qkv (N, T, 3*heads*d).


cdef int64_t check_heads(object heads, cnp.ndarray x, str name, int64_t parts) except -1:
    """The features of one head of x, whose last axis holds `parts` times `heads` of them."""
    cdef int64_t count = check_int(heads, "heads", 1), width = cnp.PyArray_DIM(x, 2)
    if width == 0 or width % (parts * count) != 0:
        raise ValueError(f"the last axis of {name} must be a positive multiple of "
                         f"{'3 * ' if parts == 3 else ''}heads={count}, got shape {(<object>x).shape}")
    return width // (parts * count)


cdef int check_options(nnf_attention_dims *a, cnp.ndarray q, object mask, object causal,
                       object scale) except -1:
    """What is left of `a` when its sizes are known: mask, causal, scale."""
    cdef cnp.ndarray m
    cdef int64_t whole[4]
    cdef int64_t step[4]
    cdef int64_t stride = 1, size
    cdef int i, axes
    a.causal = bool(causal)
    a.scale = 1 / sqrt(a.d) if scale is None else check_float(scale, "scale", -DBL_MAX, DBL_MAX)
    a.mask_n = a.mask_head = a.mask_q = a.mask_k = 0
    if mask is None:
        return 0
    if not isinstance(mask, cnp.ndarray):
        raise TypeError(f"mask must be a NumPy array or None, got {describe(mask)}")
    m = <cnp.ndarray>mask
    if cnp.PyArray_TYPE(m) != cnp.NPY_BOOL and cnp.PyArray_TYPE(m) != cnp.PyArray_TYPE(q):
        raise TypeError(f"mask must be bool or of the dtype of the queries, {q.dtype}, got {m.dtype}")
    if not cnp.PyArray_ISCARRAY_RO(m):
        raise ValueError("mask must be C-contiguous, aligned and in native byte order; pass "
                         "np.ascontiguousarray(mask)")
    whole[0], whole[1], whole[2], whole[3] = a.n, a.heads, a.tq, a.tk
    axes = cnp.PyArray_NDIM(m)
    for i in range(1, 5):
        size = cnp.PyArray_DIM(m, axes - i) if i <= axes else 1
        if axes > 4 or size != 1 and size != whole[4 - i]:
            raise ValueError(f"mask must broadcast to (N, heads, Tq, Tk), here "
                             f"{(a.n, a.heads, a.tq, a.tk)}, got shape {mask.shape}")
        step[4 - i] = stride if size != 1 else 0
        stride *= size
    a.mask_n, a.mask_head, a.mask_q, a.mask_k = step[0], step[1], step[2], step[3]
    return 0


cdef int check_attention(nnf_attention_dims *a, object q, object k, object v,
                         object heads) except -1:
    """Check q, k and v, and put their sizes into `a`."""
    check_array(q, "q", 3)
    check_array(k, "k", 3)
    check_array(v, "v", 3)
    check_same_dtype(k, "k", q, "q")
    check_same_dtype(v, "v", q, "q")
    cdef const intp *sq = cnp.PyArray_DIMS(q)
    cdef const intp *sk = cnp.PyArray_DIMS(k)
    cdef const intp *sv = cnp.PyArray_DIMS(v)
    a.d = check_heads(heads, q, "q", 1)
    a.dv = check_heads(heads, v, "v", 1)
    a.n, a.tq, a.ldq = sq[0], sq[1], sq[2]
    a.heads, a.tk, a.ldk, a.ldv = a.ldq // a.d, sk[1], sk[2], sv[2]
    if sk[0] != a.n or sk[2] != sq[2]:
        raise ValueError(f"k must have shape ({a.n}, Tk, {sq[2]}) to match q {q.shape}, "
                         f"got {k.shape}")
    if sv[0] != a.n or sv[1] != a.tk:
        raise ValueError(f"v must have shape ({a.n}, {a.tk}, heads * dv) to match k {k.shape}, "
                         f"got {v.shape}")
    return 0


cdef int check_self_attention(nnf_attention_dims *a, object qkv, object heads) except -1:
    """Check qkv and put its sizes into `a`."""
    check_array(qkv, "qkv", 3)
    cdef const intp *shape = cnp.PyArray_DIMS(qkv)
    a.d = a.dv = check_heads(heads, qkv, "qkv", 3)
    a.n, a.tq, a.tk = shape[0], shape[1], shape[1]
    a.ldq = a.ldk = a.ldv = shape[2]
    a.heads = shape[2] // (3 * a.d)
    return 0


cdef inline double attention_time(nnf_attention_dims *a) noexcept:
    """Nanoseconds, roughly, of the forward pass."""
    return <double>a.n * a.heads * a.tq * a.tk * (0.02 * (a.d + a.dv) + 0.3)


cdef const uint8_t *bytes_of(object mask) noexcept:
    """A mask of booleans; NULL for any other."""
    if mask is None or cnp.PyArray_TYPE(<cnp.ndarray>mask) != cnp.NPY_BOOL:
        return NULL
    return <const uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>mask)


cdef const void *reals_of(object mask) noexcept:
    """A mask of numbers; NULL for any other."""
    if mask is None or cnp.PyArray_TYPE(<cnp.ndarray>mask) == cnp.NPY_BOOL:
        return NULL
    return cnp.PyArray_DATA(<cnp.ndarray>mask)


cdef tuple attend(nnf_attention_dims *a, cnp.ndarray like, const char *q, const char *k,
                  const char *v, object mask):
    """New arrays y (N, Tq, heads*dv) and lse (N, heads, Tq)."""
    cdef intp shape[3]
    shape[0], shape[1], shape[2] = a.n, a.tq, a.heads * a.dv
    cdef cnp.ndarray y = new_array(3, shape, cnp.PyArray_TYPE(like))
    shape[1], shape[2] = a.heads, a.tq
    cdef cnp.ndarray lse = new_array(3, shape, cnp.PyArray_TYPE(like))
    cdef PyThreadState *gil = release_gil(attention_time(a))
    cdef int status = nnf_attention(dtype_of(like), a, q, k, v, bytes_of(mask), reals_of(mask),
                                    data_of(y), data_of(lse))
    retake_gil(gil, status)
    return y, lse


cdef int check_results(nnf_attention_dims *a, cnp.ndarray like, object dy, object y,
                       object lse) except -1:
    """Raise unless dy, y and lse have the shapes of the results, in the dtype of `like`."""
    cdef object of_y = (a.n, a.tq, a.heads * a.dv), of_lse = (a.n, a.heads, a.tq)
    for value, name, shape in ((dy, "dy", of_y), (y, "y", of_y), (lse, "lse", of_lse)):
        check_array(value, name, 3)
        check_same_dtype(value, name, like, "the queries")
        if value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
    return 0


cdef int attend_backward(nnf_attention_dims *a, cnp.ndarray like, object dy, const char *q,
                         const char *k, const char *v, object mask, object y, object lse, char *dq,
                         char *dk, char *dv) except -1:
    cdef PyThreadState *gil = release_gil(2.5 * attention_time(a))
    cdef int status = nnf_attention_backward(dtype_of(like), a, data_of(dy), q, k, v,
                                             bytes_of(mask), reals_of(mask), data_of(y),
                                             data_of(lse), dq, dk, dv)
    return retake_gil(gil, status)


def attention(q, k, v, heads=1, mask=None, causal=False, scale=None):
    """softmax(scale * q k^T + mask) v for each head; return (y, lse)."""
    cdef nnf_attention_dims a
    check_attention(&a, q, k, v, heads)
    check_options(&a, q, mask, causal, scale)
    return attend(&a, q, <char *>data_of(q), <char *>data_of(k), <char *>data_of(v), mask)


def attention_backward(dy, q, k, v, y, lse, heads=1, mask=None, causal=False, scale=None):
    """Gradients (dq, dk, dv) of attention."""
    cdef nnf_attention_dims a
    check_attention(&a, q, k, v, heads)
    check_options(&a, q, mask, causal, scale)
    check_results(&a, q, dy, y, lse)
    cdef cnp.ndarray dq = new_like(q)
    cdef cnp.ndarray dk = new_like(k)
    cdef cnp.ndarray dv = new_like(v)
    attend_backward(&a, q, dy, <char *>data_of(q), <char *>data_of(k), <char *>data_of(v), mask, y,
                    lse, <char *>data_of(dq), <char *>data_of(dk), <char *>data_of(dv))
    return dq, dk, dv


def self_attention(qkv, heads=1, mask=None, causal=False, scale=None):
    """attention of queries, keys and values that lie side by side; return (y, lse)."""
    cdef nnf_attention_dims a
    check_self_attention(&a, qkv, heads)
    check_options(&a, qkv, mask, causal, scale)
    cdef char *data = <char *>data_of(qkv)
    cdef int64_t part = a.heads * a.d * cnp.PyArray_ITEMSIZE(qkv)
    return attend(&a, qkv, data, data + part, data + 2 * part, mask)


def self_attention_backward(dy, qkv, y, lse, heads=1, mask=None, causal=False, scale=None):
    """Gradient dqkv of self_attention."""
    cdef nnf_attention_dims a
    check_self_attention(&a, qkv, heads)
    check_options(&a, qkv, mask, causal, scale)
    check_results(&a, qkv, dy, y, lse)
    cdef cnp.ndarray dqkv = new_like(qkv)
    cdef char *data = <char *>data_of(qkv)
    cdef char *gradient = <char *>data_of(dqkv)
    cdef int64_t part = a.heads * a.d * cnp.PyArray_ITEMSIZE(qkv)
    attend_backward(&a, qkv, dy, data, data + part, data + 2 * part, mask, y, lse, gradient,
                    gradient + part, gradient + 2 * part)
    return dqkv
