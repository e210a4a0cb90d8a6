# optim.pxi: one optimizer step on param, of any shape; the state has its shape and dtype. param and
# state change in place. Each may also be a list or tuple of arrays: all tensors are checked first,
# then updated together, those of each dtype by one call of the kernel.

cdef extern from *:
    """
    #include <stdlib.h>

    /* The memory of an array, which one it is, and whether it is written. */
    typedef struct {
        const char *begin, *end;
        int64_t tensor;
        int which, written;
    } nnf_interval;

    static int compare_intervals(const void *a, const void *b) {
        const char *x = ((const nnf_interval *)a)->begin, *y = ((const nnf_interval *)b)->begin;
        return x < y ? -1 : x > y;
    }
    /* The first of two neighbours in memory of which one is written and that overlap, or -1. */
    static int64_t find_overlap(int64_t count, nnf_interval *a, int64_t *other) {
        qsort(a, (size_t)count, sizeof *a, compare_intervals);
        int64_t farthest = 0, written = -1; /* that end last, of all and of those written */
        for (int64_t i = 0; i < count; i++) {
            if (i > 0 && a[i].written && a[i].begin < a[farthest].end) {
                *other = farthest;
                return i;
            }
            if (written >= 0 && a[i].begin < a[written].end) {
                *other = written;
                return i;
            }
            if (a[i].end > a[farthest].end) farthest = i;
            if (a[i].written && (written < 0 || a[i].end > a[written].end)) written = i;
        }
        return -1;
    }
    """
    ctypedef struct nnf_interval:
        const char *begin
        const char *end
        int64_t tensor
        int which
        int written
    int64_t find_overlap(int64_t count, nnf_interval *intervals, int64_t *other)

# The tensors of a call, those of float32 first.
cdef struct tensors:
    int64_t count, singles
    double elements
    nnf_tensor *t
    void *block


cdef inline bint fits(object value, object param, bint written) noexcept:
    """Whether an array can be used beside param, or be param."""
    return (isinstance(value, cnp.ndarray) and isinstance(param, cnp.ndarray)
            and cnp.PyArray_TYPE(<cnp.ndarray>value) == cnp.PyArray_TYPE(<cnp.ndarray>param)
            and (cnp.PyArray_TYPE(<cnp.ndarray>value) == cnp.NPY_FLOAT32
                 or cnp.PyArray_TYPE(<cnp.ndarray>value) == cnp.NPY_FLOAT64)
            and cnp.PyArray_SAMESHAPE(<cnp.ndarray>value, <cnp.ndarray>param)
            and (cnp.PyArray_ISCARRAY(<cnp.ndarray>value) if written
                 else cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>value)))


cdef int refuse(tuple names, tuple arrays, int64_t i) except -1:
    """Raise what is wrong with the arrays of one tensor, number i of several or -1."""
    for which, value in enumerate(arrays):
        name = names[which] if i < 0 else f"{names[which]}[{i}]"
        if which == 1:
            check_array(value, name)
        else:
            check_output(value, name)
        if which:
            check_same_shape(value, name, arrays[0], names[0] if i < 0 else f"{names[0]}[{i}]")
    raise AssertionError("a tensor was refused for no reason")


cdef str name_of(tuple names, const nnf_interval *interval, bint several):
    return names[interval.which] + (f"[{interval.tensor}]" if several else "")


cdef tuple gather(tuple names, tuple arrays, tensors *all):
    """Check all arrays: `arrays` has, in the order of `names`, an array or a list or tuple of them.

    Return what keeps them alive. The caller frees all.block.
    """
    cdef bint several = isinstance(arrays[0], (list, tuple))
    cdef int width = <int>len(names), which
    cdef int64_t i, low = 0, high, at, other = 0
    cdef nnf_interval *intervals
    cdef nnf_interval *interval
    cdef nnf_tensor *t
    cdef cnp.ndarray param
    cdef tuple one
    if several:
        for which in range(1, width):
            if not isinstance(arrays[which], (list, tuple)):
                raise TypeError(f"{names[which]} must be a list or tuple of arrays, as param is, "
                                f"got {describe(arrays[which])}")
            if len(arrays[which]) != len(arrays[0]):
                raise ValueError(f"{names[which]} must have as many arrays as param, "
                                 f"{len(arrays[0])}, got {len(arrays[which])}")
        arrays = tuple(zip(*arrays))  # one tuple for each tensor
    else:
        arrays = (arrays,)
    all.count = high = len(arrays)
    all.block = nnf_alloc(all.count * (sizeof(nnf_tensor) + width * sizeof(nnf_interval)))
    if all.block == NULL:
        raise MemoryError("not enough memory for the list of tensors")
    all.t = <nnf_tensor *>all.block
    all.elements = 0
    interval = intervals = <nnf_interval *>(all.t + all.count)
    try:
        for i in range(all.count):
            one = <tuple>arrays[i]
            for which in range(width):
                if not fits(one[which], one[0], which != 1):
                    refuse(names, one, i if several else -1)
            param = <cnp.ndarray>one[0]
            if cnp.PyArray_TYPE(param) == cnp.NPY_FLOAT32:
                at = low
                low += 1
            else:
                high -= 1
                at = high
            t = all.t + at
            t.n = cnp.PyArray_SIZE(param)
            t.param = data_of(param)
            t.grad = data_of(<cnp.ndarray>one[1])
            all.elements += t.n
            for which in range(width):
                if which > 1:
                    t.state[which - 2] = data_of(<cnp.ndarray>one[which])
                if t.n:
                    interval.begin = cnp.PyArray_BYTES(<cnp.ndarray>one[which])
                    interval.end = interval.begin + cnp.PyArray_NBYTES(param)
                    interval.tensor = i
                    interval.which = which
                    interval.written = which != 1
                    interval += 1
        all.singles = low
        at = find_overlap(interval - intervals, intervals, &other)
        if at >= 0:
            if intervals[at].which < intervals[other].which:
                at, other = other, at
            raise ValueError(f"{name_of(names, &intervals[at], several)} must not share memory "
                             f"with {name_of(names, &intervals[other], several)}")
    except:
        nnf_free(all.block)
        raise
    return arrays


