/* gemm.c: matrix products over packed panels, and the linear layers made of them.
 *
 * gemm: a (m, k) or (k, m), b (k, n) or (n, k), bias (n) or NULL, y (m, n) = op(a) op(b) + bias.
 * linear: x (n, in), weight (out, in), bias (out), y (n, out).
 *
 * Every element of y is a sum over blocks of KC depths in ascending order, each block summed in one
 * register: neither the tiling nor the thread count changes its bits.
 */
#include "gemm.h"

#include "gemm_micro.h"

void FN(gemm_block)(int64_t m, int64_t k, const real *a, int64_t a_stride, const real *b,
                    int64_t b_stride, int64_t panels, const gemm_panel *out, int64_t ldc,
                    const gemm_finish *f) {
    for (int64_t block = 0; block < m; block += MC) {
        const int64_t block_end = MIN(m, block + MC);
        for (int64_t q = 0; q < panels; q++)
            for (int64_t i = block; i < block_end; i += MR)
                gemm_tile(MIN(MR, block_end - i), out[q].width, k, a + i / MR * a_stride,
                          b + q * b_stride, f, i, out[q].col_bias, out[q].c + i * ldc, ldc);
    }
}

/* What is packed at once: bounds the scratch to DEPTH (ROWS + COLS) reals. */
enum { DEPTH = 4 * KC, ROWS = 48 * MC, COLS = 16 * NC };

/* One product: op(a), op(b) as strides, and what finishes y. */
typedef struct {
    int64_t m, n, k;
    const real *a, *b;
    int64_t a_row, a_depth, b_col, b_depth; /* strides */
    const real *col_bias;
    nnf_activation act;
    real *y;
} product;

/* Rows [i, i + m), columns [j, j + n), depths [p, p + k) of it; their panels. */
typedef struct {
    int64_t i, m, j, n, p, k;
    real *a, *b;
} part;

/* How a part of y is cut into tasks of at most rows x cols: enough for many threads, as square as
 * the caches like. Bits do not depend on it. */
typedef struct {
    int64_t rows, cols, row_tasks, col_tasks;
} tiling;

static tiling choose_tiling(int64_t m, int64_t n) {
    tiling t = {.rows = MC, .cols = NC};
    while (ceil_div(m, t.rows) * ceil_div(n, t.cols) < 24 && (t.cols > NR || t.rows > 4 * MR)) {
        if (t.cols > NR && (t.cols >= t.rows || t.rows <= 4 * MR))
            t.cols /= 2;
        else
            t.rows = round_up(t.rows / 2, MR);
    }
    t.row_tasks = ceil_div(m, t.rows);
    t.col_tasks = ceil_div(n, t.cols);
    return t;
}

/* Task `index` of the packing: MC rows of a each, after those NC columns of b each. */
static void pack_task(const product *g, const part *s, int64_t a_tasks, int64_t index) {
    if (index < a_tasks) {
        const int64_t i = index * MC;
        FN(gemm_pack)(MIN(MC, s->m - i), s->k, MR, g->a + (s->i + i) * g->a_row + s->p * g->a_depth,
                      g->a_row, g->a_depth, s->a + i * s->k);
    } else {
        const int64_t j = (index - a_tasks) * NC;
        FN(gemm_pack)(MIN(NC, s->n - j), s->k, NR, g->b + (s->j + j) * g->b_col + s->p * g->b_depth,
                      g->b_col, g->b_depth, s->b + j * s->k);
    }
}

static void multiply_task(const product *g, const part *s, const tiling *t, int64_t index) {
    const int64_t i = index / t->col_tasks * t->rows, j = index % t->col_tasks * t->cols;
    const int64_t rows = MIN(t->rows, s->m - i), cols = MIN(t->cols, s->n - j);
    gemm_panel out[NC / NR];
    const int64_t panels = ceil_div(cols, NR);
    int64_t p = 0;
    do { /* at least once: an empty sum is zero, plus bias */
        const bool last = s->p + p + KC >= g->k;
        for (int64_t q = 0; q < panels; q++) {
            const int64_t col = s->j + j + q * NR;
            out[q].c = g->y + (s->i + i) * g->n + col;
            out[q].width = MIN(NR, cols - q * NR);
            out[q].col_bias = last && g->col_bias ? g->col_bias + col : NULL;
        }
        const gemm_finish f = {.accumulate = s->p + p > 0, .act = last ? g->act : NNF_LINEAR};
        FN(gemm_block)(rows, MIN(KC, s->k - p), s->a + i * s->k + p * MR, s->k * MR,
                       s->b + j * s->k + p * NR, s->k * NR, panels, out, g->n, &f);
        p += KC;
    } while (p < s->k);
}

