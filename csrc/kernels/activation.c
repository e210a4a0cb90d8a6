/* activation.c: elementwise activations and their gradients, all over n elements:
 * x, y, dx, dy (n). The gradients of the rectifiers take the input x (or the output y: same sign),
 * the others the output y. */
#include "elementwise.h"
#include "vecmath.h"

/* y where x > 0 and, as NumPy's np.where(x <= 0, otherwise, y) has it, where x is NaN. */
VINLINE vec where_positive(vec x, vec y, vec otherwise) {
    return vselect(x <= vzero(), otherwise, y);
}
VINLINE vec leak(vec x, vec y, vec factor) { return where_positive(x, y, factor * y); }

int FN(relu)(int64_t n, const real *x, real *y) {
    MAP(n, 0.1, 1, y, where_positive(LOAD(x), LOAD(x), vzero()));
    return NNF_OK;
}

int FN(relu_backward)(int64_t n, const real *dy, const real *x, real *dx) {
    MAP(n, 0.15, 2, dx, where_positive(LOAD(x), vopaque(LOAD(dy)), vzero()));
    return NNF_OK;
}

int FN(leaky_relu)(int64_t n, double slope, const real *x, real *y) {
    const vec factor = vset1((real)slope);
    MAP(n, 0.1, 1, y, leak(LOAD(x), LOAD(x), factor));
    return NNF_OK;
}

int FN(leaky_relu_backward)(int64_t n, double slope, const real *dy, const real *x, real *dx) {
    const vec factor = vset1((real)slope);
    MAP(n, 0.15, 2, dx, leak(LOAD(x), vopaque(LOAD(dy)), factor));
    return NNF_OK;
}

int FN(sigmoid)(int64_t n, const real *x, real *y) {
    MAP(n, 0.5, 1, y, vsigmoid(LOAD(x)));
    return NNF_OK;
}

int FN(sigmoid_backward)(int64_t n, const real *dy, const real *y, real *dx) {
    MAP(n, 0.15, 2, dx, LOAD(dy) * LOAD(y) * (1 - LOAD(y)));
    return NNF_OK;
}

int FN(tanh)(int64_t n, const real *x, real *y) {
    MAP(n, 0.5, 1, y, vtanh(LOAD(x)));
    return NNF_OK;
}

int FN(tanh_backward)(int64_t n, const real *dy, const real *y, real *dx) {
    MAP(n, 0.15, 2, dx, LOAD(dy) * (1 - LOAD(y) * LOAD(y)));
    return NNF_OK;
}
