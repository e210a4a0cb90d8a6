/* conv.c: chooses the algorithm of a convolution.
 *
 * x (n, c, h, w), weight (k, c / groups, kh, kw), bias (k) or NULL, y and dy (n, k, oh, ow),
 * dx as x or NULL, dweight as weight, dbias (k).
 */
#include "conv.h"

/* Up to this many channels folding is the faster input gradient: 1.6 to 5 times at 8 to 1. */
enum { FOLD_CHANNELS = 8 };

/* Whether each channel goes by itself: where asked for, and where it pays (kernels that GEMM could
 * put side by side are few, and the frame is not mostly margin). */
static bool is_depthwise(const nnf_conv *d, int algo) {
    if (algo != NNF_CONV_AUTO)
        return algo == NNF_CONV_DEPTHWISE;
    return d->groups == d->c && d->k <= 4 * d->c && d->stride_h <= 4 && d->stride_w <= 4 &&
           d->pad_h <= d->kh * d->dilation_h && d->pad_w <= d->kw * d->dilation_w;
}

int FN(conv2d)(const nnf_conv *d, int algo, const real *x, const real *weight, const real *bias,
               int act, real *y) {
    const int64_t size = d->n * d->k * d->oh * d->ow;
    if (size == 0)
        return NNF_OK;
    const bool slow = act == NNF_SIGMOID || act == NNF_TANH; /* one more pass over y */
    const nnf_activation in_tile = slow ? NNF_LINEAR : (nnf_activation)act;
    const int status = is_depthwise(d, algo)
                           ? FN(depthwise_forward)(d, x, weight, bias, in_tile, y)
                           : FN(conv_gemm_forward)(d, x, weight, bias, in_tile, y);
    if (status != NNF_OK || !slow)
        return status;
    return act == NNF_SIGMOID ? FN(sigmoid)(size, y, y) : FN(tanh)(size, y, y);
}

/* dbias (k): planes of dy summed VL lanes at a time, images in order. */
static void sum_channel(const nnf_conv *d, const real *dy, int64_t channel, real *dbias) {
    const int64_t size = d->oh * d->ow;
    real total = 0;
    for (int64_t image = 0; image < d->n; image++) {
        const real *const plane = dy + (image * d->k + channel) * size;
        vec sum[2] = {vzero(), vzero()};
        int64_t i = 0;
        for (; i + 2 * VL <= size; i += 2 * VL) {
            sum[0] += vload(plane + i);
            sum[1] += vload(plane + i + VL);
        }
        for (; i + VL <= size; i += VL)
            sum[0] += vload(plane + i);
        total += vsum(sum[0] + sum[1] + vload_part(plane + i, size - i));
    }
    dbias[channel] = total;
}

int FN(conv2d_backward)(const nnf_conv *d, int algo, const real *dy, const real *x,
                        const real *weight, real *dx, real *dweight, real *dbias) {
    const int64_t dx_size = d->n * d->c * d->h * d->w, size = d->n * d->k * d->oh * d->ow;
    const int64_t dweight_size = d->k * (d->c / d->groups) * d->kh * d->kw;
    if (size == 0 || dx_size == 0) { /* nothing was computed, so nothing depends on anything */
        memset(dweight, 0, (size_t)dweight_size * sizeof(real));
        if (dx)
            memset(dx, 0, (size_t)dx_size * sizeof(real));
    }
    PARALLEL_FOR(k, d->k, 0.3 * (double)size, sum_channel(d, dy, k, dbias));
    if (size == 0 || dx_size == 0)
        return NNF_OK;
    int status = NNF_OK;
    if (is_depthwise(d, algo)) {
        if (dx)
            status = FN(depthwise_backward_input)(d, dy, weight, dx);
        return status == NNF_OK ? FN(depthwise_backward_weight)(d, dy, x, dweight) : status;
    }
    if (dx)
        status = d->groups == 1 && d->c <= FOLD_CHANNELS
                     ? FN(conv_fold_backward_input)(d, dy, weight, dx)
                     : FN(conv_gemm_backward_input)(d, dy, weight, dx);
    if (status == NNF_OK)
        status = FN(conv_gemm_backward_weight)(d, dy, x, dweight);
    return status;
}