cdef inline int finish(tensors *all, PyThreadState *gil, int status) except -1:
    nnf_free(all.block)
    return retake_gil(gil, status)


cdef double positive(object value, str name) except? -1:
    """`value` as a finite float of at least 0."""
    return check_float(value, name, 0, DBL_MAX)


def sgd_update(param, grad, lr, weight_decay=0.0):
    """Take a step of gradient descent."""
    cdef tensors all
    cdef double rate = positive(lr, "lr")
    cdef double decay = positive(weight_decay, "weight_decay")
    held = gather(("param", "grad"), (param, grad), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_sgd_update(NNF_F32, all.singles, all.t, rate, decay)
    if status == NNF_OK:
        status = nnf_sgd_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 rate, decay)
    finish(&all, gil, status)


def momentum_update(param, grad, velocity, lr, momentum=0.9, weight_decay=0.0, nesterov=False):
    """Take a step with momentum, or Nesterov's."""
    cdef tensors all
    cdef double rate = positive(lr, "lr")
    cdef double mu = positive(momentum, "momentum")
    cdef double decay = positive(weight_decay, "weight_decay")
    cdef bint ahead = bool(nesterov)
    held = gather(("param", "grad", "velocity"), (param, grad, velocity), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_momentum_update(NNF_F32, all.singles, all.t, rate, mu, decay, ahead)
    if status == NNF_OK:
        status = nnf_momentum_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 rate, mu, decay, ahead)
    finish(&all, gil, status)


def adagrad_update(param, grad, sum_sq, lr, eps=1e-10, weight_decay=0.0):
    """Take a step of AdaGrad."""
    cdef tensors all
    cdef double rate = positive(lr, "lr")
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    held = gather(("param", "grad", "sum_sq"), (param, grad, sum_sq), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_adagrad_update(NNF_F32, all.singles, all.t, rate, small, decay)
    if status == NNF_OK:
        status = nnf_adagrad_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 rate, small, decay)
    finish(&all, gil, status)


def rmsprop_update(param, grad, mean_sq, lr, alpha=0.99, eps=1e-8, weight_decay=0.0):
    """Take a step of RMSprop."""
    cdef tensors all
    cdef double rate = positive(lr, "lr")
    cdef double keep = check_float(alpha, "alpha", 0, 1)
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    held = gather(("param", "grad", "mean_sq"), (param, grad, mean_sq), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_rmsprop_update(NNF_F32, all.singles, all.t, rate, keep, small, decay)
    if status == NNF_OK:
        status = nnf_rmsprop_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 rate, keep, small, decay)
    finish(&all, gil, status)


def adadelta_update(param, grad, mean_sq, mean_delta_sq, lr=1.0, rho=0.9, eps=1e-6,
                    weight_decay=0.0):
    """Take a step of Adadelta."""
    cdef tensors all
    cdef double rate = positive(lr, "lr")
    cdef double keep = check_float(rho, "rho", 0, 1)
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    held = gather(("param", "grad", "mean_sq", "mean_delta_sq"), (param, grad, mean_sq, mean_delta_sq), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_adadelta_update(NNF_F32, all.singles, all.t, rate, keep, small, decay)
    if status == NNF_OK:
        status = nnf_adadelta_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 rate, keep, small, decay)
    finish(&all, gil, status)


def adam_update(param, grad, m, v, step, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
                 weight_decay=0.0):
    """Take step number `step`, from 1, of Adam."""
    cdef tensors all
    cdef int64_t t = check_int(step, "step", 1, INT64_MAX)
    cdef double rate = positive(lr, "lr")
    cdef double b1 = check_fraction(beta1, "beta1")
    cdef double b2 = check_fraction(beta2, "beta2")
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    held = gather(("param", "grad", "m", "v"), (param, grad, m, v), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_adam_update(NNF_F32, all.singles, all.t, t, rate, b1, b2, small, decay)
    if status == NNF_OK:
        status = nnf_adam_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 t, rate, b1, b2, small, decay)
    finish(&all, gil, status)


def adamw_update(param, grad, m, v, step, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
                 weight_decay=0.01):
    """Take step number `step`, from 1, of AdamW."""
    cdef tensors all
    cdef int64_t t = check_int(step, "step", 1, INT64_MAX)
    cdef double rate = positive(lr, "lr")
    cdef double b1 = check_fraction(beta1, "beta1")
    cdef double b2 = check_fraction(beta2, "beta2")
    cdef double small = positive(eps, "eps")
    cdef double decay = positive(weight_decay, "weight_decay")
    held = gather(("param", "grad", "m", "v"), (param, grad, m, v), &all)
    cdef PyThreadState *gil = release_gil(all.elements)
    cdef int status = nnf_adamw_update(NNF_F32, all.singles, all.t, t, rate, b1, b2, small, decay)
    if status == NNF_OK:
        status = nnf_adamw_update(NNF_F64, all.count - all.singles, all.t + all.singles,
                 t, rate, b1, b2, small, decay)
    finish(&all, gil, status)
