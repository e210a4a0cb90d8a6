/* softmax.h: the maximum of each row of x (rows, cols) and its sum of e^(x - maximum), which
 * softmax and cross-entropy share.
 *
 * Rows of up to LANE_COLS columns are taken VL at a time, one per lane, in a transposed copy:
 * neither horizontal reductions nor tails. Rows longer than NNF_CHUNK are taken in chunks, by
 * several threads. NaN and infinity come out as in NumPy: a row that holds NaN or +infinity, or
 * nothing but -infinity, has sum NaN.
 */
#ifndef NNF_SOFTMAX_H
#define NNF_SOFTMAX_H

#include "vecmath.h"

enum {
    LANE_COLS = 4 * VL,
    SUM_BLOCK = 32 *
        VL,            /* terms added into one vector before it goes to the total: less rounding */
    ROWS_BLOCK = 8192, /* elements in one item of parallel work over rows */
};

/* Rows that make one item of parallel work, a multiple of VL. */
static inline int64_t rows_per_block(int64_t cols) {
    return round_up(ceil_div(ROWS_BLOCK, MAX(cols, 1)), VL);
}

/* Rows [0, n) of p (n, cols), n <= VL, to lanes (cols, VL); lanes beyond n repeat row n - 1. */
static inline void to_lanes(int64_t n, int64_t cols, const real *p, real *lanes) {
    for (int64_t i = 0; i < VL; i++)
        for (int64_t j = 0; j < cols; j++)
            lanes[j * VL + i] = p[MIN(i, n - 1) * cols + j];
}

static inline void from_lanes(int64_t n, int64_t cols, const real *lanes, real *p) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < cols; j++)
            p[i * cols + j] = lanes[j * VL + i];
}

/* The maximum of each lane; NaN may be lost. */
VINLINE vec lane_max(int64_t n, const real *x) {
    const vec lowest = vset1((real)-INFINITY);
    vec top = lowest;
    for (int64_t j = 0; j < n; j += VL)
        top = vmax(vload_or(x + j, n - j, lowest), top);
    return top;
}

/* The sum of e^(x - top) of each lane; the terms are kept in e unless that is NULL. */
VINLINE vec lane_sum_exp(int64_t n, const real *x, vec top, real *e) {
    vec sum = vzero();
    for (int64_t j = 0; j < n;) {
        const int64_t end = MIN(n, j + SUM_BLOCK);
        vec part = vzero();
        for (; j < end; j += VL) {
            const vec term = vexp(vload_or(x + j, n - j, vset1((real)-INFINITY)) - top);
            part += term;
            if (e)
                vstore_upto(e + j, term, n - j);
        }
        sum += part;
    }
    return sum;
}

/* The same for a whole row. */
VINLINE real row_max(int64_t n, const real *x) {
    return vmax_lane(lane_max(n, x));
}
VINLINE real row_sum_exp(int64_t n, const real *x, real top, real *e) {
    return vsum(lane_sum_exp(n, x, vset1(top), e));
}

VINLINE real log_of(real x) {
    return vlog(vset1(x))[0];
}
VINLINE real exp_of(real x) {
    return vexp(vset1(x))[0];
}

#endif
