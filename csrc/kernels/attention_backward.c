/* attention_backward.c: the gradients of attention, its weights computed again block by block.
 *
 * q, dq (n, tq, heads, d), k, dk (n, tk, heads, d), v, dv (n, tk, heads, dv) with rows ldq, ldk,
 * ldv apart; y, dy (n, tq, heads, dv), lse (n, heads, tq). Per head, with weights P = e^(S - lse):
 * dv = P^T dy, dS = P (dy v^T - sum(dy y)), dq = scale dS k, dk = scale dS^T q (Dao et al. 2022).
 *
 * A task takes a part of the keys of one head and all queries that see them. Where heads are few
 * their keys are cut into parts; each part sums dq on its own, and in the end these are added in
 * the order of the parts. The cuts depend on the shapes alone, and so do the bits.
 */
#include "attention.h"

#include <stdatomic.h>

enum {
    QUERIES = 128,        /* of a block, a multiple of NR */
    ROW = QUERIES + LINE, /* see row_length */
    PARTS = 8,            /* of a head's keys, at most: each needs its dq */
};

typedef struct {
    attention_inputs in;
    const real *dy, *y, *lse;
    real *dq, *dk, *dv;
    int64_t parts, part_keys;
    real *partial; /* (parts - 1, n, tq, heads, d): dq of all parts but the first */
} backward;

/* The scratch of a task; widths are d or dv rounded up to NR. */
typedef struct {
    real *k, *v;              /* rows of the part's keys */
    real *dk, *dv;            /* (part_keys, d_width), (part_keys, dv_width) */
    real *q, *dy;             /* rows of a block of queries, q times scale */
    real *q_lanes, *dy_lanes; /* likewise */
    real *dq;                 /* (QUERIES, d_width), without scale */
    real *shift, *delta;      /* (QUERIES): log-sum-exp, sum(dy y) */
    real *weights, *slopes;   /* (KEYS, ROW): P, dS */
    real *mask, *rows;        /* (KEYS, NR), (NR, KEYS) */
} scratch;

static bool new_scratch(const backward *b, scratch *s) {
    const int64_t d = b->in.a->d, dv = b->in.a->dv, keys = b->part_keys;
    const int64_t size[] = {
        keys * row_length(d),
        keys * row_length(dv),
        keys * round_up(d, NR),
        keys * round_up(dv, NR),
        QUERIES * row_length(d),
        QUERIES * row_length(dv),
        QUERIES * d,
        QUERIES * dv,
        QUERIES * round_up(d, NR),
        QUERIES,
        QUERIES,
        KEYS * ROW,
        KEYS * ROW,
        KEYS * NR,
        KEYS * NR,
    };
    real **const part[] = {&s->k,     &s->v,       &s->dk,       &s->dv,   &s->q,
                           &s->dy,    &s->q_lanes, &s->dy_lanes, &s->dq,   &s->shift,
                           &s->delta, &s->weights, &s->slopes,   &s->mask, &s->rows};
    return allocate_parts(sizeof size / sizeof *size, size, part);
}

/* c (rows, width) += a b, b (depth, length) */
VINLINE void add_product(int rows, int64_t depth, const real *a, int64_t a_row, int64_t a_depth,
                         const real *b, int64_t length, int64_t width, real *c) {
    for (int64_t column = 0; column < width; column += NR) {
        tile t;
        multiply(rows, depth, a, a_row, a_depth, b + column, length, &t);
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < NV; v++) {
                real *const at = c + i * width + column + v * VL;
                vstore(at, vload(at) + t.sum[i][v]);
            }
    }
}

/* The same for rows of a, whose code the two products of a block of keys share. */
static void add_row_product(int64_t rows, int64_t depth, const real *a, const real *b,
                            int64_t length, int64_t width, real *c) {
    NNF_ROWS(rows, add_product(ROWS, depth, a, ROW, 1, b, length, width, c))
}

/* sum(dy y) of VL queries, dy (rows, length), y (rows, cols) with rows ldy apart */
static vec row_products(int64_t rows, int64_t cols, const real *dy, int64_t length, const real *y,
                        int64_t ldy) {
    vec product[VL], sum = vzero();
    for (int64_t i = 0; i < VL; i++) {
        product[i] = vzero();
        for (int64_t c = 0; i < rows && c < cols; c += VL)
            product[i] += vload(dy + i * length + c) * vload_upto(y + i * ldy + c, cols - c);
    }
    vtranspose(product);
    for (int i = 0; i < VL; i++)
        sum += product[i];
    return sum;
}

