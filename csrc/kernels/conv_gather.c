/* conv_gather.c: bands and vectors of an image for the convolutions (see conv_gather.h).
 *
 * source (channels, height, width); band (channels, rows, stride_w, segment), zero where padding
 * is; packed (channels * taps, VL); rows (entries, pixels).
 */
#include "conv_gather.h"

void FN(conv_gather_bounds)(conv_gather *g) {
    g->min_h = g->max_h = g->taps ? g->tap_h[0] : 0;
    g->min_w = g->max_w = g->taps ? g->tap_w[0] : 0;
    for (int64_t t = 1; t < g->taps; t++) {
        g->min_h = MIN(g->min_h, g->tap_h[t]);
        g->max_h = MAX(g->max_h, g->tap_h[t]);
        g->min_w = MIN(g->min_w, g->tap_w[t]);
        g->max_w = MAX(g->max_w, g->tap_w[t]);
    }
    /* Where there is but one, a stride is as good as none. */
    g->stride_h = g->grid_h == 1 ? 1 : g->stride_h;
    g->stride_w = g->grid_w == 1 ? 1 : g->stride_w;
    g->direct = g->taps == 1 && g->min_h >= 0 && g->min_w >= 0 &&
                (g->grid_h - 1) * g->stride_h + g->max_h < g->height &&
                (g->grid_w - 1) * g->stride_w + g->max_w < g->width;
    g->in_place = g->direct && g->grid_h == g->height && g->grid_w == g->width;
    if (g->in_place) {
        g->grid_w = g->width = g->height * g->width;
        g->grid_h = g->height = g->stride_h = g->stride_w = 1;
    }
}

bool FN(conv_gather_windows)(const nnf_conv *d, conv_gather *g) {
    const int64_t taps = d->kh * d->kw;
    int64_t *const table = nnf_alloc((size_t)taps * 2 * sizeof *table);
    if (!table)
        return false;
    for (int64_t t = 0; t < taps; t++) {
        table[t] = t / d->kw * d->dilation_h - d->pad_h;
        table[taps + t] = t % d->kw * d->dilation_w - d->pad_w;
    }
    *g = (conv_gather){
        .height = d->h,
        .width = d->w,
        .grid_h = d->oh,
        .grid_w = d->ow,
        .stride_h = d->stride_h,
        .stride_w = d->stride_w,
        .taps = taps,
        .tap_h = table,
        .tap_w = table + taps,
    };
    FN(conv_gather_bounds)(g);
    return true;
}

void FN(conv_gather_free_windows)(conv_gather *g) { nnf_free((void *)g->tap_h); }

static int64_t band_rows(const conv_gather *g, int64_t grid_rows) {
    return (grid_rows - 1) * g->stride_h + g->max_h - g->min_h + 1;
}

/* Columns of a phase: those of the first and as many as the last tap is further right. */
static int64_t band_segment(const conv_gather *g, int64_t columns) {
    return columns + (g->max_w - g->min_w) / g->stride_w;
}

bool FN(conv_band_alloc)(const conv_gather *g, int64_t channels, int64_t pixels, conv_band *band) {
    const int64_t grid_rows = MIN(g->grid_h, (pixels - 1) / g->grid_w + 2);
    const int64_t columns = grid_rows == 1 ? MIN(g->grid_w, pixels) : g->grid_w;
    const int64_t size =
        channels * band_rows(g, grid_rows) * g->stride_w * band_segment(g, columns);
    band->tap = nnf_alloc((size_t)g->taps * sizeof *band->tap);
    /* Filling writes less than VL too much, packing reads up to VL blocks of VL. */
    band->data = g->in_place ? NULL : alloc_reals(size + VL * VL);
    return band->tap && (band->data || g->in_place);
}

void FN(conv_band_free)(conv_band *band) {
    nnf_free(band->tap);
    nnf_free(band->data);
}

/* Whether one of the taps, `least` or more, falls on rows or columns of this phase at stride 2. */
static bool is_seen(int64_t taps, const int64_t *tap, int64_t least, int64_t phase) {
    for (int64_t t = 0; t < taps; t++)
        if ((tap[t] - least) % 2 == phase)
            return true;
    return false;
}

static vec load_apart(int64_t stride, const real *from, int64_t left) {
    real lanes[VL] = {0};
    for (int64_t i = 0; i < MIN(VL, ceil_div(left, stride)); i++)
        lanes[i] = from[i * stride];
    return vload(lanes);
}

/* VL of the columns from `from` on, every stride-th; zeros beyond the `left` that there are. */
VINLINE vec load_columns(int64_t stride, const real *from, int64_t left) {
    if (stride > 2)
        return load_apart(stride, from, left);
    const vec a = vload_within(from, left);
    if (stride == 1)
        return a;
    return vunmix(veven_mixed(a, vload_within(from + VL, left - VL)));
}

