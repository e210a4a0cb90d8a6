/* gemm_dot.c: the product of few rows with a transposed matrix, as dot products: y (m, n) =
 * a (m, k) b (n, k)^T + bias (n). Packing b would cost more than the product itself.
 *
 * A dot product is summed in VL lanes, block by block of its depth as other products are; the lanes
 * are added in a fixed order.
 */
#include "activate.h"
#include "gemm.h"

enum {
    COLUMNS = 4, /* with two rows, eight sums hide the latency of an addition */
    DEPTHS = KC * VL
};

VINLINE void dot_block(int rows, int64_t k, const real *const row[2],
                       const real *const column[COLUMNS], vec sum[2][COLUMNS]) {
    NNF_EACH (i, rows)
        NNF_EACH (j, COLUMNS)
            sum[i][j] = vzero();
    for (int64_t p = 0; p < k; p += VL) {
        vec left[2];
        NNF_EACH (i, rows)
            left[i] = vload_upto(row[i] + p, k - p);
        NNF_EACH (j, COLUMNS) {
            const vec element = vload_upto(column[j] + p, k - p);
            NNF_EACH (i, rows)
                sum[i][j] = vfma(left[i], element, sum[i][j]);
        }
    }
}

VINLINE void dot_tile(int rows, int64_t columns, int64_t k, const real *a, int64_t a_row,
                      const real *b, int64_t b_col, vec sum[2][COLUMNS]) {
    for (int64_t p = 0; p == 0 || p < k; p += DEPTHS) {
        const real *const row[2] = {a + p, a + p + (rows - 1) * a_row};
        const real *column[COLUMNS];
        for (int64_t j = 0; j < COLUMNS; j++)
            column[j] = b + p + MIN(j, columns - 1) * b_col;
        vec block[2][COLUMNS];
        dot_block(rows, MIN(DEPTHS, k - p), row, column, block);
        NNF_EACH (i, rows)
            NNF_EACH (j, COLUMNS)
                sum[i][j] = p == 0 ? block[i][j] : sum[i][j] + block[i][j];
    }
}

void FN(gemm_dot_columns)(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row,
                          const real *b, int64_t b_col, bool accumulate, const real *bias,
                          nnf_activation act, real *y, int64_t y_row) {
    for (int64_t j = 0; j < n; j += COLUMNS)
        for (int64_t i = 0; i < m; i += 2) {
            const int64_t rows = MIN(2, m - i), columns = MIN(COLUMNS, n - j);
            vec sum[2][COLUMNS];
            if (rows == 2)
                dot_tile(2, columns, k, a + i * a_row, a_row, b + j * b_col, b_col, sum);
            else
                dot_tile(1, columns, k, a + i * a_row, a_row, b + j * b_col, b_col, sum);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < columns; c++) {
                    real *const at = y + (i + r) * y_row + j + c;
                    const real total = vsum(sum[r][c]) + (accumulate ? *at : 0);
                    *at = activate(vset1(total + (bias ? bias[j + c] : 0)), act)[0];
                }
        }
}

void FN(gemm_dot)(int64_t m, int64_t n, int64_t k, const real *a, const real *b, const real *bias,
                  nnf_activation act, real *y) {
    const int64_t block = round_up(MAX(1, 4096 / MAX(1, k)), COLUMNS);
    PARALLEL_FOR(index, ceil_div(n, block), 0.05 * (double)m * (double)n * (double)k, {
        const int64_t j = index * block;
        FN(gemm_dot_columns)(m, MIN(block, n - j), k, a, k, b + j * k, k, false,
                             bias ? bias + j : NULL, act, y + j, n);
    });
}
