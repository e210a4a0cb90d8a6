/* conv.c: chooses the algorithm of a convolution, and of a transposed one.
 *
 * x (n, c, h, w), weight (k, c / groups, kh, kw), scale and bias (k) or NULL, y and dy (n, k, oh,
 * ow), dx as x or NULL, dweight as weight, dbias (k) or NULL. Transposed, x and y change places:
 * x and dx are (n, k, oh, ow), y and dy (n, c, h, w), bias and dbias (c).
 */
#include "activate.h"
#include "conv.h"
#include "elementwise.h"
#include "sum.h"

/* Each channel by itself, where the kernels that GEMM could put side by side are few and the frame,
 * whose rows are some vectors longer than the image's, is neither mostly margin nor too large. */
static bool depthwise_pays(const nnf_conv *d, bool forward) {
    (void)forward;
    const double height = (double)(d->h + 2 * d->pad_h), width = (double)(d->w + 2 * d->pad_w);
    return height * (width + 8 * VL) <= LARGEST_FRAME && d->groups == d->c && d->k <= 4 * d->c &&
           d->stride_h <= 4 && d->stride_w <= 4 && d->pad_h <= d->kh * d->dilation_h &&
           d->pad_w <= d->kw * d->dilation_w;
}

static bool winograd_can(const nnf_conv *d) {
    const bool three = d->kh == 3 && d->kw == 3, five = d->kh == 5 && d->kw == 5;
    return d->dilation_h == 1 && d->dilation_w == 1 &&
           (((three || five) && d->stride_h == 1 && d->stride_w == 1) ||
            (three && d->stride_h == 2 && d->stride_w == 2 && d->pad_h == 1 && d->pad_w == 1));
}

/* Few channels do not pay for the transforms of images, few tiles for those of the kernels, and few
 * outputs leave tiles half empty: at stride 2, which saves less, more than half is too much.
 * Backward GEMM turns the weights, and Winograd pays earlier. */
static bool winograd_pays(const nnf_conv *d, bool forward) {
    const int64_t size = d->kh == 3 ? 4 : 2; /* of a tile of outputs */
    const int64_t tiles = ceil_div(d->oh, size) * ceil_div(d->ow, size);
    const int64_t fewest = !forward ? 4 : d->stride_h == 1 ? 5 : 8;
    return winograd_can(d) && d->c / d->groups >= 8 && d->k / d->groups >= 8 && d->oh >= 3 &&
           d->ow >= 3 && d->n * tiles >= fewest &&
           (d->stride_h == 1 || 2 * d->oh * d->ow >= size * size * tiles);
}

/* Folding is the faster input gradient up to 8 channels: 1.6 times there, 5 times at one. */
static bool fold_pays(const nnf_conv *d, bool forward) {
    (void)forward;
    return d->groups == 1 && d->c <= 8;
}

static bool gemm_pays(const nnf_conv *d, bool forward) {
    (void)d;
    (void)forward;
    return true;
}

typedef struct {
    bool (*pays)(const nnf_conv *d, bool forward);
    int (*forward)(const nnf_conv *d, const real *x, const real *weight, const conv_finish *f,
                   real *y);
    int (*backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx);
    int (*backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                           real *dbias);
} algorithm;

/* In the order of preference, which is that of nnf_conv_algo. */
static const algorithm algorithms[] = {
    [NNF_CONV_DEPTHWISE] = {depthwise_pays, FN_OTHER(depthwise_forward),
                            FN_OTHER(depthwise_backward_input),
                            FN_OTHER(depthwise_backward_weight)},
    [NNF_CONV_WINOGRAD] = {winograd_pays, FN(winograd_forward), FN(winograd_backward_input),
                           FN(winograd_backward_weight)},
    [NNF_CONV_FOLD] = {fold_pays, FN(conv_gemm_forward), FN(conv_fold_backward_input),
                       FN(conv_dots_backward_weight)},
    [NNF_CONV_GEMM] = {gemm_pays, FN(conv_gemm_forward), FN(conv_gemm_backward_input),
                       FN(conv_gemm_backward_weight)},
};

/* The first that pays; a forced one is the caller's word that it can. */
static const algorithm *choose(const nnf_conv *d, int algo, bool forward) {
    if (algo == NNF_CONV_AUTO)
        for (algo = NNF_CONV_AUTO + 1; !algorithms[algo].pays(d, forward);)
            algo++;
    return &algorithms[algo];
}

