/* attention.h: what the forward and the backward pass of attention share.
 *
 * Scores are computed transposed, keys down and queries across: a panel of NR queries fills the
 * lanes, so that maxima and sums over the keys are vertical and the softmax's statistics are
 * vectors. Two layouts hold the operands: lanes (ceil(rows / NR), cols, NR), transposed, and rows
 * (rows, row_length(cols)), compact copies that serve as either side of a product.
 */
#ifndef NNF_ATTENTION_H
#define NNF_ATTENTION_H

#include "gemm_micro.h"
#include "vecmath.h"

enum {
    KEYS = 128, /* keys of a block */
    TASKS = 32, /* wanted at least; heads are cut to get there */
    /* Panels of queries are multiplied by strips of about equal height, at most MR. */
    STRIPS = (NR + MR - 1) / MR,
    STRIP = (NR + STRIPS - 1) / STRIPS,
};

/* The arguments of a pass, or one head of them: then rows of q are ldq apart, and so on. */
typedef struct {
    const nnf_attention_dims *a;
    const real *q, *k, *v;
    const uint8_t *keep; /* the mask is one of these two, or neither */
    const real *bias;
} attention_inputs;

/* Head `index` of n * heads. */
static inline attention_inputs one_head(const attention_inputs *in, int64_t index) {
    const nnf_attention_dims *const a = in->a;
    const int64_t n = index / a->heads, head = index % a->heads;
    const int64_t mask = n * a->mask_n + head * a->mask_head;
    return (attention_inputs){
        .a = a,
        .q = in->q + n * a->tq * a->ldq + head * a->d,
        .k = in->k + n * a->tk * a->ldk + head * a->d,
        .v = in->v + n * a->tk * a->ldv + head * a->dv,
        .keep = in->keep ? in->keep + mask : NULL,
        .bias = in->bias ? in->bias + mask : NULL,
    };
}

/* How many of the keys from `first` on, `keys` of them, a query sees. */
static inline int64_t visible(const nnf_attention_dims *a, int64_t query, int64_t first,
                              int64_t keys) {
    return a->causal ? MAX(0, MIN(keys, query + 1 - first)) : keys;
}

/* Nanoseconds of the forward pass, and the items of work that make a task of 20 microseconds. */
static inline double attention_work(const nnf_attention_dims *a, int64_t queries, int64_t keys) {
    return (double)queries * (double)keys * (0.02 * (double)(a->d + a->dv) + 0.3);
}
static inline int64_t items_per_task(double work) { return 1 + (int64_t)(20000 / (work + 1)); }

/* Allocates parts of the sizes given as one block, *part[0]; false if there is no memory. */
static inline bool allocate_parts(int count, const int64_t *size, real **const *part) {
    int64_t total = 0;
    for (int i = 0; i < count; i++)
        total += round_up(size[i], NR);
    real *at = alloc_reals(total);
    *part[0] = at;
    for (int i = 0; at && i < count; i++) {
        *part[i] = at;
        at += round_up(size[i], NR);
    }
    return at;
}

/* Off the powers of two, at which rows would meet in few sets of the cache. */
static inline int64_t row_length(int64_t cols) { return round_up(cols, NR) + LINE; }

/* from (rows, cols) times scale to rows, whose last vectors are filled up with zeros. */
static inline void copy_rows(int64_t rows, int64_t cols, const real *from, int64_t ld, real scale,
                             real *to) {
    const int64_t length = row_length(cols);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < round_up(cols, NR); c += VL)
            vstore(to + i * length + c,
                   c < cols ? scale * vload_upto(from + i * ld + c, cols - c) : vzero());
}

/* from (rows, cols) times scale to lanes; those of no row are zeros. */
static inline void rows_to_lanes(int64_t rows, int64_t cols, const real *from, int64_t ld,
                                 real scale, real *lanes) {
    for (int64_t row = 0; row < round_up(rows, NR); row += VL)
        for (int64_t c = 0; c < cols; c += VL) {
            real *const to = lanes + row / NR * NR * cols + c * NR + row % NR;
            vec block[VL];
            for (int64_t i = 0; i < VL; i++)
                block[i] = row + i < rows ? scale * vload_upto(from + (row + i) * ld + c, cols - c)
                                          : vzero();
            vtranspose(block);
            for (int64_t i = 0; i < MIN(VL, cols - c); i++)
                vstore(to + i * NR, block[i]);
        }
}

/* What the mask adds to a query's scores with `keys` keys, from element `at` of the mask on. */
static inline void mask_row(const attention_inputs *head, int64_t at, int64_t keys, real *row) {
    const int64_t step = head->a->mask_k;
    const vec nothing = vset1((real)-INFINITY);
    int64_t j = 0;
    if (head->bias)
        for (; j < keys; j++)
            row[j] = head->bias[at + j * step];
    else if (step)
        for (; j + VL <= keys; j += VL)
            vstore(row + j, vselect(vload_bytes(head->keep + at + j) == 0, nothing, vzero()));
    for (; j < keys; j++)
        row[j] = head->keep[at + j * step] ? 0 : (real)-INFINITY;
}

/* The same for `queries` <= NR queries and `keys` <= KEYS keys, out (keys, NR); rows (NR, KEYS) is
 * scratch. */
static inline void mask_panel(const attention_inputs *head, int64_t query, int64_t queries,
                              int64_t key, int64_t keys, real *rows, real *out) {
    const nnf_attention_dims *const a = head->a;
    for (int64_t i = 0; i < (a->mask_q ? queries : 1); i++)
        mask_row(head, (query + i) * a->mask_q + key * a->mask_k, keys, rows + i * KEYS);
    if (a->mask_q)
        rows_to_lanes(queries, keys, rows, KEYS, 1, out);
    else
        for (int64_t j = 0; j < keys; j++)
            for (int v = 0; v < NV; v++)
                vstore(out + j * NR + v * VL, vset1(rows[j]));
}

/* Adds the mask (rows, NR), or nothing where it is NULL, to a tile of scores. `lag`: how many
 * queries after the panel's first its first key comes, which matters if the tile is `cut` by the
 * diagonal. */
VINLINE void mask_tile(int rows, tile *t, const real *mask, bool cut, int64_t lag) {
    if (mask)
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < NV; v++)
                t->sum[i][v] += vload(mask + i * NR + v * VL);
    if (cut) {
        real lane[NR];
        for (int i = 0; i < NR; i++)
            lane[i] = (real)i;
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < NV; v++)
                t->sum[i][v] = vselect(vload(lane + v * VL) < (real)(lag + i),
                                       vset1((real)-INFINITY), t->sum[i][v]);
    }
}

/* Where no key counts, the maximum and the log-sum-exp are -infinity: e^(-infinity - 0) is the
 * weight 0 that is meant, e^(-infinity + infinity) would be NaN. */
VINLINE vec finite_shift(vec shift) {
    return vselect(shift == vset1((real)-INFINITY), vzero(), shift);
}

#endif
