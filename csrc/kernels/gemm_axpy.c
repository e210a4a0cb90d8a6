/* gemm_axpy.c: the product of few rows with a matrix whose rows lie in one piece, as sums of scaled
 * rows. a (m, k) or (k, m), b (k, n), bias (n) or NULL, y (m, n) = act(op(a) b + bias).
 *
 * Tiles would read b in columns, a page or more from depth to depth, and packing it would cost more
 * than the product itself. Every element is summed as in a tile: over the depths of a block in
 * ascending order, then over the blocks.
 */
#include "activate.h"
#include "gemm_tiling.h"

/* Rows of a and depths whose factors are registers. */
enum { PAIR = 2, DEPTHS = 4 };
/* Sums that stay in the L1 cache. */
enum { SUMS = (1 << 14) / sizeof(real) };

VINLINE void add_vector(int rows, int depths, const vec factor[PAIR][DEPTHS], const vec *row,
                        real *sum, int64_t n, int64_t width) {
    NNF_EACH (i, rows) {
        vec x = width < VL ? vload_upto(sum + i * n, width) : vload(sum + i * n);
        NNF_EACH (p, depths)
            x = vfma(factor[i][p], row[p], x);
        if (width < VL)
            vstore_upto(sum + i * n, x, width);
        else
            vstore(sum + i * n, x);
    }
}

/* sum (rows, columns) += a (rows, depths) b (depths, columns), rows of sum and b being n apart. */
VINLINE void add_rows(int rows, int depths, int64_t columns, const real *a, int64_t a_row,
                      int64_t a_depth, const real *b, real *sum, int64_t n) {
    vec factor[PAIR][DEPTHS], row[DEPTHS];
    NNF_EACH (i, rows)
        NNF_EACH (p, depths)
            factor[i][p] = vset1(a[i * a_row + p * a_depth]);
    int64_t j = 0;
    for (; j + VL <= columns; j += VL) {
        NNF_EACH (p, depths)
            row[p] = vload(b + p * n + j);
        add_vector(rows, depths, factor, row, sum + j, n, VL);
    }
    if (j < columns) {
        NNF_EACH (p, depths)
            row[p] = vload_upto(b + p * n + j, columns - j);
        add_vector(rows, depths, factor, row, sum + j, n, columns - j);
    }
}

/* sums (m, columns), rows n apart, = a (m, k) b (k, columns). */
static void add_scaled_rows(int64_t m, int64_t columns, int64_t k, const real *a, int64_t a_row,
                            int64_t a_depth, const real *b, int64_t n, real *sums) {
    for (int64_t i = 0; i < m; i++)
        memset(sums + i * n, 0, (size_t)columns * sizeof *sums);
    for (int64_t p = 0, depths; p < k; p += depths) {
        depths = k - p < DEPTHS ? 1 : DEPTHS;
        for (int64_t i = 0, rows; i < m; i += rows) {
            rows = depths == 1 || i + 1 == m ? 1 : PAIR;
            const real *const factors = a + i * a_row + p * a_depth, *const rows_of_b = b + p * n;
            if (rows == PAIR)
                add_rows(PAIR, DEPTHS, columns, factors, a_row, a_depth, rows_of_b, sums + i * n,
                         n);
            else if (depths == DEPTHS)
                add_rows(1, DEPTHS, columns, factors, a_row, a_depth, rows_of_b, sums + i * n, n);
            else
                add_rows(1, 1, columns, factors, a_row, a_depth, rows_of_b, sums + i * n, n);
        }
    }
}

static void add_blocks_of_row(int64_t n, int64_t blocks, int64_t pitch, const real *sums,
                              const real *bias, nnf_activation act, real *y) {
    for (int64_t j = 0; j < n; j += VL) {
        const int64_t width = n - j;
        vec x = vload_upto(sums + j, width);
        for (int64_t block = 1; block < blocks; block++)
            x += vload_upto(sums + block * pitch + j, width);
        if (bias)
            x += vload_upto(bias + j, width);
        vstore_upto(y + j, activate(x, act), width);
    }
}

void FN(gemm_add_blocks)(int64_t m, int64_t n, int64_t blocks, const real *sums, const real *bias,
                         nnf_activation act, real *y) {
    PARALLEL_FOR(row, m, 0.2 * (double)(blocks * m * n),
                 add_blocks_of_row(n, blocks, m * n, sums + row * n, bias, act, y + row * n));
}

int FN(gemm_axpy)(int64_t m, int64_t n, int64_t k, int64_t block, const real *a, int64_t a_row,
                  int64_t a_depth, const real *b, const real *bias, nnf_activation act, real *y) {
    const int64_t blocks = MAX(1, ceil_div(k, block));
    const int64_t columns = round_up(MIN(SUMS / m, MAX(512, ceil_div(blocks * n, TASKS))), VL);
    const int64_t parts = ceil_div(n, columns);
    real *const sums = blocks == 1 ? y : alloc_reals(blocks * m * n);
    if (!sums)
        return NNF_NO_MEMORY;
    PARALLEL_FOR(index, blocks * parts, 0.05 * (double)k * (double)m * (double)n, {
        const int64_t i = index / parts, p = i * block, j = index % parts * columns;
        add_scaled_rows(m, MIN(columns, n - j), MIN(block, k - p), a + p * a_depth, a_row, a_depth,
                        b + p * n + j, n, sums + i * m * n + j);
    });
    if (blocks > 1 || bias || act != NNF_LINEAR)
        FN(gemm_add_blocks)(m, n, blocks, sums, bias, act, y);
    if (blocks > 1)
        nnf_free(sums);
    return NNF_OK;
}
