/* pool_quads.c: windows of 2 x 2 pixels side by side, the usual ones: maxima, means, and the
 * gradients of both. x, dx (h, w), y, dy, index (oh, ow), h and w at most one more than twice
 * as much; a plane may be a stack of them.
 *
 * VL windows are computed at a time. Of rows as wide as a vector, or half of one, a vector holds
 * the windows of two or four; those of others that are narrow run over into the next ones, which
 * are written afterwards.
 */
#include "pool.h"

/* The pixels of VL windows, row by row, in the order that vunmix() puts right. */
typedef struct {
    vec pixel[4];
} quads;

/* Rows of windows that make one vector. */
static int64_t rows_together(const nnf_pool *p) { return p->w == VL ? 2 : 2 * p->w == VL ? 4 : 1; }

/* `room` to the end of a plane where a row has a vector of windows or more: they stay in the row.
 */
static const int64_t NO_END = INT64_MAX / 2;

VINLINE quads take_apart(vec top_low, vec top_high, vec bottom_low, vec bottom_high) {
    return (quads){{veven_mixed(top_low, top_high), vodd_mixed(top_low, top_high),
                    veven_mixed(bottom_low, bottom_high), vodd_mixed(bottom_low, bottom_high)}};
}

/* Two or four whole rows of windows from x on. */
VINLINE quads load_rows(int64_t rows, const real *x) {
    const vec a = vload(x), b = vload(x + VL), c = vload(x + 2 * VL), d = vload(x + 3 * VL);
    return rows == 2 ? take_apart(a, c, b, d)
                     : take_apart(vlow_halves(a, b), vlow_halves(c, d), vhigh_halves(a, b),
                                  vhigh_halves(c, d));
}

/* Windows of one row, whose top pixels are x and those behind it, `room` of them to the end of the
 * plane. */
VINLINE quads load_row(const real *x, int64_t width, int64_t room) {
    const real *const bottom = x + width;
    return take_apart(vload_upto(x, room), vload_within(x + VL, room - VL),
                      vload_upto(bottom, room - width),
                      vload_within(bottom + VL, room - width - VL));
}

/* The first of equal maxima wins. Any NaN, and infinities of both signs, show in `check`. */
VINLINE void store_max(const quads *q, const max_result *to, int64_t at, int64_t room, vec *check) {
    const vec *const x = q->pixel;
    *check += (x[0] + x[1]) + (x[2] + x[3]);
    const ivec right = x[1] > x[0], bottom_right = x[3] > x[2];
    const vec top = vmax(x[1], x[0]), bottom = vmax(x[3], x[2]);
    const ivec below = bottom > top;
    const ivec tap =
        (ivec)vselect(below, (vec)(viset1(2) - bottom_right), (vec)(viset1(0) - right));
    store_maxima(vunmix(vmax(bottom, top)), (ivec)vunmix((vec)tap), to, at, room);
}

/* Summed as by rows, one pixel after the other. */
VINLINE void store_mean(const quads *q, real *y, int64_t room) {
    const vec *const x = q->pixel;
    vstore_upto(y, vunmix((x[0] + x[1] + x[2] + x[3]) * (real)0.25), room);
}

/* Maxima, or else means, of VL windows, or as many as there is room for. */
VINLINE void store_pooled(bool maxima, const quads *q, const max_result *to, int64_t at,
                          int64_t room, vec *check) {
    if (maxima)
        store_max(q, to, at, room, check);
    else
        store_mean(q, to->y + at, room);
}

VINLINE vec pool_quads(bool maxima, const nnf_pool *p, const real *x, const max_result *to) {
    const int64_t width = p->w, outputs = p->ow, rows = rows_together(p);
    vec check = vzero();
    int64_t oh = 0;
    for (; rows > 1 && oh + rows <= p->oh; oh += rows) {
        const real *const from = x + 2 * oh * width;
        const quads q = rows == 2 ? load_rows(2, from) : load_rows(4, from);
        store_pooled(maxima, &q, to, oh * outputs, VL, &check);
    }
    for (; oh < p->oh; oh++) {
        const real *const from = x + 2 * oh * width;
        for (int64_t ow = 0; outputs >= VL && ow < outputs; ow += VL) {
            const int64_t at = MIN(ow, outputs - VL);
            const quads q = load_row(from + 2 * at, width, NO_END);
            store_pooled(maxima, &q, to, oh * outputs + at, VL, &check);
        }
        if (outputs < VL) {
            const quads q = load_row(from, width, (p->h - 2 * oh) * width);
            store_pooled(maxima, &q, to, oh * outputs, (p->oh - oh) * outputs, &check);
        }
    }
    return check;
}

