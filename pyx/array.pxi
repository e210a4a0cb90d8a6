# array.pxi: all argument checks, and the making of result arrays.
#
# Every check raises TypeError or ValueError that names the argument, what it got and what it needs.

cdef extern from *:
    """
    /* Result arrays live in the pool of csrc/alloc.c: NumPy frees them through this handler
     * (NEP 49), which it keeps with each array. */
    #include <string.h>
    #include "nnfast.h"

    static void *pool_malloc(void *ctx, size_t size) { (void)ctx; return nnf_alloc(size); }
    static void *pool_calloc(void *ctx, size_t n, size_t size) {
        (void)ctx;
        if (size && n > SIZE_MAX / size) return NULL;
        void *block = nnf_alloc(n * size);
        return block ? memset(block, 0, n * size) : NULL;
    }
    static void *pool_realloc(void *ctx, void *block, size_t size) {
        (void)ctx;
        if (!block) return nnf_alloc(size);
        const size_t old = nnf_block_size(block);
        void *grown = nnf_alloc(size);
        if (!grown) return NULL;
        memcpy(grown, block, old < size ? old : size);
        nnf_free(block);
        return grown;
    }
    static void pool_free(void *ctx, void *block, size_t size) {
        (void)ctx; (void)size; nnf_free(block);
    }
    static PyDataMem_Handler pool_handler = {
        "nnfast", 1, {NULL, pool_malloc, pool_calloc, pool_realloc, pool_free}
    };
    static PyObject *pool_capsule(void) {
        return PyCapsule_New(&pool_handler, "mem_handler", NULL);
    }
    static PyObject *pool_array(int nd, npy_intp const *shape, int type, size_t size,
                                PyObject *capsule) {
        void *data = nnf_alloc(size);
        if (!data) return PyErr_NoMemory();
        PyObject *array = PyArray_New(&PyArray_Type, nd, (npy_intp *)shape, type, NULL, data, 0,
                                      NPY_ARRAY_CARRAY, NULL);
        if (!array) { nnf_free(data); return NULL; }
        PyArray_ENABLEFLAGS((PyArrayObject *)array, NPY_ARRAY_OWNDATA);
        Py_INCREF(capsule);
        ((PyArrayObject_fields *)array)->mem_handler = capsule;
        return array;
    }
    """
    object pool_capsule()
    cnp.ndarray pool_array(int nd, const cnp.npy_intp *shape, int type, size_t size, object capsule)

cdef object _pool_capsule = pool_capsule()

cdef enum:
    POOL_BYTES = 1024  # below this NumPy's own cache of small blocks is faster than the pool
    MAX_SIZE = 1 << 30  # of a stride, padding...: sums and products of two cannot overflow
    GIL_WORK = 20000  # nanoseconds of work from which giving up the GIL is worth it

ctypedef cnp.npy_intp intp


cdef inline nnf_dtype dtype_of(cnp.ndarray x) noexcept:
    return NNF_F32 if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32 else NNF_F64


cdef str describe(object value):
    """What an argument is, for an error message."""
    if isinstance(value, cnp.ndarray):
        return f"an array of dtype {value.dtype} and shape {value.shape}"
    return f"{value!r} of type {type(value).__name__}"


cdef int check_array(object value, str name, int ndim=-1) except -1:
    """Raise unless `value` is an aligned C-contiguous float32 or float64 array (of ndim axes)."""
    cdef cnp.ndarray x
    cdef int kind
    if not isinstance(value, cnp.ndarray):
        raise TypeError(f"{name} must be a NumPy array of float32 or float64, got {describe(value)}")
    x = <cnp.ndarray>value
    kind = cnp.PyArray_TYPE(x)
    if kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64:
        raise TypeError(f"{name} must have dtype float32 or float64, got {describe(value)}")
    if not (cnp.PyArray_ISCARRAY_RO(x)):
        raise ValueError(f"{name} must be C-contiguous, aligned and in native byte order; pass "
                         f"np.ascontiguousarray({name})")
    if ndim >= 0 and cnp.PyArray_NDIM(x) != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got {describe(value)}")
    return 0


def runtime_are_ready(tuple values):
    """Whether check_array lets all values but None pass, and they have one dtype."""
    cdef int kind = -1
    for value in values:
        if value is None:
            continue
        if not (cnp.PyArray_CheckExact(value) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>value)):
            return False
        if kind < 0:
            kind = cnp.PyArray_TYPE(<cnp.ndarray>value)
        elif kind != cnp.PyArray_TYPE(<cnp.ndarray>value):
            return False
    return kind == cnp.NPY_FLOAT32 or kind == cnp.NPY_FLOAT64


cdef int check_same_dtype(cnp.ndarray x, str name, cnp.ndarray other, str other_name) except -1:
    if cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(other):
        raise TypeError(f"{name} must have the dtype of {other_name}, {other.dtype}, got {x.dtype}")
    return 0


cdef int check_same_shape(cnp.ndarray x, str name, cnp.ndarray other, str other_name) except -1:
    """Raise unless x has the dtype and shape of other."""
    check_same_dtype(x, name, other, other_name)
    if not cnp.PyArray_SAMESHAPE(x, other):
        raise ValueError(f"{name} must have the shape of {other_name}, {(<object>other).shape}, "
                         f"got {(<object>x).shape}")
    return 0


