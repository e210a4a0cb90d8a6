/* conv_gather.c: bands and vectors of an image for the convolutions (see conv_gather.h).
 *
 * source (channels, height, width); band (channels, rows, stride_w, segment), zero where padding
 * is; packed (channels * taps, VL) or (pixels, VL).
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
    g->in_place = g->taps == 1 && g->stride_h == 1 && g->stride_w == 1 && g->min_h == 0 &&
                  g->min_w == 0 && g->grid_h == g->height && g->grid_w == g->width;
    if (g->in_place) {
        g->grid_w = g->width = g->height * g->width;
        g->grid_h = g->height = 1;
    }
}

static int64_t band_rows(const conv_gather *g, int64_t grid_rows) {
    return (grid_rows - 1) * g->stride_h + g->max_h - g->min_h + 1;
}

/* Columns of a phase: those of the first and as many as the last tap is further right. */
static int64_t band_segment(const conv_gather *g) {
    return g->grid_w + (g->max_w - g->min_w) / g->stride_w;
}

bool FN(conv_band_alloc)(const conv_gather *g, int64_t channels, int64_t pixels, conv_band *band) {
    const int64_t grid_rows = MIN(g->grid_h, (pixels - 1) / g->grid_w + 2);
    const int64_t size = channels * band_rows(g, grid_rows) * g->stride_w * band_segment(g);
    band->tap = nnf_alloc((size_t)g->taps * sizeof *band->tap);
    /* Packing reads up to VL blocks of VL too much. */
    band->own = g->in_place ? NULL : alloc_reals(size + VL * VL);
    return band->tap && (band->own || g->in_place);
}

void FN(conv_band_free)(conv_band *band) {
    nnf_free(band->tap);
    nnf_free(band->own);
}

/* Whether a tap falls on rows, or columns, of this remainder. */
static bool is_seen(int64_t taps, const int64_t *tap, int64_t min, int64_t stride,
                    int64_t remainder) {
    for (int64_t t = 0; t < taps; t++)
        if ((tap[t] - min) % stride == remainder)
            return true;
    return false;
}

VINLINE void copy_strided(int64_t count, int64_t stride, const real *restrict from,
                          real *restrict to) {
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i * stride];
}

/* Phase `phase` of a row: columns phase, phase + stride... from `left` on. */
static void fill_phase(const conv_gather *g, int64_t segment, int64_t phase, const real *row,
                       real *to) {
    const int64_t stride = g->stride_w, left = g->min_w + phase;
    const int64_t begin = MIN(segment, left < 0 ? ceil_div(-left, stride) : 0);
    const int64_t end = MAX(begin, MIN(segment, ceil_div(MAX(0, g->width - left), stride)));
    for (int64_t j = 0; j < begin; j++)
        to[j] = 0;
    const real *const from = row + left + begin * stride;
    if (stride == 1)
        copy_strided(end - begin, 1, from, to + begin);
    else if (stride == 2)
        copy_strided(end - begin, 2, from, to + begin);
    else
        copy_strided(end - begin, stride, from, to + begin);
    for (int64_t j = end; j < segment; j++)
        to[j] = 0;
}

static void fill_rows(const conv_gather *g, const real *source, int64_t channels,
                      const conv_band *band) {
    const int64_t top = band->first_row * g->stride_h + g->min_h;
    for (int64_t phase = 0; phase < g->stride_w; phase++) {
        if (!is_seen(g->taps, g->tap_w, g->min_w, g->stride_w, phase))
            continue;
        for (int64_t r = 0; r < band->rows; r++) {
            if (!is_seen(g->taps, g->tap_h, g->min_h, g->stride_h, r % g->stride_h))
                continue;
            real *to = band->own + (r * g->stride_w + phase) * band->segment;
            const real *from = source + (top + r) * g->width;
            for (int64_t c = 0; c < channels; c++) {
                if (top + r >= 0 && top + r < g->height)
                    fill_phase(g, band->segment, phase, from, to);
                else
                    memset(to, 0, (size_t)band->segment * sizeof(real));
                to += band->plane;
                from += g->height * g->width;
            }
        }
    }
}

