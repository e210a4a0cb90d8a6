/* softmax.h: the maximum of each row of x (rows, cols) and its sum of e^(x - maximum), which
 * softmax and cross-entropy share.
 *
 * Rows of up to LANE_COLS columns are taken VL at a time, see lanes.h. Rows longer than NNF_CHUNK
 * are taken in chunks, by several threads. NaN and infinity come out as in NumPy: a row that holds
 * NaN or +infinity, or nothing but -infinity, has sum NaN.
 */
#ifndef NNF_SOFTMAX_H
#define NNF_SOFTMAX_H

#include "lanes.h"
#include "vecmath.h"

enum {
    SUM_BLOCK = 32 *
        VL,            /* terms added into one vector before it goes to the total: less rounding */
    WAYS = 4,          /* independent sums and maxima, else one waits for the other */
    ROWS_BLOCK = 8192, /* elements in one item of parallel work over rows */
};

/* Rows that make one item of parallel work, a multiple of VL. */
static inline int64_t rows_per_block(int64_t cols) {
    return round_up(ceil_div(ROWS_BLOCK, MAX(cols, 1)), VL);
}

/* The sum of p q in each lane, or of p alone when q is NULL. */
VINLINE vec lane_dot(int64_t n, const real *p, const real *q) {
    vec sum = vzero();
    for (int64_t j = 0; j < n;) {
        const int64_t end = MIN(n, j + SUM_BLOCK);
        vec part[WAYS] = {vzero(), vzero(), vzero(), vzero()};
        for (; j + WAYS * VL <= end; j += WAYS * VL)
            for (int k = 0; k < WAYS; k++) {
                const vec a = vload(p + j + k * VL);
                part[k] += q ? a * vload(q + j + k * VL) : a;
            }
        for (; j < end; j += VL) {
            const vec a = vload_upto(p + j, n - j);
            part[0] += q ? a * vload_upto(q + j, n - j) : a;
        }
        sum += (part[0] + part[1]) + (part[2] + part[3]);
    }
    return sum;
}

/* The maximum of each lane; NaN may be lost. */
VINLINE vec lane_max(int64_t n, const real *x) {
    const vec lowest = vset1((real)-INFINITY);
    vec top[WAYS] = {lowest, lowest, lowest, lowest};
    int64_t j = 0;
    for (; j + WAYS * VL <= n; j += WAYS * VL)
        for (int k = 0; k < WAYS; k++)
            top[k] = vmax(vload(x + j + k * VL), top[k]);
    for (; j < n; j += VL)
        top[0] = vmax(vload_or(x + j, n - j, lowest), top[0]);
    return vmax(vmax(top[0], top[1]), vmax(top[2], top[3]));
}

/* The sum of e^(x - top) of each lane; the terms are kept in e unless that is NULL. Meanwhile what
 * follows in memory is fetched: the next row, whose maximum would wait for it. */
VINLINE vec lane_sum_exp(int64_t n, const real *x, vec top, real *e) {
    vec sum = vzero();
    for (int64_t j = 0; j < n;) {
        const int64_t end = MIN(n, j + SUM_BLOCK);
        vec part = vzero();
        for (; j < end; j += VL) {
            __builtin_prefetch(x + n + j);
            const vec term = vexp_negative(vload_or(x + j, n - j, vset1((real)-INFINITY)) - top);
            part += term;
            if (e)
                vstore_upto(e + j, term, n - j);
        }
        sum += part;
    }
    return sum;
}

typedef enum {
    LANES, /* n = cols * VL elements in lane order; every lane is a row */
    ROW,   /* n = cols: a whole row; the result is the same in all lanes */
    CHUNK, /* a part of a row */
} row_mode;

/* The sum of a row's terms, which were divided by e^top (top = 0: they were not). */
typedef struct {
    vec top, sum;
} row_stats;

static inline vec sum_of_row(row_mode mode, vec sum) {
    return mode == LANES ? sum : vsum_lanes(sum);
}

/* Maximum and sum of e^(x - maximum); the terms are kept in e unless that is NULL. */
static inline row_stats exp_stats(row_mode mode, int64_t n, const real *x, real *e) {
    vec top = lane_max(n, x);
    if (mode != LANES)
        top = vmax_lanes(top);
    /* A chunk of nothing but -infinity counts nothing, unless the whole row is like that. */
    const vec shift = mode == CHUNK && top[0] == (real)-INFINITY ? vzero() : top;
    return (row_stats){top, sum_of_row(mode, lane_sum_exp(n, x, shift, e))};
}

/* The statistics of a row from those of its chunks, in their order. */
static inline row_stats combine_stats(int64_t chunks, const row_stats *part) {
    row_stats all = {part[0].top, vzero()};
    for (int64_t i = 1; i < chunks; i++)
        all.top = vmax(part[i].top, all.top);
    for (int64_t i = 0; i < chunks; i++)
        all.sum += part[i].sum * vexp(part[i].top - all.top);
    return all;
}

#endif