cdef cnp.ndarray check_like(object value, str name, cnp.ndarray other, str other_name):
    """`value` as an array like other: same dtype, same shape."""
    check_array(value, name)
    check_same_shape(value, name, other, other_name)
    return <cnp.ndarray>value


cdef cnp.ndarray check_vector(object value, str name, int64_t length, cnp.ndarray other,
                              str other_name):
    """`value` as a vector of `length` elements in other's dtype; None stays None."""
    if value is None:
        return None
    check_array(value, name, 1)
    check_same_dtype(value, name, other, other_name)
    if cnp.PyArray_DIM(value, 0) != length:
        raise ValueError(f"{name} must have shape ({length},), got {value.shape}")
    return <cnp.ndarray>value


cdef int check_output(object value, str name) except -1:
    """Raise unless `value` can be written in place."""
    check_array(value, name)
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>value):
        raise ValueError(f"{name} is updated in place and must be writeable, got a read-only array")
    return 0


cdef int check_apart(cnp.ndarray x, str name, cnp.ndarray other, str other_name) except -1:
    """Raise if two contiguous arrays share memory."""
    cdef char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(other)
    if a < b + cnp.PyArray_NBYTES(other) and b < a + cnp.PyArray_NBYTES(x):
        raise ValueError(f"{name} must not share memory with {other_name}")
    return 0


cdef inline void *data_of(cnp.ndarray x) noexcept:
    """Pointer to the data; NULL for None."""
    return NULL if x is None else cnp.PyArray_DATA(x)


cdef cnp.ndarray new_array(int ndim, const intp *shape, int type_num):
    """An uninitialised C-contiguous array; sizes that overflow are a ValueError."""
    cdef int64_t size = 8 if type_num == cnp.NPY_FLOAT64 else 4
    cdef int64_t limit = (<int64_t>1) << 46
    cdef int i
    for i in range(ndim):
        if shape[i] == 0:
            return cnp.PyArray_EMPTY(ndim, <intp *>shape, type_num, 0)
    for i in range(ndim):
        if size > limit // shape[i]:
            raise ValueError(f"the result's shape {tuple([shape[j] for j in range(ndim)])} is too large")
        size *= shape[i]
    if size < POOL_BYTES:
        return cnp.PyArray_EMPTY(ndim, <intp *>shape, type_num, 0)
    return pool_array(ndim, shape, type_num, size, _pool_capsule)


cdef inline cnp.ndarray new_like(cnp.ndarray x):
    return new_array(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))


cdef cnp.ndarray new_1d(int64_t n, cnp.ndarray like):
    cdef intp shape[1]
    shape[0] = n
    return new_array(1, shape, cnp.PyArray_TYPE(like))


cdef cnp.ndarray new_2d(int64_t n, int64_t m, cnp.ndarray like):
    cdef intp shape[2]
    shape[0] = n
    shape[1] = m
    return new_array(2, shape, cnp.PyArray_TYPE(like))


cdef cnp.ndarray new_4d(int64_t n, int64_t c, int64_t h, int64_t w, cnp.ndarray like):
    cdef intp shape[4]
    shape[0] = n
    shape[1] = c
    shape[2] = h
    shape[3] = w
    return new_array(4, shape, cnp.PyArray_TYPE(like))


cdef extern from "Python.h":
    ctypedef struct PyThreadState
    object PyNumber_Index(object value)
    PyThreadState *PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState *state)


cdef inline PyThreadState *release_gil(double work) noexcept:
    """Release the GIL for a kernel of `work` nanoseconds, unless that is too little: NULL then."""
    return PyEval_SaveThread() if work >= GIL_WORK else NULL


cdef inline int retake_gil(PyThreadState *state, int status) except -1:
    """Take the GIL back and raise if the kernel's status says so."""
    if state != NULL:
        PyEval_RestoreThread(state)
    if status != NNF_OK:
        raise MemoryError("not enough memory for the result or its scratch space")
    return 0


cdef int64_t check_int(object value, str name, int64_t low, int64_t high=MAX_SIZE) except? -1:
    """`value` as an integer in [low, high]."""
    cdef int64_t number
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {describe(value)}")
    try:
        index = PyNumber_Index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {describe(value)}") from None
    if not low <= index <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {index}")
    number = index
    return number


cdef int check_pair(object value, str name, int64_t low, int64_t *first, int64_t *second) except -1:
    """`value`, an integer or a pair of them (height, width), into first and second."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair of integers, got {value!r}")
        first[0] = check_int(value[0], name, low)
        second[0] = check_int(value[1], name, low)
    else:
        first[0] = second[0] = check_int(value, name, low)
    return 0


cdef double check_float(object value, str name, double low, double high) except? -1:
    """`value` as a finite float in [low, high]."""
    cdef double number
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a number, got {describe(value)}")
    try:
        number = value
    except TypeError:  # an array
        raise TypeError(f"{name} must be a number, got {describe(value)}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} must be from {low:g} to {high:g}, got {value!r}")
    return number


cdef double check_fraction(object value, str name) except? -1:
    """`value` as a float in [0, 1)."""
    cdef double number = check_float(value, name, 0, 1)
    if number == 1:
        raise ValueError(f"{name} must be less than 1, got {value!r}")
    return number