void FN(conv_band_fill)(const conv_gather *g, const real *source, int64_t channels, int64_t pixel,
                        int64_t pixels, conv_band *band) {
    band->first_row = pixel / g->grid_w;
    band->rows = band_rows(g, (pixel + pixels - 1) / g->grid_w - band->first_row + 1);
    band->segment = band_segment(g);
    band->plane = band->rows * g->stride_w * band->segment;
    for (int64_t t = 0; t < g->taps; t++) {
        const int64_t down = g->tap_h[t] - g->min_h, right = g->tap_w[t] - g->min_w;
        band->tap[t] =
            (down * g->stride_w + right % g->stride_w) * band->segment + right / g->stride_w;
    }
    band->data = g->in_place ? source : band->own;
    if (!g->in_place)
        fill_rows(g, source, channels, band);
}

/* Where pixel `pixel` of the grid lies in a band's plane, for the tap (min_h, min_w). */
static int64_t band_offset(const conv_gather *g, const conv_band *band, int64_t pixel) {
    const int64_t i = pixel / g->grid_w - band->first_row, j = pixel % g->grid_w;
    return i * g->stride_h * g->stride_w * band->segment + j;
}

/* A run of pixels that are neighbours in the band: `to` is its first lane. */
typedef struct {
    int64_t to, from;
} run;

/* Each run of pixels, one per row of the grid, is copied as a whole vector; what it writes too much
 * the next run or depth overwrites. */
void FN(conv_pack_pixels)(const conv_gather *g, const conv_band *band, int64_t channels,
                          int64_t pixel, int64_t pixels, real *packed) {
    run runs[VL];
    int64_t count = 0;
    for (int64_t to = 0; to < pixels; to += g->grid_w - (pixel + to) % g->grid_w)
        runs[count++] = (run){to, band_offset(g, band, pixel + to)};
    const real *plane = band->data;
    for (int64_t c = 0; c < channels; c++, plane += band->plane) {
        if (g->in_place) { /* nothing may be read behind the last plane */
            vstore(packed, vload_or(plane + runs[0].from, pixels, vzero()));
            packed += VL;
            continue;
        }
        for (int64_t t = 0; t < g->taps; t++, packed += VL) {
            const real *const from = plane + band->tap[t];
            for (int64_t i = 0; i < count; i++)
                vstore(packed + runs[i].to, vload(from + runs[i].from));
            for (int64_t i = pixels; i < VL; i++)
                packed[i] = 0;
        }
    }
}

/* VL x VL blocks (entries x pixels) are transposed; what a row's last block writes too much the
 * next row's blocks overwrite. */
void FN(conv_pack_taps)(const conv_gather *g, const conv_band *band, int64_t first, int64_t count,
                        int64_t pixel, int64_t pixels, real *packed) {
    int64_t entry[VL]; /* where each entry lies in the band */
    for (int64_t i = 0; i < count; i++)
        entry[i] = (first + i) / g->taps * band->plane + band->tap[(first + i) % g->taps];
    for (int64_t to = 0, length; to < pixels; to += length) {
        length = MIN(pixels - to, g->grid_w - (pixel + to) % g->grid_w);
        const real *const from = band->data + band_offset(g, band, pixel + to);
        for (int64_t p = 0; p < length; p += VL) {
            vec block[VL];
            if (count == VL && (!g->in_place || length - p >= VL))
                for (int64_t i = 0; i < VL; i++)
                    block[i] = vload(from + entry[i] + p);
            else
                for (int64_t i = 0; i < VL; i++)
                    block[i] =
                        i < count ? vload_or(from + entry[i] + p, length - p, vzero()) : vzero();
            vtranspose(block);
            for (int64_t i = 0; i < VL; i++)
                vstore(packed + (to + p + i) * VL, block[i]);
        }
    }
}