/* Every stride-th of `columns` columns after `zeros` zeros, and more of these up to the segment's
 * end. In whole vectors: what they write too much comes after. */
VINLINE void fill_segment(int64_t stride, int64_t zeros, int64_t segment, const real *from,
                          int64_t columns, real *to) {
    for (int64_t j = 0; j < MIN(zeros, segment); j += VL)
        vstore(to + j, vzero());
    if (stride <= 2)
        for (int64_t j = zeros; j < segment; j += VL) {
            const int64_t at = (j - zeros) * stride;
            vstore(to + j, load_columns(stride, from + at, columns - at));
        }
    else
        for (int64_t j = zeros, at = 0; j < segment; j++, at += stride)
            to[j] = at < columns ? from[at] : 0;
}

/* Where the columns of a phase begin: after `zeros` of padding, at column `first`. */
typedef struct {
    int64_t zeros, first;
    bool seen;
} phase_start;

static phase_start find_phase(const conv_gather *g, int64_t stride, int64_t column, int64_t phase) {
    const int64_t left = column * stride + g->min_w + phase;
    const int64_t zeros = left < 0 ? ceil_div(-left, stride) : 0;
    return (phase_start){zeros, left + zeros * stride,
                         stride != 2 || is_seen(g->taps, g->tap_w, g->min_w, phase)};
}

VINLINE void fill_rows(const conv_gather *g, int64_t stride, const real *source, int64_t channels,
                       const conv_band *band) {
    const int64_t top = band->first_row * g->stride_h + g->min_h, segment = band->segment;
    const int64_t width = g->width, height = g->height, rows = band->rows;
    bool row_seen[2]; /* some are not at stride 2 */
    for (int64_t i = 0; i < 2; i++)
        row_seen[i] = g->stride_h != 2 || is_seen(g->taps, g->tap_h, g->min_h, i);
    const int64_t column = band->first_column;
    const phase_start few[2] = {find_phase(g, stride, column, 0), find_phase(g, stride, column, 1)};
    real *to = band->data;
    for (int64_t c = 0; c < channels; c++, source += height * width)
        for (int64_t r = 0; r < rows; r++, to += stride * segment) {
            const int64_t row = top + r;
            if (!row_seen[r & 1])
                continue;
            for (int64_t phase = 0; phase < stride; phase++) {
                const phase_start p =
                    stride <= 2 ? few[phase] : find_phase(g, stride, column, phase);
                if (p.seen)
                    fill_segment(stride, row >= 0 && row < height ? p.zeros : segment, segment,
                                 source + row * width + p.first, width - p.first,
                                 to + phase * segment);
            }
        }
}

void FN(conv_band_fill)(const conv_gather *g, const real *source, int64_t channels, int64_t pixel,
                        int64_t pixels, conv_band *band) {
    band->first_row = pixel / g->grid_w;
    const int64_t grid_rows = (pixel + pixels - 1) / g->grid_w - band->first_row + 1;
    band->first_column = grid_rows == 1 ? pixel % g->grid_w : 0;
    band->rows = band_rows(g, grid_rows);
    band->segment = band_segment(g, grid_rows == 1 ? pixels : g->grid_w);
    band->plane = band->rows * g->stride_w * band->segment;
    for (int64_t t = 0; t < g->taps; t++) {
        const int64_t down = g->tap_h[t] - g->min_h, right = g->tap_w[t] - g->min_w;
        band->tap[t] =
            (down * g->stride_w + right % g->stride_w) * band->segment + right / g->stride_w;
    }
    if (g->stride_w == 1)
        fill_rows(g, 1, source, channels, band);
    else if (g->stride_w == 2)
        fill_rows(g, 2, source, channels, band);
    else
        fill_rows(g, g->stride_w, source, channels, band);
}

/* Where pixel `pixel` of the grid lies in a band's plane, for the tap (min_h, min_w). */
static int64_t band_offset(const conv_gather *g, const conv_band *band, int64_t pixel) {
    const int64_t i = pixel / g->grid_w - band->first_row;
    const int64_t j = pixel % g->grid_w - band->first_column;
    return i * g->stride_h * g->stride_w * band->segment + j;
}

/* A run of pixels that are neighbours where they come from: `to` is its first lane. */
typedef struct {
    int64_t to, from, length;
} run;

/* Each run of pixels, one per row of the grid, is copied as a whole vector; what it writes too much
 * the next run or depth overwrites. Behind the last one are zeros. */
VINLINE void pack_runs(int64_t count, const run *runs, const conv_gather *g, const conv_band *band,
                       int64_t channels, real *packed) {
    const int64_t taps = g->taps, *const tap = band->tap;
    const run last = runs[count - 1];
    const ivec seen = vfirst(last.length);
    const real *plane = band->data;
    for (int64_t c = 0; c < channels; c++, plane += band->plane)
        for (int64_t t = 0; t < taps; t++, packed += VL) {
            for (int64_t i = 0; i + 1 < count; i++)
                vstore(packed + runs[i].to, vload(plane + tap[t] + runs[i].from));
            vstore(packed + last.to, vselect(seen, vload(plane + tap[t] + last.from), vzero()));
        }
}

