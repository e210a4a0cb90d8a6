/* gemm.c: products of dense matrices.
 *
 * gemm: a (m, k) or (k, m), b (k, n) or (n, k), bias (n) or NULL, y (m, n) = op(a) op(b) + bias.
 *
 * Every element of y is a sum over blocks of depths in ascending order, each block summed in one
 * register, or, of a few last columns, as dot products of blocks: by the shape alone, so that
 * neither the tiling nor the thread count changes its bits.
 */
#include "gemm.h"

#include <stdatomic.h>

#include "activate.h"
#include "elementwise.h"
#include "gemm_tiling.h"
#include "sum.h"

/* What is packed at once, blocks of depths and more rows and columns: bounds the scratch. */
enum { BLOCKS = 4, ROWS = 48 * MC, COLS = 16 * NC };
/* Operands beyond these sizes are packed, as measured: smaller ones stay in a core's cache, and few
 * rows repay the packing of b only if it is far. Tasks pack columns of their own where a block of
 * a, which each of them reads, stays in the cache. */
enum {
    LARGE_A = (VBYTES == 32 && NNF_DTYPE_BITS == 32 ? 1 << 18 : 1 << 20) / sizeof(real),
    LARGE_B = (1 << 17) / sizeof(real),
    CACHED_A = (1 << 19) / sizeof(real),
    FAR = (1 << 21) / sizeof(real) /* in no core's own cache */
};
enum { SMALL_RESULT = 16 * 1024 }; /* elements, of a long depth: blocks of it are summed apart */

/* One product: op(a), op(b) as strides, and what finishes y. */
typedef struct {
    int64_t m, n, k;
    int64_t block; /* depths that are summed in one register */
    const real *a, *b;
    int64_t a_row, a_depth, b_col, b_depth; /* strides, one of each pair is 1 */
    const real *col_bias;
    nnf_activation act;
    bool stream; /* y past the cache */
    real *y;
    real *row_sums; /* (m) of op(a) = a^T over its depth, wanted too, or NULL */
} product;

/* Rows [i, i + m), columns [j, j + n), depths [p, p + k) of it; the packed operands or NULL. A task
 * that has all columns of its rows, or all rows of its columns, can pack these itself, block by
 * block. */
typedef struct {
    int64_t i, m, j, n, p, k;
    real *a, *b;
    bool own_rows, own_columns, fetch_rows;
    bool dots; /* its last columns may be dot products: whatever the number of threads */
} part;

/* Blocks of one size, KC or up to a quarter more, rather than a last one of a few depths. */
static int64_t block_depth(int64_t k) {
    const int64_t blocks = MAX(1, ceil_div(k, KC + KC / 4));
    return round_up(MAX(1, ceil_div(k, blocks)), VL);
}

/* Columns of a part at its end that fill at most half a vector, and none of a tile where one vector
 * by itself waits for its few sums: as dot products they are a third of the work. */
static int64_t dot_columns(const product *g, const part *s) {
    const bool in_rows = g->a_depth == 1 && !s->a && !s->own_rows;
    const int64_t rest = s->n % (HALVES_PAY ? VL : NR);
    return s->dots && in_rows && rest <= MIN(FEW_DOTS, VL / 2) ? rest : 0;
}

static tiling choose_tiling(const product *g, const part *s) {
    const int64_t n = MAX(1, s->n - dot_columns(g, s));
    return s->own_rows      ? row_tiling(s->m, n)
           : s->own_columns ? column_tiling(s->m, n, s->k)
                            : square_tiling(s->m, n, s->k);
}

/* Columns [j, j + cols) of b, depths [p, p + k): packed (ceil(cols / width), k, width); width is
 * VL, or for dot products 1. */
static void pack_columns(const product *g, int64_t j, int64_t cols, int64_t p, int64_t k,
                         int64_t width, real *packed) {
    FN(gemm_pack)(cols, k, k, width, g->b + j * g->b_col + p * g->b_depth, g->b_col, g->b_depth,
                  packed);
}

