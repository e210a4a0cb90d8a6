# loss.pxi: cross-entropy over x (N, C) and the mean squared error over any shape.

cdef nnf_reduction reduction_of(object value) except *:
    if not isinstance(value, str):
        raise TypeError(f"reduction must be 'mean', 'sum' or 'none', got {describe(value)}")
    if value == "mean":
        return NNF_MEAN
    if value == "sum":
        return NNF_SUM
    if value == "none":
        return NNF_NONE
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {value!r}")

cdef int check_labels(cnp.ndarray labels, int64_t rows, int64_t cols, int64_t ignored) except -1:
    """Raise unless `labels` has one class number, or `ignored`, for each row."""
    cdef int64_t i
    cdef const int64_t *label = <const int64_t *>cnp.PyArray_DATA(labels)
    if cnp.PyArray_DIM(labels, 0) != rows:
        raise ValueError(f"target must have one label for each of the {rows} rows of x, "
                         f"got {describe(labels)}")
    for i in range(rows):
        if not 0 <= label[i] < cols and label[i] != ignored:
            raise ValueError(f"target must hold labels from 0 to {cols - 1} or ignore_index "
                             f"{ignored}, got {label[i]} at position {i}")
    return 0

cdef struct cross_entropy_arguments:
    int64_t rows, cols, ignored
    const int64_t *labels
    const void *target
    double smoothing
    nnf_reduction reduction

cdef int cross_entropy_check(cross_entropy_arguments *a, object x, object target,
                             object sample_weight, object ignore_index, object label_smoothing,
                             object reduction) except -1:
    check_array(x, "x", 2)
    a.rows, a.cols = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    a.ignored = check_int(ignore_index, "ignore_index", INT64_MIN, INT64_MAX)
    a.smoothing = check_float(label_smoothing, "label_smoothing", 0, 1)
    a.reduction = reduction_of(reduction)
    a.labels, a.target = NULL, NULL
    check_vector(sample_weight, "sample_weight", a.rows, x, "x")
    if not isinstance(target, cnp.ndarray):
        raise TypeError(f"target must be a NumPy array of labels or probabilities, "
                        f"got {describe(target)}")
    if cnp.PyArray_NDIM(target) == 2:
        check_like(target, "target", x, "x")
        a.target = data_of(target)
        return 0
    if cnp.PyArray_NDIM(target) != 1:
        raise ValueError(f"target must have 1 axis (labels) or 2 (probabilities), "
                         f"got {describe(target)}")
    if not cnp.PyArray_EquivTypenums(cnp.PyArray_TYPE(target), cnp.NPY_INT64):
        raise TypeError(f"target must hold labels of dtype int64, got {describe(target)}")
    if not cnp.PyArray_ISCARRAY_RO(target):
        raise ValueError("target must be C-contiguous, aligned and in native byte order; pass "
                         "np.ascontiguousarray(target)")
    check_labels(target, a.rows, a.cols, a.ignored)
    a.labels = <const int64_t *>data_of(target)
    return 0

cdef cnp.ndarray each_dloss(object dloss, cnp.ndarray like, nnf_reduction reduction,
                            double *factor):
    """The array `dloss` is, or None where it is one number, which then multiplies the factor."""
    if isinstance(dloss, cnp.ndarray) and cnp.PyArray_NDIM(dloss):
        if reduction != NNF_NONE:
            raise ValueError(f"dloss must be a number unless reduction is 'none', "
                             f"got {describe(dloss)}")
        return check_like(dloss, "dloss", like, "the loss")
    if isinstance(dloss, (str, bytes)) or not hasattr(dloss, "__float__"):
        raise TypeError(f"dloss must be a number, got {describe(dloss)}")
    factor[0] *= float(dloss)
    return None

def cross_entropy(x, target, sample_weight=None, ignore_index=-100, label_smoothing=0.0,
                  reduction="mean"):
    """Return the softmax cross-entropy and the log-sum-exp of each row."""
    cdef cross_entropy_arguments a
    cross_entropy_check(&a, x, target, sample_weight, ignore_index, label_smoothing, reduction)
    cdef cnp.ndarray lse = new_1d(a.rows, x)
    cdef cnp.ndarray loss = new_1d(a.rows if a.reduction == NNF_NONE else 1, x)
    cdef PyThreadState *gil = release_gil(2.0 * a.rows * a.cols)
    cdef int status = nnf_cross_entropy(dtype_of(x), a.rows, a.cols, data_of(x), a.labels,
                                        a.target, data_of(sample_weight), a.ignored, a.smoothing,
                                        a.reduction, data_of(loss), data_of(lse))
    retake_gil(gil, status)
    return (loss if a.reduction == NNF_NONE else loss[0]), lse

def cross_entropy_backward(x, target, lse, sample_weight=None, ignore_index=-100,
                           label_smoothing=0.0, reduction="mean", dloss=1.0):
    """Return the gradient of cross_entropy with respect to x."""
    cdef cross_entropy_arguments a
    cross_entropy_check(&a, x, target, sample_weight, ignore_index, label_smoothing, reduction)
    if lse is None:
        raise TypeError("lse must be the array that cross_entropy returned, got None")
    check_vector(lse, "lse", a.rows, x, "x")
    cdef double factor = 1
    cdef cnp.ndarray each = each_dloss(dloss, lse, a.reduction, &factor)
    cdef cnp.ndarray dx = new_like(x)
    cdef PyThreadState *gil = release_gil(2.0 * a.rows * a.cols)
    cdef int status = nnf_cross_entropy_backward(
        dtype_of(x), a.rows, a.cols, data_of(x), a.labels, a.target, data_of(lse),
        data_of(sample_weight), data_of(each), a.ignored, a.smoothing, a.reduction, factor,
        data_of(dx))
    retake_gil(gil, status)
    return dx

def mse_loss(x, target, reduction="mean"):
    """Return the mean, sum or array of (x - target) ** 2."""
    check_array(x, "x")
    check_like(target, "target", x, "x")
    cdef nnf_reduction kind = reduction_of(reduction)
    cdef cnp.ndarray loss = new_like(x) if kind == NNF_NONE else new_1d(1, x)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_mse_loss(dtype_of(x), n, data_of(x), data_of(target), kind,
                                   data_of(loss))
    retake_gil(gil, status)
    return loss if kind == NNF_NONE else loss[0]

def mse_loss_backward(x, target, reduction="mean", dloss=1.0):
    """Return the gradient of mse_loss with respect to x."""
    check_array(x, "x")
    check_like(target, "target", x, "x")
    cdef nnf_reduction kind = reduction_of(reduction)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    cdef double factor = 2
    cdef cnp.ndarray each = each_dloss(dloss, x, kind, &factor)
    if kind == NNF_MEAN and n > 0:
        factor /= <double>n
    cdef cnp.ndarray dx = new_like(x)
    cdef PyThreadState *gil = release_gil(<double>n)
    cdef int status = nnf_mse_loss_backward(dtype_of(x), n, data_of(x), data_of(target),
                                            data_of(each), factor, data_of(dx))
    retake_gil(gil, status)
    return dx
