/* gemm_tiling.h: how a matrix product (m, n, k) is cut into tasks of rows x cols of the result.
 *
 * Bits do not depend on it: every element is summed as if alone.
 */
#ifndef NNF_GEMM_TILING_H
#define NNF_GEMM_TILING_H

#include "gemm.h"

/* Tasks of a product: enough for many threads, but none of less than TASK_WORK nanoseconds: cores
 * without a common cache pay for each. */
enum { TASKS = 24, TASK_WORK = 5000 };
/* So few rows do not repay the packing of columns that are near; so many repay that every thread
 * packs all of them. */
enum { FEW_ROWS = 48, MANY_ROWS = 200 };
/* So many columns repay packing a small transposed a, if the product takes so many nanoseconds that
 * the threads can wait for it. */
enum { MANY_COLUMNS = 640, MUCH_WORK = 100000 };

typedef struct {
    int64_t rows, cols, row_tasks, col_tasks;
} tiling;

/* The time on one thread, in nanoseconds. */
static inline double work_of(int64_t m, int64_t n, int64_t k) {
    return 0.02 * (double)m * (double)n * (double)k;
}

/* The share of `count` rows or columns, in tiles, that each of TASKS has, up to `most`. */
static inline int64_t share(int64_t count, int64_t tile, int64_t most) {
    return MIN(most, round_up(ceil_div(count, TASKS), tile));
}

/* The share that each of as many tasks has as it takes `most` for. */
static inline int64_t equal_share(int64_t count, int64_t tile, int64_t most) {
    return round_up(ceil_div(count, ceil_div(count, most)), tile);
}

static inline tiling tiles_of(int64_t m, int64_t n, int64_t rows, int64_t cols) {
    return (tiling){rows, cols, ceil_div(m, rows), ceil_div(n, cols)};
}

/* As square as the caches like. */
static inline tiling square_tiling(int64_t m, int64_t n, int64_t k) {
    const int64_t wanted = MIN(TASKS, (int64_t)(work_of(m, n, k) / TASK_WORK));
    int64_t rows = equal_share(m, MR, MC), cols = equal_share(n, NR, NC);
    while (ceil_div(m, rows) * ceil_div(n, cols) < wanted && (cols > NR || rows > 4 * MR)) {
        if (cols > NR && (cols >= rows || rows <= 4 * MR))
            cols = round_up(cols / 2, NR);
        else
            rows = round_up(rows / 2, MR);
    }
    return tiles_of(m, n, rows, cols);
}

/* All columns of some rows, which the task packs: whole lines of a transposed a, or nearly. */
static inline tiling row_tiling(int64_t m, int64_t n) {
    return tiles_of(m, n, share(m, 4 * MR, MC), NC);
}

/* Columns that the task packs. All of them, where every thread has many rows, or there are fewer
 * tiles than threads; else those of a few tiles, or of an odd number of vectors where each thread
 * has so few that one tile more is too much. */
static inline tiling column_tiling(int64_t m, int64_t n, int64_t k) {
    const int64_t threads = nnf_team(m, work_of(m, n, k));
    const int64_t rows = ceil_div(m, threads), vectors = ceil_div(ceil_div(n, VL), threads);
    const bool few = ceil_div(n, NR) < threads, odd = vectors % 2 && vectors < 4 * NV;
    if (threads > 1 && n <= NC / 2 && rows >= (few ? FEW_ROWS : MANY_ROWS))
        return tiles_of(m, n, round_up(rows, MR), round_up(n, NR));
    return tiles_of(m, n, m, NV_LAST > NV && odd ? vectors * VL : share(n, NR, 4 * NR));
}

#endif
