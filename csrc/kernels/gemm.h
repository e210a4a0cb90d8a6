/* gemm.h: the blocked matrix product that linear layers and convolutions share.
 *
 * Operands are packed into panels: `width` items (rows of A, columns of B) side by side, depth
 * after depth, the last panel padded with zeros: packed[panel][depth][width], width MR for A, NR
 * for B. Who packs decides what is multiplied: dense matrices here, images in conv_pack.c.
 */
#ifndef NNF_GEMM_H
#define NNF_GEMM_H

#include "real.h"

/* The register tile: MR rows x NV vectors. 16 registers: 6 x 2; 32 registers (AVX-512): 8 x 2. */
#if defined(__AVX512F__)
#define MR 8
#else
#define MR 6
#endif
enum {
    NV = 2,
    NR = NV * VL,
    KC = 256,                /* depth of a block: a panel of B stays in the L1 cache */
    MC = 96,                 /* rows of a block: with the block of B it stays in the L2 cache */
    NC = 1024 / sizeof(real) /* columns of a block: 256 float32 */
};

/* What happens to a tile of sums: accumulate on c, add biases, activate. */
typedef struct {
    bool accumulate;
    const real *row_bias; /* (m) or NULL */
    nnf_activation act;   /* NNF_LINEAR, NNF_RELU or NNF_LEAKY_RELU */
} gemm_finish;

/* Where a panel of B's columns lands: c (m, width) with row stride ldc. */
typedef struct {
    real *c;
    int64_t width;
    const real *col_bias; /* (width) or NULL */
} gemm_panel;

/* c (m, panels) = a b for packed a and b of depth k: a_stride and b_stride reals lie between
 * panels. */
void FN(gemm_block)(int64_t m, int64_t k, const real *a, int64_t a_stride, const real *b,
                    int64_t b_stride, int64_t panels, const gemm_panel *out, int64_t ldc,
                    const gemm_finish *f);

/* Packs `count` items of depth k: item i, depth p is data[i * item_stride + p * depth_stride], one
 * of the strides being 1. packed (ceil(count / width), k, width). */
void FN(gemm_pack)(int64_t count, int64_t k, int64_t width, const real *data, int64_t item_stride,
                   int64_t depth_stride, real *packed);

#endif