void FN(conv_pack_pixels)(const conv_gather *g, const conv_band *band, int64_t channels,
                          int64_t pixel, int64_t pixels, real *packed) {
    run runs[VL];
    int64_t count = 0, to = 0;
#pragma GCC unroll 1 /* there can be as many as lanes, but are few */
    do {
        const int64_t length = MIN(pixels - to, g->grid_w - (pixel + to) % g->grid_w);
        runs[count++] = (run){to, band_offset(g, band, pixel + to), length};
        to += length;
    } while (to < pixels);
    if (count == 1)
        pack_runs(1, runs, g, band, channels, packed);
    else if (count == 2)
        pack_runs(2, runs, g, band, channels, packed);
    else
        pack_runs(count, runs, g, band, channels, packed);
}

/* Panels filled side by side, as in gemm_pack.c; channels that are fetched ahead. */
enum { TOGETHER = 8, AHEAD = 4 };

VINLINE void pack_direct_runs(int64_t stride, int64_t count, const run *runs, ivec seen,
                              int64_t plane, const real *source, const real *end, int64_t channels,
                              real *packed) {
    for (int64_t c = 0; c < channels; c++, source += plane, packed += VL)
        for (int64_t i = 0; i < count; i++) {
            const real *const from = source + runs[i].from;
            real *const to = packed + runs[i].to;
            __builtin_prefetch(from + AHEAD * plane);
            __builtin_prefetch(from + AHEAD * plane + VL);
            vec v = load_columns(stride, from, end - from);
            if (i + 1 == count)
                v = vselect(seen, v, vzero());
            if (c + 1 == channels) /* what would be too much is another panel's */
                vstore_upto(to, v, runs[i].length);
            else
                vstore(to, v);
        }
}

void FN(conv_pack_direct)(const conv_gather *g, const real *source, int64_t image, const real *end,
                          int64_t channels, int64_t pixel, int64_t pixels, real *packed) {
    const int64_t grid = g->grid_h * g->grid_w, plane = g->height * g->width;
    for (int64_t first = 0; first < pixels; first += TOGETHER * VL) {
        run runs[TOGETHER * VL];
        const int64_t few = MIN(TOGETHER * VL, pixels - first);
        int64_t count = 0, to = 0;
#pragma GCC unroll 1 /* as above */
        do {
            const int64_t at = pixel + first + to, i = at % grid / g->grid_w, j = at % g->grid_w;
            const int64_t row = i * g->stride_h + g->min_h, col = j * g->stride_w + g->min_w;
            runs[count] = (run){
                .to = to / VL * channels * VL + to % VL,
                .from = at / grid * image + row * g->width + col,
                .length = MIN(MIN(VL - to % VL, few - to), g->grid_w - j),
            };
            to += runs[count++].length;
        } while (to < few);
        run *const last = runs + count - 1;
        const ivec seen = vfirst(last->length);
        last->length = VL - last->to % VL;
        real *const panels = packed + first * channels;
        if (g->stride_w == 2)
            pack_direct_runs(2, count, runs, seen, plane, source, end, channels, panels);
        else
            pack_direct_runs(g->stride_w, count, runs, seen, plane, source, end, channels, panels);
    }
}

/* Runs of pixels by whole vectors, short ones by half: fewer stores meet two cache lines. What one
 * writes too much the next run or entry overwrites. */
void FN(conv_copy_entries)(const conv_gather *g, const conv_band *band, int64_t first,
                           int64_t count, int64_t pixel, int64_t pixels, int64_t pitch,
                           real *rows) {
    const int64_t column = pixel % g->grid_w, start = band_offset(g, band, pixel) - column;
    const int64_t row_step = g->stride_h * g->stride_w * band->segment;
    const bool halves = g->grid_w <= VL / 2;
    const real *plane = band->data + first / g->taps * band->plane;
    int64_t tap = first % g->taps;
    for (int64_t i = 0; i < count; i++, rows += pitch) {
        const real *row = plane + band->tap[tap] + start;
        for (int64_t to = 0, skip = column, length; to < pixels; to += length, skip = 0) {
            length = g->grid_w - skip;
            if (halves)
                vstore_half(rows + to, vload_half(row + skip));
            else
                for (int64_t j = 0; j < MIN(length, pixels - to); j += VL)
                    vstore(rows + to + j, vload(row + skip + j));
            row += row_step;
        }
        if (++tap == g->taps) {
            tap = 0;
            plane += band->plane;
        }
    }
}
