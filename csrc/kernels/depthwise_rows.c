/* depthwise_rows.c: depthwise convolution as most networks have it, with kernels of 3 x 3, a
 * padding of 1 and a stride of 1 or 2, and its gradients: x, dx (n, c, h, w), weight, dweight (c,
 * 1, 3, 3), y, dy (n, c, oh, ow).
 *
 * A block of VL columns goes down a plane. Each row is loaded once, its neighbours to the left and
 * right being made of it, and gives to all rows of sums that see it, which are registers. Blocks
 * come from right to left, rows from top to bottom: what the last block writes too much is written
 * over by what comes after it in memory.
 */
#include <stdatomic.h>

#include "activate.h"
#include "depthwise.h"
#include "vecdouble.h"

/* Where the columns of a block are: its first in a plane of results, how many there are from there
 * on, and whether it is the first or the last block of a row. */
typedef struct {
    int64_t column, left;
    bool first, last;
} columns;

/* The pixels a tap's row meets, for each column of results: those of the left, the middle and the
 * right tap. */
typedef struct {
    vec tap[3];
} neighbours;

/* Stride 1: pixels column - 1, column and column + 1 of a row. */
VINLINE neighbours load_singles(columns at, const real *row, int64_t width) {
    const real *const from = row + at.column;
    const int64_t room = at.last ? width - at.column : VL;
    const vec middle = vload_upto(from, room);
    return (neighbours){{at.first ? vprevious(vzero(), middle) : vload_upto(from - 1, room + 1),
                         middle, at.last ? vnext(middle, vzero()) : vload(from + 1)}};
}

/* Stride 2: pixels 2 column - 1, 2 column and 2 column + 1. */
VINLINE neighbours load_pairs(columns at, const real *row, int64_t width) {
    const real *const from = row + 2 * at.column;
    const int64_t room = at.last ? width - 2 * at.column : 2 * VL;
    const vec low = vload_upto(from, room), high = vload_within(from + VL, room - VL);
    const vec right = vunmix(vodd_mixed(low, high));
    vec left = vprevious(vzero(), right);
    if (!at.first)
        left = vunmix(veven_mixed(vload_upto(from - 1, room + 1),
                                  vload_within(from - 1 + VL, room + 1 - VL)));
    return (neighbours){{left, vunmix(veven_mixed(low, high)), right}};
}

/* What a row gives to a row of sums: by itself, so that no row waits for the one above it. */
VINLINE vec sum_taps(const vec weight[3], neighbours n) {
    return vfma(weight[2], n.tap[2], vfma(weight[1], n.tap[1], weight[0] * n.tap[0]));
}

/* Tap t of a plane has weight[t * step]. */
typedef struct {
    const real *weight;
    int64_t step;
    real scale, bias;
    nnf_activation act;
} filter;

VINLINE void load_weights(const filter *f, vec weight[9]) {
    NNF_EACH (t, 9)
        weight[t] = vset1(f->weight[t * f->step]);
}

VINLINE vec finish(vec sum, const filter *f) {
    return activate(sum * vset1(f->scale) + vset1(f->bias), f->act);
}

/* One block of a plane y (h, w) of x (h, w). What lies `ahead` of a row is fetched. */
VINLINE void convolve_singles(columns at, int64_t h, int64_t w, const real *x, int64_t ahead,
                              const filter *f, real *y) {
    vec k[9];
    load_weights(f, k);
    const real *const end = y + h * w;
    real *to = y + at.column;
    vec lower = vzero(), upper = vzero(); /* sums that lack one, and two, of their rows of x */
    for (int64_t i = 0; i < h; i++, x += w) {
        const neighbours n = load_singles(at, x, w);
        __builtin_prefetch(x + at.column + ahead, 0, 2);
        const vec sum = lower + sum_taps(k + 6, n);
        lower = upper + sum_taps(k + 3, n);
        upper = sum_taps(k, n);
        if (i > 0) {
            vstore_upto(to, finish(sum, f), at.last ? end - to : VL);
            to += w;
        }
    }
    vstore_upto(to, finish(lower, f), at.last ? end - to : VL);
}

