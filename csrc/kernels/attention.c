/* attention.c: scaled dot-product attention without the (tq, tk) matrix.
 *
 * q (n, tq, heads, d), k (n, tk, heads, d), v (n, tk, heads, dv) with rows ldq, ldk, ldv apart;
 * y (n, tq, heads, dv), lse (n, heads, tq). Per head, y = softmax(scale q k^T + mask) v.
 *
 * A task takes a block of queries of one head; block of keys by block of keys and panel by panel,
 * scores become weights, which are multiplied by the values at once. When a later block raises a
 * query's maximum, what was summed before shrinks (Milakov & Gimelshein 2018, Rabe & Staats 2021,
 * Dao et al. 2022). Blocks of keys depend on the shapes alone, and so do the bits.
 */
#include "attention.h"

#include <stdatomic.h>

typedef struct {
    attention_inputs in;
    real *y, *lse;
    int64_t queries; /* of a task */
} forward;

/* The scratch of a task; width is dv rounded up to NR. */
typedef struct {
    real *q;           /* lanes of the queries, times scale */
    real *k, *v;       /* rows of a block of keys */
    real *sum;         /* (queries, width): of weighted values */
    real *top, *total; /* (queries): the largest score, the sum of weights relative to it */
    real *weights;     /* (KEYS, NR) */
    real *mask, *rows; /* (KEYS, NR), (NR, KEYS) */
} scratch;

static bool new_scratch(const forward *f, scratch *s) {
    const int64_t d = f->in.a->d, dv = f->in.a->dv, queries = round_up(f->queries, NR);
    const int64_t size[] = {
        queries * d,
        KEYS * row_length(d),
        KEYS * row_length(dv),
        queries * round_up(dv, NR),
        queries,
        queries,
        KEYS * NR,
        KEYS * NR,
        KEYS * NR,
    };
    real **const part[] = {&s->q,     &s->k,       &s->v,    &s->sum, &s->top,
                           &s->total, &s->weights, &s->mask, &s->rows};
    return allocate_parts(sizeof size / sizeof *size, size, part);
}

/* Scores of a panel of queries q with keys k (keys, length), the first of them `lag` after the
 * first query; raises top (NR). */
static void panel_scores(const nnf_attention_dims *a, int64_t keys, int64_t lag, const real *q,
                         const real *k, const real *mask, real *top, real *scores) {
    const int64_t length = row_length(a->d);
    vec highest[NV];
    for (int v = 0; v < NV; v++)
        highest[v] = vload(top + v * VL);
    for (int64_t j = 0; j < keys; j += MR) {
        real *const to = scores + j * NR;
        tile t;
        NNF_ROWS(MIN(MR, keys - j), {
            multiply(ROWS, a->d, k + j * length, length, 1, q, NR, &t);
            mask_tile(ROWS, &t, mask ? mask + j * NR : NULL, a->causal && lag + j + ROWS > 1,
                      lag + j);
            for (int i = 0; i < ROWS; i++)
                for (int v = 0; v < NV; v++) {
                    highest[v] = vmax(highest[v], t.sum[i][v]);
                    vstore(to + i * NR + v * VL, t.sum[i][v]);
                }
        })
    }
    for (int v = 0; v < NV; v++)
        vstore(top + v * VL, highest[v]);
}

/* Scores (keys, NR) become weights; total (NR) follows, and `decay` (NR) is what sums so far shrink
 * by when the maximum rises from old_top to top. */
static void panel_weights(int64_t keys, const real *old_top, const real *top, real *scores,
                          real *total, real *decay) {
    vec shift[NV], sum[NV];
    for (int v = 0; v < NV; v++) {
        shift[v] = finite_shift(vload(top + v * VL));
        sum[v] = vzero();
    }
    for (int64_t j = 0; j < keys; j++)
        for (int v = 0; v < NV; v++) {
            real *const at = scores + j * NR + v * VL;
            const vec weight = vexp_negative(vload(at) - shift[v]);
            sum[v] += weight;
            vstore(at, weight);
        }
    for (int v = 0; v < NV; v++) {
        const vec shrink = vexp_negative(vload(old_top + v * VL) - shift[v]);
        vstore(decay + v * VL, shrink);
        vstore(total + v * VL, vfma(vload(total + v * VL), shrink, sum[v]));
    }
}