/* Task `index` of the packing: MC rows of a each, after those columns of b. */
static void pack_task(const product *g, const part *s, int64_t a_tasks, int64_t index) {
    if (index < a_tasks) {
        const int64_t i = index * MC;
        FN(gemm_pack)(MIN(MC, s->m - i), s->k, s->k, MR,
                      g->a + (s->i + i) * g->a_row + s->p * g->a_depth, g->a_row, g->a_depth,
                      s->a + i * s->k);
    } else {
        const int64_t cols = share(s->n, NR, NC), j = (index - a_tasks) * cols;
        const int64_t end = MIN(j + cols, s->n), dots = MAX(j, MIN(end, s->n - dot_columns(g, s)));
        pack_columns(g, s->j + j, dots - j, s->p, s->k, VL, s->b + j * s->k);
        if (g->b_depth != 1)
            pack_columns(g, s->j + dots, end - dots, s->p, s->k, 1, s->b + dots * s->k);
    }
}

/* What a task of whole rows of a, `rows` from row i on, reads after k depths from p on: the next
 * depths, or the first ones of the next rows. */
static gemm_next next_rows(const product *g, int64_t i, int64_t rows, int64_t p, int64_t k) {
    const bool last = p + k == g->k;
    const int64_t first = last ? i + rows : i, depth = last ? 0 : p + k;
    const int64_t count = MIN(rows, g->m - first), depths = MIN(g->block, g->k - depth);
    const real *const from = g->a + first * g->a_row + depth * g->a_depth;
    return g->a_row == 1 ? (gemm_next){from, g->a_depth, depths, count}
                         : (gemm_next){from, g->a_row, count, depths};
}

/* Rows [i, end) of a part's dot products, in as many blocks as where b is packed for all rows.
 * Columns that are neither contiguous nor packed are packed into `scratch` (dots, k). */
static void multiply_dots(const product *g, const part *s, int64_t i, int64_t end, real *scratch) {
    const int64_t dots = dot_columns(g, s), row = s->i + i, col = s->j + s->n - dots;
    const bool in_place = g->b_depth == 1;
    const real *const columns = in_place ? g->b + col * g->b_col + s->p
                                : s->b   ? s->b + (s->n - dots) * s->k
                                         : scratch;
    if (dots == 0)
        return;
    if (columns == scratch)
        pack_columns(g, col, dots, s->p, s->k, 1, scratch);
    for (int64_t p = 0; p == 0 || p < s->k; p += BLOCKS * g->block) {
        const int64_t k = MIN(BLOCKS * g->block, s->k - p);
        const bool last = s->p + p + k == g->k;
        FN(gemm_dot_columns)(end - i, dots, k, g->a + row * g->a_row + s->p + p, g->a_row,
                             columns + p, in_place ? g->b_col : s->k, s->p + p > 0,
                             last && g->col_bias ? g->col_bias + col : NULL,
                             last ? g->act : NNF_LINEAR, g->y + row * g->n + col, g->n);
    }
}

/* Rows [i, i + rows) and columns [j, j + cols) of a part times its depths. Columns that are not
 * packed are read where they lie, but for the last ones that fill no vector, or packed into
 * `scratch` (cols, block); its own rows are packed behind them, into own_a (rows, block). */