bool FN(max_quads)(const nnf_pool *p, const real *x, const max_result *to) {
    const vec check = pool_quads(true, p, x, to);
    return !vany(check != check);
}

void FN(mean_quads)(const nnf_pool *p, const real *x, real *y) {
    pool_quads(false, p, x, &(max_result){.y = y});
}

/* What VL gradients give to the pixels of their windows, in the order of the windows. */
VINLINE quads spread(vec dy, const uint8_t *index) {
    const vec whole = vopaque(dy), quarter = whole * (real)0.25;
    quads q = {{quarter, quarter, quarter, quarter}};
    if (index) {
        const ivec at = vload_bytes(index);
        NNF_EACH (i, 4)
            q.pixel[i] = (vec)((ivec)whole & (at == viset1(i)));
    }
    return q;
}

/* The other way round of load_rows. */
VINLINE void store_rows(int64_t rows, const quads *q, real *x) {
    const vec *const v = q->pixel;
    const vec top_low = vzip_low(v[0], v[1]), top_high = vzip_high(v[0], v[1]);
    const vec bottom_low = vzip_low(v[2], v[3]), bottom_high = vzip_high(v[2], v[3]);
    vstore(x, rows == 2 ? top_low : vlow_halves(top_low, bottom_low));
    vstore(x + VL, rows == 2 ? bottom_low : vhigh_halves(top_low, bottom_low));
    vstore(x + 2 * VL, rows == 2 ? top_high : vlow_halves(top_high, bottom_high));
    vstore(x + 3 * VL, rows == 2 ? bottom_high : vhigh_halves(top_high, bottom_high));
}

/* The other way round of load_row, `windows` of the VL being of this row. */
VINLINE void store_row(const quads *q, real *x, int64_t width, int64_t windows, int64_t room) {
    const int64_t most = 2 * windows > VL ? 2 * VL : VL;
    NNF_EACH (i, 2)
        vstore_zipped(x + i * width, q->pixel[2 * i], q->pixel[2 * i + 1],
                      MIN(most, room - i * width));
}

/* A row of fewer than VL windows, `left` of them to the end of the plane, as are `room` pixels. */
static void spread_narrow_row(const nnf_pool *p, const real *dy, const uint8_t *index, int64_t left,
                              real *dx, int64_t room) {
    uint8_t last[VL] = {0};
    if (index && left < VL)
        memcpy(last, index, (size_t)left);
    const quads q = spread(vload_upto(dy, left), !index ? NULL : left < VL ? last : index);
    store_row(&q, dx, p->w, p->ow, room);
}

void FN(spread_quads)(const nnf_pool *p, const real *dy, const uint8_t *index, real *dx) {
    const int64_t width = p->w, inputs = p->ow, rows = rows_together(p);
    int64_t oh = 0;
    for (; rows > 1 && oh + rows <= p->oh; oh += rows) {
        const int64_t at = oh * inputs;
        const quads q = spread(vload(dy + at), index ? index + at : NULL);
        real *const to = dx + 2 * oh * width;
        if (rows == 2)
            store_rows(2, &q, to);
        else
            store_rows(4, &q, to);
    }
    for (; oh < p->oh; oh++) {
        const int64_t first = oh * inputs;
        real *const to = dx + 2 * oh * width;
        for (int64_t ow = 0; inputs >= VL && ow < inputs; ow += VL) {
            const int64_t column = MIN(ow, inputs - VL), at = first + column;
            const quads q = spread(vload(dy + at), index ? index + at : NULL);
            store_row(&q, to + 2 * column, width, VL, NO_END);
        }
        if (inputs < VL)
            spread_narrow_row(p, dy + first, index ? index + first : NULL, p->oh * inputs - first,
                              to, (p->h - 2 * oh) * width);
        if (2 * inputs < width)
            to[width - 1] = to[2 * width - 1] = 0;
    }
    for (int64_t i = 2 * p->oh * width; i < p->h * width; i++)
        dx[i] = 0;
}