/* One block of a plane y (oh, ow) of x (h, w). */
VINLINE void convolve_pairs(columns at, const nnf_conv *d, const real *x, int64_t ahead,
                            const filter *f, real *y) {
    vec k[9];
    load_weights(f, k);
    const int64_t h = d->h, w = d->w, ow = d->ow;
    const real *const end = y + d->oh * ow;
    real *to = y + at.column;
    vec sum = vzero();
    for (int64_t i = 0; i < d->oh; i++, to += ow) {
        __builtin_prefetch(x + 2 * at.column + ahead, 0, 2);
        __builtin_prefetch(x + 2 * at.column + ahead + w, 0, 2);
        sum += sum_taps(k + 3, load_pairs(at, x, w));
        vec next = vzero();
        if (2 * i + 1 < h) {
            const neighbours n = load_pairs(at, x + w, w);
            sum += sum_taps(k + 6, n);
            next = sum_taps(k, n);
        }
        vstore_upto(to, finish(sum, f), at.last ? end - to : VL);
        sum = next;
        x += 2 * w;
    }
}

/* A row of dx, interleaved from its even and odd columns. */
VINLINE void store_pairs(columns at, vec even, vec odd, real *to, const real *end) {
    const int64_t room = at.last ? end - to : 2 * VL;
    vstore_zipped(to, even, odd, 2 * at.left > VL ? room : MIN(room, VL));
}

/* One block of a plane dx (h, w) from dy (oh, ow) at stride 2. */
VINLINE void spread_pairs(columns at, const nnf_conv *d, const real *dy, int64_t ahead,
                          const filter *f, real *dx) {
    vec k[9];
    load_weights(f, k);
    const int64_t h = d->h, w = d->w, ow = d->ow;
    const real *const end = dx + h * w;
    real *to = dx + 2 * at.column;
    neighbours n = load_singles(at, dy, ow);
    for (int64_t i = 0; i < d->oh; i++) {
        const vec here = n.tap[1], right = n.tap[2];
        store_pairs(at, k[4] * here, vfma(k[5], here, k[3] * right), to, end);
        to += w;
        if (2 * i + 1 >= h)
            break;
        dy += ow;
        __builtin_prefetch(dy + at.column + ahead, 0, 2);
        if (i + 1 < d->oh)
            n = load_singles(at, dy, ow);
        else
            n = (neighbours){{vzero(), vzero(), vzero()}};
        const vec even = vfma(k[7], here, k[1] * n.tap[1]);
        const vec odd = vfma(k[8], here, k[6] * right) + vfma(k[2], n.tap[1], k[0] * n.tap[2]);
        store_pairs(at, even, odd, to, end);
        to += w;
    }
}

