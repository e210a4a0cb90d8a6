/* linear.c: linear layers, made of matrix products.
 *
 * x (n, in), weight (out, in), bias (out) or NULL, y (n, out) = act(x weight^T + bias); dx (n, in)
 * or NULL, dweight (out, in), dbias (out). Backward y is NULL where nothing was activated.
 */
#include "elementwise.h"
#include "gemm.h"

int FN(linear)(int64_t n, int64_t in, int64_t out, const real *x, const real *weight,
               const real *bias, int act, real *y) {
    return FN(gemm)(0, 1, n, out, in, x, weight, bias, act, y);
}

/* The gradient before the activation, dz (n) from dy (n) and the activation's output y (n). */
static int activation_backward(int act, int64_t n, const real *dy, const real *y, real *dz) {
    switch (act) {
    case NNF_RELU:
        return FN_OTHER(relu_backward)(n, dy, y, dz);
    case NNF_LEAKY_RELU:
        return FN_OTHER(leaky_relu_backward)(n, NNF_LEAKY_SLOPE, dy, y, dz);
    case NNF_SIGMOID:
        return FN_OTHER(sigmoid_backward)(n, dy, y, dz);
    default:
        return FN_OTHER(tanh_backward)(n, dy, y, dz);
    }
}

/* Products of up to so many multiplications go to a thread each: two threads gain little on one of
 * them, and then have each other's half of it in their caches. */
enum { ONE_THREADS = 1 << 21 };

/* The gradients of x, if it is wanted, and of weight and bias. */
static int gradients(int64_t n, int64_t in, int64_t out, const real *dy, const real *x,
                     const real *weight, real *dx, real *dweight, real *dbias) {
    const double products = (double)n * (double)in * (double)out;
    const double work = dx && products <= ONE_THREADS ? 0.04 * products : 0; /* 0: not shared */
    int of_x = NNF_OK, of_weight = NNF_OK;
    PARALLEL_FOR(which, 2, work, {
        if (which == 1)
            of_weight = FN(gemm_and_sums)(out, in, n, dy, x, dweight, dbias);
        else if (dx)
            of_x = FN(gemm)(0, 0, n, in, out, dy, weight, NULL, NNF_LINEAR, dx);
    });
    return of_x != NNF_OK ? of_x : of_weight;
}

int FN(linear_backward)(int64_t n, int64_t in, int64_t out, const real *dy, const real *x,
                        const real *weight, const real *y, int act, real *dx, real *dweight,
                        real *dbias) {
    real *scratch = NULL;
    int status = NNF_OK;
    if (act != NNF_LINEAR) {
        scratch = alloc_reals(n * out);
        status = scratch ? activation_backward(act, n * out, dy, y, scratch) : NNF_NO_MEMORY;
        dy = scratch;
    }
    if (status == NNF_OK)
        status = gradients(n, in, out, dy, x, weight, dx, dweight, dbias);
    nnf_free(scratch);
    return status;
}
