/* gemm.h: the blocked matrix product that linear layers and convolutions share.
 *
 * Rows come in tiles of MR, columns in vectors of VL, one depth after the other:
 * left (m, k), right (k, vectors, VL). Operands that a few tiles use are read where they lie,
 * others are packed first, so that they are read in order. Who packs decides what is multiplied:
 * dense matrices here, images in conv_gather.c.
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
    NV_LAST = VBYTES == 64 ? 3 : NV, /* the last vectors, rather than a tile of one */
    NR = NV * VL,
    KC = 256, /* depth of a block, more or less: the vectors of a tile stay in the L1 cache */
    MC = 96,  /* rows of a block: with the block of columns they stay in the L2 cache */
    NC = (VBYTES == 64 ? 2048 : 1024) / sizeof(real), /* columns of a block */
    PACKED_PAYS = VBYTES >= 32 /* tiles of packed operands have code of their own */
};

/* Element (i, p) is a[i / MR * tile + i % MR * row + p * depth], p < k; row or depth is 1. */
typedef struct {
    const real *a;
    int64_t k;
    int64_t tile, row, depth;
} gemm_left;

/* Rows of `width` reals, `row` apart, that come next: tiles fetch them into the L2 cache in
 * passing. */
typedef struct {
    const real *from;
    int64_t row, rows, width;
} gemm_next;

/* Depth p of vector v is b[v * vector + p * depth] and the VL - 1 reals behind it. */
typedef struct {
    const real *b;
    int64_t vector, depth;
    bool far;       /* not in the L2 cache yet */
    gemm_next next; /* what is packed after this */
} gemm_right;

/* Where a vector of columns lands: c (m, width) with row stride ldc, width <= VL. */
typedef struct {
    real *c;
    int64_t width;
    const real *bias; /* (width) or NULL */
} gemm_column;

/* What happens to a tile of sums: accumulate on c, scale, add biases, activate; then it is stored,
 * or streamed where rows of c and their columns start at whole vectors. */
typedef struct {
    bool accumulate, stream;
    const real *row_scale, *row_bias; /* (m) or NULL */
    nnf_activation act;               /* NNF_LINEAR, NNF_RELU or NNF_LEAKY_RELU */
} gemm_finish;

/* out[v] (m, width) = a b for each of the vectors of b. */
void FN(gemm_block)(int64_t m, const gemm_left *a, const gemm_right *b, int64_t vectors,
                    const gemm_column *out, int64_t ldc, const gemm_finish *f);

/* y (m, n) = a (m, k) b (n, k)^T + bias (n) for up to FEW_DOTS rows; bias may be NULL. */
enum { FEW_DOTS = 4 };
void FN(gemm_dot)(int64_t m, int64_t n, int64_t k, const real *a, const real *b, const real *bias,
                  nnf_activation act, real *y);
/* The same for any number of rows, by the calling thread, added to y if asked for; rows of a and y
 * and columns of b lie a_row, y_row and b_col apart. */
void FN(gemm_dot_columns)(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row,
                          const real *b, int64_t b_col, bool accumulate, const real *bias,
                          nnf_activation act, real *y, int64_t y_row);

/* y (m, n) = a (k, m)^T b (k, n), and sums (m) of the columns of a. */
int FN(gemm_and_sums)(int64_t m, int64_t n, int64_t k, const real *a, const real *b, real *y,
                      real *sums);

/* y (m, n) = a (m, k) b (k, n) + bias (n) for up to FEW_AXPY rows, by blocks of depths. */
enum { FEW_AXPY = 8 };
int FN(gemm_axpy)(int64_t m, int64_t n, int64_t k, int64_t block, const real *a, int64_t a_row,
                  int64_t a_depth, const real *b, const real *bias, nnf_activation act, real *y);

/* y (m, n) = act(the sum of sums (blocks, m, n), in order, + bias (n)); bias may be NULL. */
void FN(gemm_add_blocks)(int64_t m, int64_t n, int64_t blocks, const real *sums, const real *bias,
                         nnf_activation act, real *y);

/* Packs `count` items of depth k: item i, depth p is data[i * item_stride + p * depth_stride], one
 * of the strides being 1. packed (ceil(count / width), pitch, width), missing items are zeros. */
void FN(gemm_pack)(int64_t count, int64_t k, int64_t pitch, int64_t width, const real *data,
                   int64_t item_stride, int64_t depth_stride, real *packed);

#endif