/* sum (queries, width) = sum * decay + weights^T v */
static void panel_sums(int64_t queries, int64_t keys, int64_t dv, const real *weights,
                       const real *v_rows, const real *decay, real *sum) {
    const int64_t width = round_up(dv, NR), length = row_length(dv);
    for (int64_t c = 0; c < width; c += NR)
        for (int64_t i = 0; i < queries; i += STRIP) {
            real *const to = sum + i * width + c;
            tile t;
            NNF_ROWS(MIN(STRIP, queries - i), {
                multiply(ROWS, keys, weights + i, 1, NR, v_rows + c, length, &t);
                for (int r = 0; r < ROWS; r++)
                    for (int v = 0; v < NV; v++) {
                        real *const at = to + r * width + v * VL;
                        vstore(at, vfma(vload(at), vset1(decay[i + r]), t.sum[r][v]));
                    }
            })
        }
}

/* y (queries, dv) = sum / total, lse = top + log(total); zero and -infinity where no key counts. */
static void finish_queries(const nnf_attention_dims *a, int64_t queries, const scratch *s, real *y,
                           real *lse) {
    const int64_t width = round_up(a->dv, NR), ldy = a->heads * a->dv;
    for (int64_t i = 0; i < queries; i++) {
        const vec factor = vset1(s->total[i] == 0 ? 0 : 1 / s->total[i]);
        for (int64_t c = 0; c < a->dv; c += VL)
            vstore_upto(y + i * ldy + c, vload(s->sum + i * width + c) * factor, a->dv - c);
    }
    for (int64_t i = 0; i < queries; i += VL)
        vstore_upto(lse + i, vload(s->top + i) + vlog(vload(s->total + i)), queries - i);
}

/* Queries [first, first + queries) of one head. */
static void attend(const attention_inputs *head, int64_t first, int64_t queries, const scratch *s,
                   real *y, real *lse) {
    const nnf_attention_dims *const a = head->a;
    const int64_t width = round_up(a->dv, NR);
    const bool masked = head->keep || head->bias;
    rows_to_lanes(queries, a->d, head->q + first * a->ldq, a->ldq, (real)a->scale, s->q);
    memset(s->sum, 0, (size_t)(queries * width) * sizeof(real));
    for (int64_t i = 0; i < round_up(queries, NR); i++) {
        s->top[i] = (real)-INFINITY;
        s->total[i] = 0;
    }
    const int64_t all_keys = visible(a, first + queries - 1, 0, a->tk);
    for (int64_t key = 0; key < all_keys; key += KEYS) {
        const int64_t keys = MIN(KEYS, all_keys - key);
        copy_rows(keys, a->d, head->k + key * a->ldk, a->ldk, 1, s->k);
        copy_rows(keys, a->dv, head->v + key * a->ldv, a->ldv, 1, s->v);
        for (int64_t i = 0; i < queries; i += NR) {
            const int64_t here = MIN(NR, queries - i), query = first + i;
            const int64_t seen = visible(a, query + here - 1, key, keys);
            real old_top[NR], decay[NR];
            if (seen == 0)
                continue;
            memcpy(old_top, s->top + i, sizeof old_top);
            if (masked)
                mask_panel(head, query, here, key, seen, s->rows, s->mask);
            panel_scores(a, seen, key - query, s->q + i * a->d, s->k, masked ? s->mask : NULL,
                         s->top + i, s->weights);
            panel_weights(seen, old_top, s->top + i, s->weights, s->total + i, decay);
            panel_sums(here, seen, a->dv, s->weights, s->v, decay, s->sum + i * width);
        }
    }
    finish_queries(a, queries, s, y, lse);
}

int FN(attention)(const nnf_attention_dims *a, const real *q, const real *k, const real *v,
                  const uint8_t *keep, const real *bias, real *y, real *lse) {
    forward f = {{a, q, k, v, keep, bias}, y, lse, 512};
    const int64_t heads = a->n * a->heads;
    while (f.queries > 64 && heads * ceil_div(a->tq, f.queries) < TASKS)
        f.queries /= 2;
    f.queries = MIN(f.queries, a->tq);
    const int64_t blocks = ceil_div(a->tq, MAX(1, f.queries)), items = heads * blocks;
    const double work = attention_work(a, f.queries, a->tk);
    const int64_t together = items_per_task(work);
    atomic_int failed = 0;
    PARALLEL_FOR(task, ceil_div(items, together), work * (double)items, {
        scratch s;
        if (new_scratch(&f, &s)) {
            for (int64_t i = task * together; i < MIN(items, (task + 1) * together); i++) {
                /* The last queries of a causal head have most to do: they come first. */
                const int64_t first = (blocks - 1 - i % blocks) * f.queries, index = i / blocks;
                const attention_inputs head = one_head(&f.in, index);
                const int64_t row = index / a->heads * a->tq + first;
                attend(&head, first, MIN(f.queries, a->tq - first), &s,
                       y + (row * a->heads + index % a->heads) * a->dv,
                       lse + index * a->tq + first);
            }
            nnf_free(s.q);
        } else
            failed = 1;
    });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
