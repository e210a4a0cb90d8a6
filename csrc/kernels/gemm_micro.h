/* gemm_micro.h: the register-blocked core of every matrix product.
 *
 * a (k, MR): a packed panel of up to MR rows; b (k, NR): a packed panel of NR columns;
 * c (rows, NR) with row stride ldc. The sums of a tile stay in MR x NV vector registers: with the
 * NV vectors of b and one broadcast element of a they fill the register file of the ISA.
 */
#ifndef NNF_GEMM_MICRO_H
#define NNF_GEMM_MICRO_H

#include "activate.h"
#include "gemm.h"

typedef struct {
    vec sum[MR][NV];
} tile;

/* All of this is inlined with constant `rows` and `vectors`, so that the sums are registers. */
VINLINE void clear(int rows, int vectors, tile *t) {
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            t->sum[i][v] = vzero();
}

/* Adds products of depth k. Element (i, p) of a is a[i * a_row + p * a_depth], vector v of b's row
 * p starts at b[p * b_depth + v * b_vector]. */
VINLINE void accumulate(int rows, int vectors, int64_t k, const real *restrict a, int64_t a_row,
                        int64_t a_depth, const real *restrict b, int64_t b_depth, int64_t b_vector,
                        tile *t) {
    vec sum[MR][NV];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = t->sum[i][v];
    for (int64_t p = 0; p < k; p++) {
        vec column[NV];
        for (int v = 0; v < vectors; v++)
            column[v] = vload(b + p * b_depth + v * b_vector);
        for (int i = 0; i < rows; i++) {
            const vec element = vset1(a[i * a_row + p * a_depth]);
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vfma(element, column[v], sum[i][v]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            t->sum[i][v] = sum[i][v];
}

/* The product of `rows` x k and k x NR. */
VINLINE void multiply(int rows, int64_t k, const real *restrict a, int64_t a_row, int64_t a_depth,
                      const real *restrict b, int64_t b_depth, tile *t) {
    clear(rows, NV, t);
    accumulate(rows, NV, k, a, a_row, a_depth, b, b_depth, VL, t);
}

/* Finishes `rows` x `width` sums: adds what c holds and the biases, activates, writes c. */
VINLINE void finish(int rows, int64_t width, const tile *t, const gemm_finish *f, int64_t row,
                    const real *col_bias, real *c, int64_t ldc) {
    for (int i = 0; i < rows; i++) {
        real *const at = c + i * ldc;
        vec x[NV];
        for (int v = 0; v < NV; v++)
            x[v] = t->sum[i][v];
        if (f->row_bias)
            for (int v = 0; v < NV; v++)
                x[v] += vset1(f->row_bias[row + i]);
        if (width == NR) {
            if (f->accumulate)
                for (int v = 0; v < NV; v++)
                    x[v] += vload(at + v * VL);
            if (col_bias)
                for (int v = 0; v < NV; v++)
                    x[v] += vload(col_bias + v * VL);
            if (f->act != NNF_LINEAR)
                for (int v = 0; v < NV; v++)
                    x[v] = activate(x[v], f->act);
            for (int v = 0; v < NV; v++)
                vstore(at + v * VL, x[v]);
        } else {
            for (int v = 0; v < NV && v * VL < width; v++) {
                const int64_t left = MIN(VL, width - v * VL);
                if (f->accumulate)
                    x[v] += vload_part(at + v * VL, left);
                if (col_bias)
                    x[v] += vload_part(col_bias + v * VL, left);
                vstore_part(at + v * VL, activate(x[v], f->act), left);
            }
        }
    }
}

/* NNF_ROWS(rows, statement): statement with `rows` as the constant ROWS, so that the compiler can
 * keep all sums in registers. */
#define NNF_ROWS_CASE(count, ...)                                                                  \
    case count: {                                                                                  \
        enum { ROWS = count };                                                                     \
        __VA_ARGS__;                                                                               \
        break;                                                                                     \
    }
#if MR > 6
#define NNF_ROWS_MORE(...) NNF_ROWS_CASE(7, __VA_ARGS__) NNF_ROWS_CASE(8, __VA_ARGS__)
#else
#define NNF_ROWS_MORE(...)
#endif
#define NNF_ROWS(rows, ...)                                                                        \
    switch (rows) {                                                                                \
        NNF_ROWS_CASE(1, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(2, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(3, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(4, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(5, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(6, __VA_ARGS__)                                                              \
        NNF_ROWS_MORE(__VA_ARGS__)                                                                 \
    }

/* One tile of packed panels. */
static inline void gemm_tile(int64_t rows, int64_t width, int64_t k, const real *a, const real *b,
                             const gemm_finish *f, int64_t row, const real *col_bias, real *c,
                             int64_t ldc) {
    tile t;
    NNF_ROWS(rows, {
        multiply(ROWS, k, a, 1, MR, b, NR, &t);
        finish(ROWS, width, &t, f, row, col_bias, c, ldc);
    })
}

#endif
