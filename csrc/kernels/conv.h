/* conv.h: the convolution algorithms that conv.c chooses from. Shapes as in nnfast.h:
 * x (n, c, h, w), weight (k, c / groups, kh, kw), bias and dbias (k) or NULL, y and dy
 * (n, k, oh, ow).
 */
#ifndef NNF_CONV_H
#define NNF_CONV_H

#include "real.h"

/* What happens to the sums: scaled, biased, activated. */
typedef struct {
    const real *scale, *bias; /* (k) or NULL */
    nnf_activation act;       /* NNF_LINEAR, NNF_RELU or NNF_LEAKY_RELU */
} conv_finish;

/* Implicit GEMM, any geometry. */
int FN(conv_gemm_forward)(const nnf_conv *d, const real *x, const real *weight,
                          const conv_finish *f, real *y);
int FN(conv_gemm_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx);
/* The same for groups == 1 and few channels of x. */
int FN(conv_fold_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx);
int FN(conv_dots_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                  real *dbias);
int FN(conv_gemm_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                  real *dbias);

enum { LARGEST_FRAME = 1 << 28 }; /* reals of a padded plane, of which depthwise makes copies */

/* groups == c: each channel is convolved with its own k / c kernels. */
int FN_OTHER(depthwise_forward)(const nnf_conv *d, const real *x, const real *weight,
                                const conv_finish *f, real *y);
int FN_OTHER(depthwise_backward_input)(const nnf_conv *d, const real *dy, const real *weight,
                                       real *dx);
int FN_OTHER(depthwise_backward_weight)(const nnf_conv *d, const real *dy, const real *x,
                                        real *dweight, real *dbias);

/* Winograd's F(4x4, 3x3) and F(2x2, 5x5): 3 x 3 or 5 x 5 kernels, dilation 1, stride 1; and 3 x 3
 * at stride 2 and padding 1. */
int FN(winograd_forward)(const nnf_conv *d, const real *x, const real *weight, const conv_finish *f,
                         real *y);
int FN(winograd_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx);
int FN(winograd_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                 real *dbias);

#endif