/* Runs body for each block of a plane with `count` columns of results, of each kind by itself. */
#define EACH_BLOCK(count, at, ...)                                                                 \
    do {                                                                                           \
        const int64_t last_ = ((count) - 1) / VL * VL;                                             \
        for (int64_t column_ = last_; column_ >= 0; column_ -= VL) {                               \
            if (last_ == 0) {                                                                      \
                const columns at = {0, (count), true, true};                                       \
                __VA_ARGS__;                                                                       \
            } else if (column_ == last_) {                                                         \
                const columns at = {column_, (count) - column_, false, true};                      \
                __VA_ARGS__;                                                                       \
            } else if (column_ == 0) {                                                             \
                const columns at = {0, (count), true, false};                                      \
                __VA_ARGS__;                                                                       \
            } else {                                                                               \
                const columns at = {column_, (count) - column_, false, false};                     \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static void convolve_plane(const nnf_conv *d, const real *x, int64_t ahead, const filter *f,
                           real *y) {
    if (d->stride_w == 1)
        EACH_BLOCK(d->ow, at, convolve_singles(at, d->h, d->w, x, ahead, f, y));
    else
        EACH_BLOCK(d->ow, at, convolve_pairs(at, d, x, ahead, f, y));
}

static void spread_plane(const nnf_conv *d, const real *dy, int64_t ahead, const filter *f,
                         real *dx) {
    if (d->stride_w == 1)
        EACH_BLOCK(d->w, at, convolve_singles(at, d->h, d->w, dy, ahead, f, dx));
    else
        EACH_BLOCK(d->ow, at, spread_pairs(at, d, dy, ahead, f, dx));
}

/* A quarter of a vector is the least that pays. */
bool FN(depthwise_fits_rows)(const nnf_conv *d) {
    return d->k == d->c && d->kh == 3 && d->kw == 3 && d->pad_h == 1 && d->pad_w == 1 &&
           d->dilation_h == 1 && d->dilation_w == 1 && d->stride_h == d->stride_w &&
           d->stride_h <= 2 && 4 * d->ow > VL;
}

static double work_of(const nnf_conv *d) {
    return 0.1 * (double)(d->n * d->c) * (double)(d->h * d->w);
}

int FN(depthwise_rows_forward)(const nnf_conv *d, const real *x, const real *weight,
                               const conv_finish *f, real *y) {
    const int64_t planes = d->n * d->c, in = d->h * d->w, out = d->oh * d->ow;
    const int64_t group = MAX(1, NNF_CHUNK / in);
    PARALLEL_FOR(task, ceil_div(planes, group), work_of(d), {
        int64_t c = task * group % d->c;
        for (int64_t p = task * group; p < MIN((task + 1) * group, planes); p++) {
            const filter own = {weight + c * 9, 1, f->scale ? f->scale[c] : 1,
                                f->bias ? f->bias[c] : 0, f->act};
            convolve_plane(d, x + p * in, in, &own, y + p * out);
            c = c + 1 < d->c ? c + 1 : 0;
        }
    });
    return NNF_OK;
}

int FN(depthwise_rows_backward_input)(const nnf_conv *d, const real *dy, const real *weight,
                                      real *dx) {
    const int64_t planes = d->n * d->c, in = d->h * d->w, out = d->oh * d->ow;
    const int64_t group = MAX(1, NNF_CHUNK / in);
    const bool turned = d->stride_w == 1;
    PARALLEL_FOR(task, ceil_div(planes, group), work_of(d), {
        int64_t c = task * group % d->c;
        for (int64_t p = task * group; p < MIN((task + 1) * group, planes); p++) {
            const filter own = {weight + c * 9 + (turned ? 8 : 0), turned ? -1 : 1, 1, 0,
                                NNF_LINEAR};
            spread_plane(d, dy + p * out, out, &own, dx + p * in);
            c = c + 1 < d->c ? c + 1 : 0;
        }
    });
    return NNF_OK;
}

/* sum[t] += the products of dy's row and what tap row t / 3 meets. */
VINLINE void add_products(vec dy, neighbours n, vec sum[3]) {
    NNF_EACH (i, 3)
        sum[i] = vfma(dy, n.tap[i], sum[i]);
}

VINLINE vec load_columns(columns at, const real *row, int64_t width) {
    return vload_upto(row + at.column, at.last ? width - at.column : VL);
}

/* Without what the left tap sees beyond the last column, which may be infinite. */
VINLINE neighbours within(columns at, int64_t width, neighbours n) {
    if (at.last)
        n.tap[0] = (vec)(vfirst(MIN(VL, width - at.column)) & (ivec)n.tap[0]);
    return n;
}

/* Adds rows [begin, end) of x to the sums of one block at stride 1. */
VINLINE void add_singles(columns at, const nnf_conv *d, int64_t begin, int64_t end, const real *dy,
                         const real *x, int64_t ahead, vec total[9]) {
    const int64_t h = d->h, w = d->w;
    vec sum[9];
    NNF_EACH (t, 9)
        sum[t] = total[t];
    vec above = begin > 0 ? load_columns(at, dy + (begin - 1) * w, w) : vzero();
    vec here = load_columns(at, dy + begin * w, w);
    for (int64_t i = begin; i < end; i++) {
        const neighbours n = within(at, w, load_singles(at, x + i * w, w));
        __builtin_prefetch(x + i * w + at.column + ahead, 0, 2);
        __builtin_prefetch(dy + i * w + at.column + ahead, 0, 2);
        const vec below = i + 1 < h ? load_columns(at, dy + (i + 1) * w, w) : vzero();
        if (i + 1 < h)
            add_products(below, n, sum);
        add_products(here, n, sum + 3);
        if (i > 0)
            add_products(above, n, sum + 6);
        above = here;
        here = below;
    }
    NNF_EACH (t, 9)
        total[t] = sum[t];
}

/* Adds rows [begin, end) of dy to the sums of one block at stride 2. */
VINLINE void add_pairs(columns at, const nnf_conv *d, int64_t begin, int64_t end, const real *dy,
                       const real *x, int64_t ahead, int64_t ahead_dy, vec total[9]) {
    const int64_t h = d->h, w = d->w, ow = d->ow;
    const neighbours none = {{vzero(), vzero(), vzero()}};
    vec sum[9];
    NNF_EACH (t, 9)
        sum[t] = total[t];
    neighbours above =
        begin > 0 ? within(at, ow, load_pairs(at, x + (2 * begin - 1) * w, w)) : none;
    for (int64_t i = begin; i < end; i++) {
        const real *const row = x + 2 * i * w;
        const vec factor = load_columns(at, dy + i * ow, ow);
        __builtin_prefetch(row + 2 * at.column + ahead, 0, 2);
        __builtin_prefetch(row + 2 * at.column + ahead + w, 0, 2);
        __builtin_prefetch(dy + i * ow + at.column + ahead_dy, 0, 2);
        add_products(factor, above, sum);
        add_products(factor, within(at, ow, load_pairs(at, row, w)), sum + 3);
        above = none;
        if (2 * i + 1 < h)
            above = within(at, ow, load_pairs(at, row + w, w));
        add_products(factor, above, sum + 6);
    }
    NNF_EACH (t, 9)
        total[t] = sum[t];
}

/* The sums of a channel: in vectors for SHORT_SUM additions or so, then in double. */
typedef struct {
    vec sum[9];
    int64_t added;
    double total[9];
} weight_sums;

static void flush(weight_sums *s) {
    for (int t = 0; t < 9; t++) {
        s->total[t] += dsum(vwiden(s->sum[t]));
        s->sum[t] = vzero();
    }
    s->added = 0;
}

/* Adds the products of two planes, whose next ones are `x_ahead` and `dy_ahead` away. */
static void add_plane(const nnf_conv *d, const real *dy, int64_t dy_ahead, const real *x,
                      int64_t x_ahead, weight_sums *s) {
    for (int64_t begin = 0, rows; begin < d->oh; begin += rows) {
        rows = MIN(d->oh - begin, SHORT_SUM / 4);
        if (d->stride_w == 1)
            EACH_BLOCK(d->ow, at, {
                add_singles(at, d, begin, begin + rows, dy, x, x_ahead, s->sum);
                s->added += rows;
                if (s->added > SHORT_SUM - rows)
                    flush(s);
            });
        else
            EACH_BLOCK(d->ow, at, {
                add_pairs(at, d, begin, begin + rows, dy, x, x_ahead, dy_ahead, s->sum);
                s->added += rows;
                if (s->added > SHORT_SUM - rows)
                    flush(s);
            });
    }
}

int FN(depthwise_rows_backward_weight)(const nnf_conv *d, const real *dy, const real *x,
                                       real *dweight, real *dbias) {
    const int64_t in = d->h * d->w, out = d->oh * d->ow;
    PARALLEL_FOR(c, d->c, work_of(d), {
        weight_sums s = {0};
        for (int64_t n = 0; n < d->n; n++) {
            const int64_t p = n * d->c + c;
            add_plane(d, dy + p * out, d->c * out, x + p * in, d->c * in, &s);
        }
        flush(&s);
        for (int t = 0; t < 9; t++)
            dweight[c * 9 + t] = (real)s.total[t];
        if (dbias)
            dbias[c] = FN(depthwise_bias)(d, c, dy);
    });
    return NNF_OK;
}