int FN(conv2d)(const nnf_conv *d, int algo, const real *x, const real *weight, const real *scale,
               const real *bias, int act, real *y) {
    const int64_t size = d->n * d->k * d->oh * d->ow;
    if (size == 0)
        return NNF_OK;
    const conv_finish f = {scale, bias, activation_in_registers(act)};
    const int status = choose(d, algo, true)->forward(d, x, weight, &f, y);
    return status == NNF_OK ? activation_pass(act, size, y) : status;
}

/* dbias (channels), the sums of dy (n, channels, size). */
static void bias_gradient(int64_t n, int64_t channels, int64_t size, const real *dy, real *dbias) {
    PARALLEL_FOR(c, channels, 0.1 * (double)(n * channels * size),
                 dbias[c] = (real)sum_of_channel(n, channels, size, c, dy));
}

int FN(conv2d_backward)(const nnf_conv *d, int algo, const real *dy, const real *x,
                        const real *weight, real *dx, real *dweight, real *dbias) {
    const int64_t dx_size = d->n * d->c * d->h * d->w, size = d->n * d->k * d->oh * d->ow;
    const int64_t dweight_size = d->k * (d->c / d->groups) * d->kh * d->kw;
    if (size == 0 || dx_size == 0) { /* nothing was computed, so nothing depends on anything */
        memset(dweight, 0, (size_t)dweight_size * sizeof(real));
        if (dx)
            memset(dx, 0, (size_t)dx_size * sizeof(real));
        if (dbias) /* of an image without channels it is all there is */
            bias_gradient(d->n, d->k, d->oh * d->ow, dy, dbias);
        return NNF_OK;
    }
    const algorithm *const chosen = choose(d, algo, false);
    const int status = dx ? chosen->backward_input(d, dy, weight, dx) : NNF_OK;
    return status == NNF_OK ? chosen->backward_weight(d, dy, x, dweight, dbias) : status;
}

/* y plus its channel's bias, activated. */
static void finish_planes(const nnf_conv *d, const real *bias, nnf_activation act, real *y) {
    const int64_t planes = d->n * d->c, size = d->h * d->w;
    PARALLEL_FOR_BACK(p, planes, 0.1 * (double)(planes * size), {
        real *const plane = y + p * size;
        const vec term = vset1(bias ? bias[p % d->c] : 0);
        MAP_ROW(0, size, plane, activate(LOAD(plane) + term, act));
    });
}

int FN(conv_transpose2d)(const nnf_conv *d, const real *x, const real *weight, const real *bias,
                         int act, real *y) {
    const int64_t size = d->n * d->c * d->h * d->w;
    const nnf_activation in_registers = activation_in_registers(act);
    int status = NNF_OK;
    if (size == 0)
        return NNF_OK;
    if (d->k == 0)
        memset(y, 0, (size_t)size * sizeof(real));
    else
        status = choose(d, NNF_CONV_AUTO, false)->backward_input(d, x, weight, y);
    if (status != NNF_OK)
        return status;
    if (bias || in_registers != NNF_LINEAR)
        finish_planes(d, bias, in_registers, y);
    return activation_pass(act, size, y);
}

int FN(conv_transpose2d_backward)(const nnf_conv *d, const real *dy, const real *x,
                                  const real *weight, real *dx, real *dweight, real *dbias) {
    const conv_finish plain = {NULL, NULL, NNF_LINEAR};
    if (dbias)
        bias_gradient(d->n, d->c, d->h * d->w, dy, dbias);
    if (d->n * d->c * d->k == 0) { /* nothing was computed, so nothing depends on anything */
        memset(dweight, 0, (size_t)(d->k * (d->c / d->groups) * d->kh * d->kw) * sizeof(real));
        if (dx)
            memset(dx, 0, (size_t)(d->n * d->k * d->oh * d->ow) * sizeof(real));
        return NNF_OK;
    }
    const int status =
        dx ? choose(d, NNF_CONV_AUTO, true)->forward(d, dy, weight, &plain, dx) : NNF_OK;
    return status == NNF_OK
               ? choose(d, NNF_CONV_AUTO, false)->backward_weight(d, x, dy, dweight, NULL)
               : status;
}