static void multiply_task(const product *g, const part *s, int64_t i, int64_t rows, int64_t j,
                          int64_t cols, real *scratch, real *own_a) {
    gemm_column out[NC / VL];
    const int64_t vectors = ceil_div(cols, VL);
    int64_t p = 0;
    do { /* at least once: an empty sum is zero, plus bias */
        const int64_t k = MIN(g->block, s->k - p);
        const bool last = s->p + p + g->block >= g->k;
        for (int64_t v = 0; v < vectors; v++) {
            const int64_t col = s->j + j + v * VL;
            out[v].c = g->y + (s->i + i) * g->n + col;
            out[v].width = MIN(VL, cols - v * VL);
            out[v].bias = last && g->col_bias ? g->col_bias + col : NULL;
        }
        const real *const rows_of_a = g->a + (s->i + i) * g->a_row + (s->p + p) * g->a_depth;
        gemm_left a = {
            .a = rows_of_a, .k = k, .tile = MR * g->a_row, .row = g->a_row, .depth = g->a_depth};
        if (s->a || own_a)
            a = (gemm_left){.a = own_a ? own_a : s->a + i * s->k + p * MR,
                            .k = k,
                            .tile = MR * (own_a ? k : s->k),
                            .row = 1,
                            .depth = MR};
        if (own_a)
            FN(gemm_pack)(rows, k, k, MR, rows_of_a, g->a_row, g->a_depth, own_a);
        const gemm_finish f = {
            .accumulate = s->p + p > 0, .stream = g->stream, .act = last ? g->act : NNF_LINEAR};
        const gemm_next next =
            own_a || s->fetch_rows ? next_rows(g, s->i + i, rows, s->p + p, k) : (gemm_next){0};
        const gemm_right packed = {.b = s->b ? s->b + j * s->k + p * VL : scratch,
                                   .vector = s->b ? s->k * VL : k * VL,
                                   .depth = VL,
                                   .far = s->b && !next.rows,
                                   .next = next};
        int64_t done = 0;
        if (!s->b && !s->own_columns) { /* whole vectors where they lie */
            const gemm_right b = {
                .b = g->b + s->j + j + (s->p + p) * g->b_depth, .vector = VL, .depth = g->b_depth};
            done = cols / VL;
            FN(gemm_block)(rows, &a, &b, done, out, g->n, &f);
        }
        if (done < vectors) {
            if (!s->b)
                pack_columns(g, s->j + j + done * VL, cols - done * VL, s->p + p, k, VL, scratch);
            FN(gemm_block)(rows, &a, &packed, vectors - done, out + done, g->n, &f);
        }
        p += g->block;
    } while (p < s->k);
}

static int run_task(const product *g, const part *s, const tiling *t, int64_t index) {
    /* A thread's tasks share what there is less of. */
    const bool wide = s->n > s->m;
    const int64_t row_task = wide ? index % t->row_tasks : index / t->col_tasks;
    const int64_t col_task = wide ? index / t->row_tasks : index % t->col_tasks;
    const int64_t i = row_task * t->rows, rows = MIN(t->rows, s->m - i), j = col_task * t->cols;
    const int64_t cols = MIN(t->cols, s->n - dot_columns(g, s) - j);
    const int64_t own_b = s->b ? 0 : s->own_columns ? round_up(cols, VL) : VL;
    const int64_t own_a = s->own_rows ? round_up(rows, MR) : 0;
    const int64_t dots = s->b || g->b_depth == 1 ? 0 : dot_columns(g, s);
    real *const scratch = alloc_reals(MAX((own_b + own_a) * g->block, dots * s->k));
    if (!scratch)
        return NNF_NO_MEMORY;
    multiply_task(g, s, i, rows, j, cols, scratch, own_a ? scratch + own_b * g->block : NULL);
    multiply_dots(g, s, i + rows * col_task / t->col_tasks,
                  i + rows * (col_task + 1) / t->col_tasks, scratch);
    nnf_free(scratch);
    if (own_a && s->p == 0 && g->row_sums) /* the cache has these columns of a now */
        return FN_OTHER(sum_columns)(g->k, rows, g->a_depth, g->a + i, g->row_sums + i);
    return NNF_OK;
}