/* Loads queries [first, first + queries) of a head; dy, y and lse point to the first. */
static void load_queries(const attention_inputs *head, int64_t first, int64_t queries,
                         const real *dy, const real *y, const real *lse, const scratch *s) {
    const nnf_attention_dims *const a = head->a;
    const int64_t ldy = a->heads * a->dv, length = row_length(a->d), dy_length = row_length(a->dv);
    copy_rows(queries, a->d, head->q + first * a->ldq, a->ldq, (real)a->scale, s->q);
    copy_rows(queries, a->dv, dy, ldy, 1, s->dy);
    rows_to_lanes(queries, a->d, s->q, length, 1, s->q_lanes);
    rows_to_lanes(queries, a->dv, s->dy, dy_length, 1, s->dy_lanes);
    for (int64_t i = 0; i < queries; i += VL) {
        const int64_t rows = queries - i;
        vstore(s->delta + i,
               row_products(rows, a->dv, s->dy + i * dy_length, dy_length, y + i * ldy, ldy));
        vstore(s->shift + i, finite_shift(vload_upto(lse + i, rows)));
    }
}

/* Weights and slopes (keys, NR) of a panel of queries with the first `seen` of `keys` keys, which
 * come `lag` after its first query. */
static void panel_slopes(const nnf_attention_dims *a, int64_t keys, int64_t seen, int64_t lag,
                         const real *q, const real *dy, const real *k, const real *v,
                         const real *mask, const real *shift, const real *delta, real *weights,
                         real *slopes) {
    const int64_t k_length = row_length(a->d), v_length = row_length(a->dv);
    for (int64_t j = 0; j < seen; j += MR) {
        real *const weight = weights + j * ROW, *const slope = slopes + j * ROW;
        tile t;
        NNF_ROWS(MIN(MR, keys - j), {
            multiply(ROWS, a->d, k + j * k_length, k_length, 1, q, NR, &t);
            mask_tile(ROWS, &t, mask ? mask + j * NR : NULL, a->causal && lag + j + ROWS > 1,
                      lag + j);
            for (int i = 0; i < ROWS; i++)
                for (int l = 0; l < NV; l++)
                    vstore(weight + i * ROW + l * VL,
                           vexp_negative(t.sum[i][l] - vload(shift + l * VL)));
            multiply(ROWS, a->dv, v + j * v_length, v_length, 1, dy, NR, &t);
            for (int i = 0; i < ROWS; i++)
                for (int l = 0; l < NV; l++)
                    vstore(slope + i * ROW + l * VL, vload(weight + i * ROW + l * VL) *
                                                         (t.sum[i][l] - vload(delta + l * VL)));
        })
    }
}

/* A block of queries, from `query` on, with a block of keys, from `key` on; that is number `at` of
 * the part. */
static void block_gradients(const attention_inputs *head, int64_t query, int64_t queries,
                            int64_t key, int64_t keys, int64_t at, const scratch *s) {
    const nnf_attention_dims *const a = head->a;
    const int64_t d_width = round_up(a->d, NR), dv_width = round_up(a->dv, NR);
    const int64_t d_length = row_length(a->d), dv_length = row_length(a->dv);
    const real *const k = s->k + at * d_length, *const v = s->v + at * dv_length;
    const bool masked = head->keep || head->bias;
    for (int64_t i = 0; i < queries; i += NR) {
        const int64_t here = MIN(NR, queries - i);
        if (masked)
            mask_panel(head, query + i, here, key, keys, s->rows, s->mask);
        panel_slopes(a, keys, visible(a, query + i + here - 1, key, keys), key - query - i,
                     s->q_lanes + i * a->d, s->dy_lanes + i * a->dv, k, v, masked ? s->mask : NULL,
                     s->shift + i, s->delta + i, s->weights + i, s->slopes + i);
    }
    for (int64_t j = 0; j < keys; j += MR) {
        /* Queries that see none of these keys; of their panels nothing was computed. */
        const int64_t blind = a->causal ? MAX(0, key + j - query) : 0, start = blind / NR * NR;
        if (blind >= queries)
            break;
        const int64_t rows = MIN(MR, keys - j);
        add_row_product(rows, queries - start, s->weights + j * ROW + start,
                        s->dy + start * dv_length, dv_length, dv_width,
                        s->dv + (at + j) * dv_width);
        add_row_product(rows, queries - start, s->slopes + j * ROW + start, s->q + start * d_length,
                        d_length, d_width, s->dk + (at + j) * d_width);
    }
    for (int64_t panel = 0; panel < queries; panel += NR) {
        const int64_t end = MIN(queries, panel + NR);
        for (int64_t i = panel; i < end; i += STRIP) {
            const int64_t here = MIN(STRIP, end - i);
            const int64_t seen = visible(a, query + i + here - 1, key, keys);
            NNF_ROWS(here, add_product(ROWS, seen, s->slopes + i, 1, ROW, k, d_length, d_width,
                                       s->dq + i * d_width))
        }
    }
}

