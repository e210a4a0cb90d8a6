/* softmax.c: softmax, log-softmax and their gradients along the last axis:
 * x, y, dx, dy (rows, cols).
 *
 * Each is a reduction of a row followed by a map of its elements; `row_op` names the two, and
 * by_rows runs them over lanes, rows or chunks of rows (see softmax.h).
 */
#include "softmax.h"

#include "elementwise.h"

typedef struct {
    void (*reduce)(row_mode mode, int64_t n, const real *p, const real *q, real *out, row_stats *s);
    /* own_top: that of the chunk, where s is of the whole row. */
    void (*map)(row_mode mode, int64_t n, const row_stats *s, vec own_top, const real *p,
                const real *q, real *out);
} row_op;

/* Leaves e^(x - top) in y for map to scale. */
static void softmax_reduce(row_mode mode, int64_t n, const real *x, const real *q, real *y,
                           row_stats *s) {
    (void)q;
    *s = exp_stats(mode, n, x, y);
}

static void softmax_map(row_mode mode, int64_t n, const row_stats *s, vec own_top, const real *x,
                        const real *q, real *y) {
    (void)x;
    (void)q;
    const vec scale = (mode == CHUNK ? vexp(own_top - s->top) : vset1(1)) / s->sum;
    MAP_RANGE(0, n, y, false, scale * LOAD(y)); /* fresh in the cache */
}

static void log_softmax_reduce(row_mode mode, int64_t n, const real *x, const real *q, real *y,
                               row_stats *s) {
    (void)q;
    (void)y;
    *s = exp_stats(mode, n, x, NULL);
}

static void log_softmax_map(row_mode mode, int64_t n, const row_stats *s, vec own_top,
                            const real *x, const real *q, real *y) {
    (void)mode;
    (void)own_top;
    (void)q;
    const vec top = s->top, log_sum = vlog(s->sum);
    MAP_ROW(0, n, y, (LOAD(x) - top) - log_sum);
}

static void softmax_backward_reduce(row_mode mode, int64_t n, const real *dy, const real *y,
                                    real *dx, row_stats *s) {
    (void)dx;
    *s = (row_stats){vzero(), sum_of_row(mode, lane_dot(n, dy, y))};
}

static void softmax_backward_map(row_mode mode, int64_t n, const row_stats *s, vec own_top,
                                 const real *dy, const real *y, real *dx) {
    (void)mode;
    (void)own_top;
    const vec sum = s->sum;
    MAP_ROW(0, n, dx, LOAD(y) * (LOAD(dy) - sum));
}

static void log_softmax_backward_reduce(row_mode mode, int64_t n, const real *dy, const real *y,
                                        real *dx, row_stats *s) {
    (void)y;
    (void)dx;
    *s = (row_stats){vzero(), sum_of_row(mode, lane_dot(n, dy, NULL))};
}

static void log_softmax_backward_map(row_mode mode, int64_t n, const row_stats *s, vec own_top,
                                     const real *dy, const real *y, real *dx) {
    (void)mode;
    (void)own_top;
    const vec sum = s->sum;
    MAP_ROW(0, n, dx, LOAD(dy) - vexp(LOAD(y)) * sum);
}

static void lanes_block(const row_op *op, int64_t begin, int64_t end, int64_t cols, const real *p,
                        const real *q, real *out) {
    real a[LANE_COLS * VL], b[LANE_COLS * VL], c[LANE_COLS * VL];
    for (int64_t row = begin; row < end; row += VL) {
        const int64_t rows = MIN(VL, end - row);
        row_stats s;
        to_lanes(rows, cols, p + row * cols, a);
        if (q)
            to_lanes(rows, cols, q + row * cols, b);
        op->reduce(LANES, cols * VL, a, b, c, &s);
        op->map(LANES, cols * VL, &s, s.top, a, b, c);
        from_lanes(rows, cols, c, out + row * cols);
    }
}

static void rows_block(const row_op *op, int64_t begin, int64_t end, int64_t cols, const real *p,
                       const real *q, real *out) {
    for (int64_t row = begin; row < end; row++) {
        const real *const p_row = p + row * cols, *const q_row = q ? q + row * cols : NULL;
        row_stats s;
        op->reduce(ROW, cols, p_row, q_row, out + row * cols, &s);
        op->map(ROW, cols, &s, s.top, p_row, q_row, out + row * cols);
    }
}

static int by_chunks(const row_op *op, int64_t rows, int64_t cols, double work, const real *p,
                     const real *q, real *out) {
    const int64_t chunks = ceil_div(cols, NNF_CHUNK);
    row_stats *part = nnf_alloc((size_t)(rows * (chunks + 1)) * sizeof *part);
    if (!part)
        return NNF_NO_MEMORY;
    row_stats *whole = part + rows * chunks;
    PARALLEL_FOR(i, rows * chunks, work, {
        const int64_t column = i % chunks * NNF_CHUNK, n = MIN(NNF_CHUNK, cols - column);
        const int64_t at = i / chunks * cols + column;
        op->reduce(CHUNK, n, p + at, q ? q + at : NULL, out + at, &part[i]);
    });
    for (int64_t row = 0; row < rows; row++)
        whole[row] = combine_stats(chunks, part + row * chunks);
    PARALLEL_FOR(i, rows * chunks, work, {
        const int64_t column = i % chunks * NNF_CHUNK, n = MIN(NNF_CHUNK, cols - column);
        const int64_t at = i / chunks * cols + column;
        op->map(CHUNK, n, &whole[i / chunks], part[i].top, p + at, q ? q + at : NULL, out + at);
    });
    nnf_free(part);
    return NNF_OK;
}

/* Run `op` over all rows; q may be NULL. `work`: nanoseconds per element. */
static int by_rows(const row_op *op, int64_t rows, int64_t cols, double work, const real *p,
                   const real *q, real *out) {
    work = (double)rows * ((double)cols * work + 4);
    if (cols > NNF_CHUNK)
        return by_chunks(op, rows, cols, work / 2, p, q, out);
    const int64_t block = rows_per_block(cols);
    PARALLEL_FOR(i, ceil_div(rows, block), work, {
        const int64_t begin = i * block, end = MIN(rows, begin + block);
        if (cols <= LANE_COLS)
            lanes_block(op, begin, end, cols, p, q, out);
        else
            rows_block(op, begin, end, cols, p, q, out);
    });
    return NNF_OK;
}

int FN(softmax)(int64_t rows, int64_t cols, const real *x, real *y) {
    const row_op op = {softmax_reduce, softmax_map};
    return by_rows(&op, rows, cols, 0.5, x, NULL, y);
}

int FN(softmax_backward)(int64_t rows, int64_t cols, const real *dy, const real *y, real *dx) {
    const row_op op = {softmax_backward_reduce, softmax_backward_map};
    return by_rows(&op, rows, cols, 0.2, dy, y, dx);
}

int FN(log_softmax)(int64_t rows, int64_t cols, const real *x, real *y) {
    const row_op op = {log_softmax_reduce, log_softmax_map};
    return by_rows(&op, rows, cols, 0.5, x, NULL, y);
}

int FN(log_softmax_backward)(int64_t rows, int64_t cols, const real *dy, const real *y, real *dx) {
    const row_op op = {log_softmax_backward_reduce, log_softmax_backward_map};
    return by_rows(&op, rows, cols, 0.4, dy, y, dx);
}