static int multiply_part(const product *g, const part *s) {
    const tiling t = choose_tiling(g, s);
    atomic_int failed = 0;
    PARALLEL_FOR(index, t.row_tasks * t.col_tasks, work_of(s->m, s->n, s->k), {
        if (run_task(g, s, &t, index) != NNF_OK)
            failed = 1;
    });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* Packs what is to be packed; b once for all rows. */
static void pack_part(const product *g, const part *s) {
    const int64_t a_tasks = s->a ? ceil_div(s->m, MC) : 0;
    const int64_t b_tasks = s->b && s->i == 0 ? ceil_div(s->n, share(s->n, NR, NC)) : 0;
    const double reals = (double)((s->a ? s->m : 0) + (b_tasks ? s->n : 0)) * (double)s->k;
    PARALLEL_FOR(index, a_tasks + b_tasks, 0.4 * reals, pack_task(g, s, a_tasks, index));
}

/* A small result of a long depth: a task for each block of depths. The sums are those that one
 * task would have found one after the other. */
static int run_by_depth(const product *g) {
    const int64_t blocks = ceil_div(g->k, g->block);
    const int64_t scratch_size = round_up(MIN(g->n, NC), VL) * g->block;
    real *const sums = alloc_reals(blocks * g->m * g->n);
    if (!sums)
        return NNF_NO_MEMORY;
    atomic_int failed = 0;
    PARALLEL_FOR(index, blocks, work_of(g->m, g->n, g->k), {
        const int64_t p = index * g->block;
        product block = *g;
        block.k = MIN(g->block, g->k - p);
        block.a += p * g->a_depth;
        block.b += p * g->b_depth;
        block.col_bias = NULL;
        block.act = NNF_LINEAR;
        block.y = sums + index * g->m * g->n;
        const part whole = {.m = g->m,
                            .n = g->n,
                            .k = block.k,
                            .own_columns = g->b_col != 1,
                            .dots = g->b_col != 1};
        real *const scratch = alloc_reals(scratch_size);
        const int64_t n = g->n - dot_columns(&block, &whole);
        for (int64_t j = 0; scratch && j < n; j += NC)
            multiply_task(&block, &whole, 0, g->m, j, MIN(NC, n - j), scratch, NULL);
        if (scratch)
            multiply_dots(&block, &whole, 0, g->m, scratch);
        else
            failed = 1;
        nnf_free(scratch);
    });
    if (!failed)
        FN(gemm_add_blocks)(g->m, g->n, blocks, sums, g->col_bias, g->act, g->y);
    nnf_free(sums);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* `summed`: whether the sums of rows have been found in passing. */
static int run_by_parts(const product *g, bool *summed) {
    const double work = work_of(g->m, g->n, g->k);
    const bool transposed_a = g->a_depth != 1, transposed_b = g->b_col != 1;
    const bool large_a = g->m * g->k > LARGE_A;
    const bool pack_a = transposed_a ? (g->m * g->k > LARGE_A / 2 && g->n > 2 * NR) ||
                                           (g->n > MANY_COLUMNS && work > MUCH_WORK)
                                     : large_a && g->n > 8 * NR;
    const bool few_rows = g->m <= FEW_ROWS, many_columns = g->n > 7 * NR;
    const bool large_b =
        few_rows ? g->n * g->k >= FAR && many_columns : g->n * g->k > LARGE_B || large_a;
    const bool small_result = g->m < 256 && g->m * g->n < 3 * SMALL_RESULT && !pack_a;
    const bool few_columns = ceil_div(g->n, NR) < nnf_team(g->m, work);
    const bool own_columns =
        large_b ? (many_columns || transposed_b || (small_result && !few_columns)) &&
                      g->m * MIN(g->k, g->block) <= CACHED_A
                : transposed_b;
    const bool pack_b = large_b && !own_columns;
    const bool dots =
        transposed_b ? own_columns : large_b && !many_columns && (HALVES_PAY || !small_result);
    const bool own_rows = pack_a && !own_columns && g->n <= NC && g->m >= TASKS * 2 * MR;
    const bool pack_all_a = pack_a && !own_rows;
    const bool fetch_rows = !pack_a && !transposed_a && g->k <= g->block && g->n >= 4 * NR &&
                            g->n <= NC && g->m * g->k > FAR;
    const int64_t rows = pack_all_a ? ROWS : g->m, cols = pack_b ? COLS : g->n;
    const int64_t depth = pack_all_a || pack_b ? MIN(BLOCKS * g->block, g->k) : g->k;
    real *const a = pack_all_a ? alloc_reals(round_up(MIN(rows, g->m), MR) * depth) : NULL;
    real *const b = pack_b ? alloc_reals(round_up(MIN(cols, g->n), VL) * depth) : NULL;
    int status = (pack_all_a && !a) || (pack_b && !b) ? NNF_NO_MEMORY : NNF_OK;
    for (int64_t j = 0; j < g->n && status == NNF_OK; j += cols) {
        int64_t p = 0;
        do {
            for (int64_t i = 0; i < g->m && status == NNF_OK; i += rows) {
                const part s = {.i = i,
                                .m = MIN(rows, g->m - i),
                                .j = j,
                                .n = MIN(cols, g->n - j),
                                .p = p,
                                .k = MIN(depth, g->k - p),
                                .a = a,
                                .b = b,
                                .own_rows = own_rows,
                                .own_columns = own_columns,
                                .fetch_rows = fetch_rows,
                                .dots = dots};
                if (a || b)
                    pack_part(g, &s);
                status = multiply_part(g, &s);
            }
            p += depth;
        } while (p < g->k);
    }
    nnf_free(a);
    nnf_free(b);
    *summed = own_rows;
    return status;
}

static int run_product(const product *g, bool *summed) {
    *summed = false;
    if (g->m == 0 || g->n == 0)
        return NNF_OK;
    if (g->m <= FEW_DOTS && g->a_depth == 1 && g->b_depth == 1) {
        FN(gemm_dot)(g->m, g->n, g->k, g->a, g->b, g->col_bias, g->act, g->y);
        return NNF_OK;
    }
    const int64_t few = g->n * g->k > FAR ? FEW_AXPY : FEW_AXPY / 2;
    if (g->m <= few && g->n > NR && g->b_col == 1)
        return FN(gemm_axpy)(g->m, g->n, g->k, g->block, g->a, g->a_row, g->a_depth, g->b,
                             g->col_bias, g->act, g->y);
    if (g->k >= 4 * KC && g->m * g->n <= SMALL_RESULT)
        return run_by_depth(g);
    return run_by_parts(g, summed);
}

static product make_product(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                            const real *a, const real *b, real *y) {
    const int64_t block = block_depth(k);
    return (product){
        .m = m,
        .n = n,
        .k = k,
        .block = block,
        .a = a,
        .b = b,
        .a_row = transpose_a ? 1 : k,
        .a_depth = transpose_a ? m : 1,
        .b_col = transpose_b ? k : 1,
        .b_depth = transpose_b ? 1 : n,
        .stream = k <= block && n % VL == 0 && streams(m * n, 0, y),
        .y = y,
    };
}

int FN(gemm)(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const real *a,
             const real *b, const real *bias, int act, real *y) {
    product g = make_product(transpose_a, transpose_b, m, n, k, a, b, y);
    g.col_bias = bias;
    g.act = activation_in_registers(act);
    bool summed;
    const int status = run_product(&g, &summed);
    return status == NNF_OK ? activation_pass(act, m * n, y) : status;
}

int FN(gemm_and_sums)(int64_t m, int64_t n, int64_t k, const real *a, const real *b, real *y,
                      real *sums) {
    product g = make_product(1, 0, m, n, k, a, b, y);
    g.row_sums = sums;
    bool summed;
    const int status = run_product(&g, &summed);
    return status == NNF_OK && !summed ? FN_OTHER(reduce_sum)(1, k, m, a, sums) : status;
}