/* b is packed once for all rows. */
static void run_part(const product *g, const part *s) {
    const int64_t a_tasks = ceil_div(s->m, MC), b_tasks = s->i == 0 ? ceil_div(s->n, NC) : 0;
    const double depth = (double)s->k, m = (double)s->m, n = (double)s->n;
    PARALLEL_FOR(index, a_tasks + b_tasks, 0.4 * depth * (m + n), pack_task(g, s, a_tasks, index));
    const tiling t = choose_tiling(s->m, s->n);
    PARALLEL_FOR(index, t.row_tasks * t.col_tasks, 0.03 * depth * m * n,
                 multiply_task(g, s, &t, index));
}

static int run_product(const product *g) {
    const int64_t depth = MIN(DEPTH, g->k);
    real *const a = alloc_reals(round_up(MIN(ROWS, g->m), MR) * depth);
    real *const b = alloc_reals(round_up(MIN(COLS, g->n), NR) * depth);
    const bool ready = a && b;
    if (ready)
        for (int64_t j = 0; j < g->n; j += COLS) {
            int64_t p = 0;
            do {
                for (int64_t i = 0; i < g->m; i += ROWS) {
                    const part s = {.i = i,
                                    .m = MIN(ROWS, g->m - i),
                                    .j = j,
                                    .n = MIN(COLS, g->n - j),
                                    .p = p,
                                    .k = MIN(DEPTH, g->k - p),
                                    .a = a,
                                    .b = b};
                    run_part(g, &s);
                }
                p += DEPTH;
            } while (p < g->k);
        }
    nnf_free(a);
    nnf_free(b);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

int FN(gemm)(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const real *a,
             const real *b, const real *bias, int act, real *y) {
    if (m == 0 || n == 0)
        return NNF_OK;
    const product g = {
        .m = m,
        .n = n,
        .k = k,
        .a = a,
        .b = b,
        .a_row = transpose_a ? 1 : k,
        .a_depth = transpose_a ? m : 1,
        .b_col = transpose_b ? k : 1,
        .b_depth = transpose_b ? 1 : n,
        .col_bias = bias,
        .act = activation_in_registers(act),
        .y = y,
    };
    const int status = run_product(&g);
    return status == NNF_OK ? activation_pass(act, m * n, y) : status;
}

int FN(linear)(int64_t n, int64_t in, int64_t out, const real *x, const real *weight,
               const real *bias, int act, real *y) {
    return FN(gemm)(0, 1, n, out, in, x, weight, bias, act, y);
}

/* The gradient before the activation, dz (n) from dy (n) and the activation's output y (n). */
static int activation_backward(int act, int64_t n, const real *dy, const real *y, real *dz) {
    switch (act) {
    case NNF_RELU:
        return FN(relu_backward)(n, dy, y, dz);
    case NNF_LEAKY_RELU:
        return FN(leaky_relu_backward)(n, NNF_LEAKY_SLOPE, dy, y, dz);
    case NNF_SIGMOID:
        return FN(sigmoid_backward)(n, dy, y, dz);
    default:
        return FN(tanh_backward)(n, dy, y, dz);
    }
}

/* dx (n, in) or NULL, dweight (out, in), dbias (out); y (n, out) only with an activation. */
int FN(linear_backward)(int64_t n, int64_t in, int64_t out, const real *dy, const real *x,
                        const real *weight, const real *y, int act, real *dx, real *dweight,
                        real *dbias) {
    real *scratch = NULL;
    int status = NNF_OK;
    if (act != NNF_LINEAR) {
        scratch = alloc_reals(n * out);
        status = scratch ? activation_backward(act, n * out, dy, y, scratch) : NNF_NO_MEMORY;
        dy = scratch;
    }
    if (status == NNF_OK && dx)
        status = FN(gemm)(0, 0, n, in, out, dy, weight, NULL, NNF_LINEAR, dx);
    if (status == NNF_OK)
        status = FN(gemm)(1, 0, out, in, n, dy, x, NULL, NNF_LINEAR, dweight);
    if (status == NNF_OK)
        status = FN(reduce_sum)(1, n, out, dy, dbias);
    nnf_free(scratch);
    return status;
}