/* to (rows, cols) = from (rows, width) * scale */
static void store_rows(int64_t rows, int64_t cols, const real *from, real scale, real *to,
                       int64_t ld) {
    const int64_t width = round_up(cols, NR);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < cols; c += VL)
            vstore_upto(to + i * ld + c, scale * vload(from + i * width + c), cols - c);
}

/* Part `part` of the keys of head `index`. */
static void part_gradients(const backward *b, int64_t index, int64_t part, const scratch *s) {
    const nnf_attention_dims *const a = b->in.a;
    const attention_inputs head = one_head(&b->in, index);
    const int64_t n = index / a->heads, h = index % a->heads;
    const int64_t first = part * b->part_keys, keys = MIN(b->part_keys, a->tk - first);
    const int64_t d_width = round_up(a->d, NR), dv_width = round_up(a->dv, NR);
    const int64_t ldq = part ? a->heads * a->d : a->ldq;
    real *const dq =
        (part ? b->partial + ((part - 1) * a->n + n) * a->tq * ldq : b->dq + n * a->tq * ldq) +
        h * a->d;
    copy_rows(keys, a->d, head.k + first * a->ldk, a->ldk, 1, s->k);
    copy_rows(keys, a->dv, head.v + first * a->ldv, a->ldv, 1, s->v);
    memset(s->dk, 0, (size_t)(keys * d_width) * sizeof(real));
    memset(s->dv, 0, (size_t)(keys * dv_width) * sizeof(real));
    for (int64_t query = 0; query < a->tq; query += QUERIES) {
        const int64_t queries = MIN(QUERIES, a->tq - query);
        const int64_t seen = visible(a, query + queries - 1, first, keys);
        const int64_t y = ((n * a->tq + query) * a->heads + h) * a->dv;
        memset(s->dq, 0, (size_t)(queries * d_width) * sizeof(real));
        if (seen)
            load_queries(&head, query, queries, b->dy + y, b->y + y, b->lse + index * a->tq + query,
                         s);
        for (int64_t at = 0; at < seen; at += KEYS)
            block_gradients(&head, query, queries, first + at, MIN(KEYS, keys - at), at, s);
        store_rows(queries, a->d, s->dq, (real)a->scale, dq + query * ldq, ldq);
    }
    const int64_t row = n * a->tk + first;
    store_rows(keys, a->d, s->dk, 1, b->dk + row * a->ldk + h * a->d, a->ldk);
    store_rows(keys, a->dv, s->dv, 1, b->dv + row * a->ldv + h * a->dv, a->ldv);
}

/* Adds the other parts of dq to the first. */
static void add_parts(const backward *b) {
    const nnf_attention_dims *const a = b->in.a;
    const int64_t rows = a->n * a->tq, cols = a->heads * a->d;
    PARALLEL_FOR(row, rows, 0.2 * (double)(rows * cols * b->parts), {
        real *const to = b->dq + row * a->ldq;
        for (int64_t c = 0; c < cols; c += VL) {
            vec sum = vload_upto(to + c, cols - c);
            for (int64_t part = 0; part < b->parts - 1; part++)
                sum += vload_upto(b->partial + (part * rows + row) * cols + c, cols - c);
            vstore_upto(to + c, sum, cols - c);
        }
    });
}

int FN(attention_backward)(const nnf_attention_dims *a, const real *dy, const real *q,
                           const real *k, const real *v, const uint8_t *keep, const real *bias,
                           const real *y, const real *lse, real *dq, real *dk, real *dv) {
    backward b = {{a, q, k, v, keep, bias}, dy, y, lse, dq, dk, dv, 1, MAX(1, a->tk), NULL};
    const int64_t heads = a->n * a->heads;
    if (heads == 0)
        return NNF_OK;
    const int64_t wanted = MIN(MIN(PARTS, ceil_div(TASKS, heads)), a->tk / (2 * KEYS));
    if (wanted > 1) {
        b.part_keys = round_up(ceil_div(a->tk, wanted), KEYS);
        b.parts = ceil_div(a->tk, b.part_keys);
        b.partial = alloc_reals((b.parts - 1) * heads * a->tq * a->d);
        if (!b.partial)
            return NNF_NO_MEMORY;
    }
    const double work = 2.5 * attention_work(a, a->tq, b.part_keys);
    const int64_t items = heads * b.parts, together = items_per_task(work);
    atomic_int failed = 0;
    PARALLEL_FOR(task, ceil_div(items, together), work * (double)items, {
        scratch s;
        if (new_scratch(&b, &s)) {
            for (int64_t i = task * together; i < MIN(items, (task + 1) * together); i++)
                part_gradients(&b, i / b.parts, i % b.parts, &s);
            nnf_free(s.k);
        } else
            failed = 1;
    });
    if (b.parts > 1 && !failed)
        add_parts(&b);
    nnf_free(b.partial);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
