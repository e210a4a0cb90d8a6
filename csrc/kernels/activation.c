/* activation.c: elementwise activations and their gradients, all over n elements:
 * x, y, dx, dy (n). The gradients of the rectifiers take the input x (or the output y: same sign),
 * the others the output y. */
#include "vecmath.h"

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

static void leaky_relu_range(int64_t begin, int64_t end, real slope, const real *x, real *y) {
    for (int64_t i = begin; i < end; i++)
        y[i] = x[i] <= 0 ? slope * x[i] : x[i];
}

int FN(leaky_relu)(int64_t n, double slope, const real *x, real *y) {
    PARALLEL_RANGE(begin, end, n, 0.2, leaky_relu_range(begin, end, (real)slope, x, y));
    return NNF_OK;
}

static void leaky_relu_backward_range(int64_t begin, int64_t end, real slope, const real *dy,
                                      const real *x, real *dx) {
    for (int64_t i = begin; i < end; i++)
        dx[i] = x[i] <= 0 ? slope * dy[i] : dy[i];
}

int FN(leaky_relu_backward)(int64_t n, double slope, const real *dy, const real *x, real *dx) {
    PARALLEL_RANGE(begin, end, n, 0.3,
                   leaky_relu_backward_range(begin, end, (real)slope, dy, x, dx));
    return NNF_OK;
}

static void sigmoid_range(int64_t begin, int64_t end, const real *x, real *y) {
    for (int64_t i = begin; i < end; i += VL)
        vstore_upto(y + i, vsigmoid(vload_or(x + i, end - i, vzero())), end - i);
}

int FN(sigmoid)(int64_t n, const real *x, real *y) {
    PARALLEL_RANGE(begin, end, n, 1.0, sigmoid_range(begin, end, x, y));
    return NNF_OK;
}

static void sigmoid_backward_range(int64_t begin, int64_t end, const real *dy, const real *y,
                                   real *dx) {
    for (int64_t i = begin; i < end; i++)
        dx[i] = dy[i] * y[i] * (1 - y[i]);
}

int FN(sigmoid_backward)(int64_t n, const real *dy, const real *y, real *dx) {
    PARALLEL_RANGE(begin, end, n, 0.3, sigmoid_backward_range(begin, end, dy, y, dx));
    return NNF_OK;
}

static void tanh_range(int64_t begin, int64_t end, const real *x, real *y) {
    for (int64_t i = begin; i < end; i += VL)
        vstore_upto(y + i, vtanh(vload_or(x + i, end - i, vzero())), end - i);
}

int FN(tanh)(int64_t n, const real *x, real *y) {
    PARALLEL_RANGE(begin, end, n, 1.0, tanh_range(begin, end, x, y));
    return NNF_OK;
}

static void tanh_backward_range(int64_t begin, int64_t end, const real *dy, const real *y,
                                real *dx) {
    for (int64_t i = begin; i < end; i++)
        dx[i] = dy[i] * (1 - y[i] * y[i]);
}

int FN(tanh_backward)(int64_t n, const real *dy, const real *y, real *dx) {
    PARALLEL_RANGE(begin, end, n, 0.3, tanh_backward_range(begin, end, dy, y, dx));
    return NNF_OK;
}
