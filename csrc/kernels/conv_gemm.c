/* conv_gemm.c: forward and input gradient of a convolution as implicit GEMM.
 *
 * forward: weight (k, c/groups x kh x kw) times the gathered x (c/groups x taps, pixels of y).
 * input gradient: a stride-1 convolution of dy (n, k, oh, ow) with the turned weights for each of
 * the stride_h x stride_w phases of dx's pixels: phase (a, b) holds the pixels (a + stride_h i,
 * b + stride_w j) and sees only the taps that reach it, so no multiplication is by an inserted
 * zero.
 */
#include "conv_product.h"

/* That so many pixels are multiplied with them repays the packing of weights. */
enum { MANY_PIXELS = 512 };

/* Row r of group q has its depth c, t (channel and tap) at data[q * group + r * row + c * channel +
 * t], or at tap_index[t] instead of t. */
typedef struct {
    const real *data;
    int64_t group, row, channel;
    const int64_t *tap_index; /* (taps) or NULL */
} weights;

/* A tile of `width` rows, of which there are `rows`, from `from` on: to (channels * taps, width).
 */
VINLINE void pack_rows(const conv_product *p, const weights *w, const real *from, int64_t rows,
                       int64_t width, real *to) {
    for (int64_t c = 0; c < p->channels; c++, from += w->channel)
        for (int64_t t = 0; t < p->from.taps; t++, to += width) {
            const real *const column = from + (w->tap_index ? w->tap_index[t] : t);
            for (int64_t i = 0; i < width; i++)
                to[i] = i < rows ? column[i * w->row] : 0;
        }
}

static void pack_tile(const conv_product *p, const weights *w, const real *from, int64_t rows,
                      int64_t width, real *to) {
    const int64_t depth = p->channels * p->from.taps;
    if (!w->tap_index && w->channel == p->from.taps)
        FN(gemm_pack)(rows, depth, depth, width, from, w->row, 1, to);
    else if (width == MR)
        pack_rows(p, w, from, rows, MR, to);
    else
        pack_rows(p, w, from, rows, width, to);
}

/* The product with weights that are packed first. */
static int run_packed(const conv_product *p, const weights *w) {
    const bool lanes = FN(conv_lanes_pay)(p);
    const int64_t width = lanes ? NR : MR, depth = p->channels * p->from.taps;
    const int64_t tiles = ceil_div(p->rows, width), reals = p->groups * tiles * width * depth;
    real *const packed = alloc_reals(reals);
    if (!packed)
        return NNF_NO_MEMORY;
    PARALLEL_FOR(q, p->groups * tiles, 0.5 * (double)reals, {
        const int64_t first = q % tiles * width;
        pack_tile(p, w, w->data + q / tiles * w->group + first * w->row,
                  MIN(width, p->rows - first), width, packed + q * width * depth);
    });
    conv_product with_packed = *p;
    with_packed.left = packed;
    with_packed.left_group = tiles * width * depth;
    with_packed.weights = (gemm_left){.tile = width * depth, .row = 1, .depth = width};
    const int status =
        lanes ? FN(conv_lanes_run)(&with_packed) : FN(conv_product_run)(&with_packed);
    nnf_free(packed);
    return status;
}

int FN(conv_gemm_forward)(const nnf_conv *d, const real *x, const real *weight,
                          const conv_finish *f, real *y) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups, rows = d->k / d->groups;
    conv_product p = {
        .images = d->n,
        .groups = d->groups,
        .rows = rows,
        .channels = channels,
        .source = x,
        .result = y,
        .plane = d->oh * d->ow,
        .step_h = 1,
        .step_w = 1,
        .result_width = d->ow,
        .finish = *f,
        .weights = {.tile = MR * channels * taps, .row = channels * taps, .depth = 1},
        .left = weight,
        .left_group = rows * channels * taps,
    };
    if (!FN(conv_gather_windows)(d, &p.from))
        return NNF_NO_MEMORY;
    const weights w = {weight, p.left_group, p.weights.row, taps, NULL};
    const bool many = PACKED_PAYS && d->n * d->oh * d->ow >= MANY_PIXELS && rows >= MR;
    const int status = many ? run_packed(&p, &w) : FN(conv_product_run)(&p);
    FN(conv_gather_free_windows)(&p.from);
    return status;
}

/* The taps of phase (a, b): those whose distance to it is a multiple of the stride. */
static int64_t phase_taps(const nnf_conv *d, int64_t a, int64_t b, int64_t *tap_h, int64_t *tap_w,
                          int64_t *tap_index) {
    int64_t taps = 0;
    for (int64_t t = 0; t < d->kh * d->kw; t++) {
        const int64_t up = a + d->pad_h - t / d->kw * d->dilation_h;
        const int64_t left = b + d->pad_w - t % d->kw * d->dilation_w;
        if (up % d->stride_h == 0 && left % d->stride_w == 0) {
            tap_h[taps] = up / d->stride_h;
            tap_w[taps] = left / d->stride_w;
            tap_index[taps++] = t;
        }
    }
    return taps;
}

static bool every_phase_has_taps(const nnf_conv *d, int64_t *table) {
    const int64_t taps = d->kh * d->kw;
    for (int64_t a = 0; a < MIN(d->stride_h, d->h); a++)
        for (int64_t b = 0; b < MIN(d->stride_w, d->w); b++)
            if (phase_taps(d, a, b, table, table + taps, table + 2 * taps) == 0)
                return false;
    return true;
}

static void clear(int64_t n, real *x) {
    PARALLEL_RANGE(begin, end, n, 0.1, memset(x + begin, 0, (size_t)(end - begin) * sizeof *x));
}

int FN(conv_gemm_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups, rows = d->k / d->groups;
    int64_t *const table = nnf_alloc((size_t)taps * 3 * sizeof(int64_t));
    if (!table)
        return NNF_NO_MEMORY;
    int status = NNF_OK;
    if (!every_phase_has_taps(d, table))
        clear(d->n * d->c * d->h * d->w, dx);
    for (int64_t a = 0; a < MIN(d->stride_h, d->h); a++)
        for (int64_t b = 0; b < MIN(d->stride_w, d->w) && status == NNF_OK; b++) {
            conv_product p = {
                .from = {.height = d->oh,
                         .width = d->ow,
                         .grid_h = ceil_div(d->h - a, d->stride_h),
                         .grid_w = ceil_div(d->w - b, d->stride_w),
                         .stride_h = 1,
                         .stride_w = 1,
                         .tap_h = table,
                         .tap_w = table + taps},
                .images = d->n,
                .groups = d->groups,
                .rows = channels,
                .channels = rows,
                .source = dy,
                .result = dx,
                .plane = d->h * d->w,
                .offset = a * d->w + b,
                .step_h = d->stride_h,
                .step_w = d->stride_w,
                .result_width = d->w,
                .grid_w = ceil_div(d->w - b, d->stride_w),
            };
            p.from.taps = phase_taps(d, a, b, table, table + taps, table + 2 * taps);
            if (p.from.taps == 0) /* no tap reaches these pixels */
                continue;
            FN(conv_gather_bounds)(&p.from);
            const weights w = {weight, channels * rows * taps, taps, channels * taps,
                               table + 2 * taps};
            status = run_packed(&p, &w);
        }
    nnf_free(table);
    return status;
}
