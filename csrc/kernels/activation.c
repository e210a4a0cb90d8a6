/* activation.c: elementwise activations and their gradients, all over n elements:
 * x, y, dx, dy (n). relu_backward takes the input x (or the output y: same sign). */
#include "real.h"

/* A comparison written as !(x <= 0) passes NaN on, as NumPy's np.where(x <= 0, 0, x) does. */
static void relu_range(int64_t begin, int64_t end, const real *x, real *y) {
    for (int64_t i = begin; i < end; i++)
        y[i] = x[i] <= 0 ? 0 : x[i];
}

int FN(relu)(int64_t n, const real *x, real *y) {
    PARALLEL_RANGE(begin, end, n, 0.2, relu_range(begin, end, x, y));
    return NNF_OK;
}

static void relu_backward_range(int64_t begin, int64_t end, const real *dy, const real *x,
                                real *dx) {
    for (int64_t i = begin; i < end; i++)
        dx[i] = x[i] <= 0 ? 0 : dy[i];
}

int FN(relu_backward)(int64_t n, const real *dy, const real *x, real *dx) {
    PARALLEL_RANGE(begin, end, n, 0.3, relu_backward_range(begin, end, dy, x, dx));
    return NNF_OK;
}
