/* recurrent_multiply.c: products of a few rows with one packed panel, the work of a step.
 *
 * c (rows, width) = a (rows, k) panel (k, NR), or with a (k, rows) transposed: a is read where it
 * lies, because packing it would pay only if it met many panels.
 */
#include "recurrent.h"

#include "gemm_micro.h"

/* gemm_micro.h's multiply for one vector of columns instead of NV: what the panels leave over. */
VINLINE void multiply_vector(int rows, int64_t k, const real *restrict a, int64_t a_row,
                             int64_t a_depth, const real *restrict b, tile *out) {
    vec sum[MR];
    for (int i = 0; i < rows; i++)
        sum[i] = vzero();
    for (int64_t p = 0; p < k; p++) {
        const vec column = vload(b + p * NR);
        for (int i = 0; i < rows; i++)
            sum[i] = vfma(vset1(a[i * a_row + p * a_depth]), column, sum[i]);
    }
    for (int i = 0; i < rows; i++)
        out->sum[i][0] = sum[i];
}

/* c (rows, width) = or += the sums, plus bias. */
VINLINE void store_sums(int rows, int vectors, const tile *t, bool accumulate, const real *bias,
                        int64_t width, real *c, int64_t c_row) {
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            const int64_t left = width - v * VL;
            real *const at = c + i * c_row + v * VL;
            vec x = t->sum[i][v];
            if (accumulate)
                x += vload_upto(at, left);
            if (bias)
                x += vload(bias + v * VL);
            vstore_upto(at, x, left);
        }
}

/* Up to KC depths; one of a_row and a_depth is the constant 1. */
VINLINE void multiply_block(int64_t rows, int64_t k, const real *a, int64_t a_row, int64_t a_depth,
                            const real *panel, bool accumulate, const real *bias, int64_t width,
                            real *c, int64_t c_row) {
    const int64_t tiles = ceil_div(rows, MR);
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t row = i * rows / tiles, count = (i + 1) * rows / tiles - row;
        const real *const from = a + row * a_row;
        real *const to = c + row * c_row;
        tile sums;
        if (width > VL)
            NNF_ROWS(count, {
                multiply(ROWS, k, from, a_row, a_depth, panel, NR, &sums);
                store_sums(ROWS, NV, &sums, accumulate, bias, width, to, c_row);
            })
        else
            NNF_ROWS(count, {
                multiply_vector(ROWS, k, from, a_row, a_depth, panel, &sums);
                store_sums(ROWS, 1, &sums, accumulate, bias, width, to, c_row);
            })
    }
}

void FN(recurrent_multiply)(int64_t rows, int64_t k, const real *a, int64_t a_row,
                            const real *panel, const real *bias, int64_t width, real *c,
                            int64_t c_row) {
    int64_t p = 0;
    do { /* at least once: an empty sum is zero, plus bias */
        multiply_block(rows, MIN(KC, k - p), a + p, a_row, 1, panel + p * NR, p > 0,
                       p + KC >= k ? bias : NULL, width, c, c_row);
        p += KC;
    } while (p < k);
}

void FN(recurrent_multiply_transposed)(int64_t rows, int64_t k, const real *a, int64_t a_depth,
                                       const real *panel, int64_t width, real *c) {
    multiply_block(rows, k, a, 1, a_depth, panel, true, NULL, width, c, NR);
}
