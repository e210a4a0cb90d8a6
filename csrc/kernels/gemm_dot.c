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
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = vzero();
    for (int64_t p = 0; p < k; p += VL) {
        vec left[2];
        for (int i = 0; i < rows; i++)
            left[i] = vload_or(row[i] + p, k - p, vzero());
        for (int j = 0; j < COLUMNS; j++) {
            const vec element = vload_or(column[j] + p, k - p, vzero());
            for (int i = 0; i < rows; i++)
                sum[i][j] = vfma(left[i], element, sum[i][j]);
        }
    }
}

VINLINE void dot_tile(int rows, int64_t columns, int64_t k, const real *a, const real *b,
                      vec sum[2][COLUMNS]) {
    for (int64_t p = 0; p == 0 || p < k; p += DEPTHS) {
        const real *const row[2] = {a + p, a + p + (rows - 1) * k};
        const real *column[COLUMNS];
        for (int64_t j = 0; j < COLUMNS; j++)
            column[j] = b + p + MIN(j, columns - 1) * k;
        vec block[2][COLUMNS];
        dot_block(rows, MIN(DEPTHS, k - p), row, column, block);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < COLUMNS; j++)
                sum[i][j] = p == 0 ? block[i][j] : sum[i][j] + block[i][j];
    }
}

static void dot_columns(int64_t m, int64_t n, int64_t k, const real *a, const real *b,
                        const real *bias, nnf_activation act, int64_t begin, int64_t end, real *y) {
    for (int64_t j = begin; j < end; j += COLUMNS)
        for (int64_t i = 0; i < m; i += 2) {
            const int64_t rows = MIN(2, m - i), columns = MIN(COLUMNS, end - j);
            vec sum[2][COLUMNS];
            if (rows == 2)
                dot_tile(2, columns, k, a + i * k, b + j * k, sum);
            else
                dot_tile(1, columns, k, a + i * k, b + j * k, sum);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < columns; c++) {
                    const real total = vsum(sum[r][c]) + (bias ? bias[j + c] : 0);
                    y[(i + r) * n + j + c] = activate(vset1(total), act)[0];
                }
        }
}

void FN(gemm_dot)(int64_t m, int64_t n, int64_t k, const real *a, const real *b, const real *bias,
                  nnf_activation act, real *y) {
    const int64_t block = round_up(MAX(1, 4096 / MAX(1, k)), COLUMNS);
    PARALLEL_FOR(
        index, ceil_div(n, block), 0.05 * (double)m * (double)n * (double)k,
        dot_columns(m, n, k, a, b, bias, act, index * block, MIN(n, (index + 1) * block), y));
}
