/* conv_gather.c: bands and panels of an image for the convolutions (see conv_gather.h).
 *
 * source (channels, height, width); band (channels, rows, cols), zero where padding is;
 * packed (channels * taps, NR) or (pixels, NR).
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
}

static int64_t band_rows(const conv_gather *g, int64_t grid_rows) {
    return (grid_rows - 1) * g->stride_h + g->max_h - g->min_h + 1;
}

static int64_t band_cols(const conv_gather *g) {
    return (g->grid_w - 1) * g->stride_w + g->max_w - g->min_w + 1;
}

int64_t FN(conv_band_size)(const conv_gather *g, int64_t channels, int64_t pixels) {
    const int64_t grid_rows = MIN(g->grid_h, (pixels - 1) / g->grid_w + 2);
    return channels * band_rows(g, grid_rows) * band_cols(g) + NR * VL;
}

void FN(conv_band_fill)(const conv_gather *g, const real *source, int64_t channels, int64_t pixel,
                        int64_t pixels, conv_band *band) {
    band->first_row = pixel / g->grid_w;
    const int64_t last_row = (pixel + pixels - 1) / g->grid_w;
    band->rows = band_rows(g, last_row - band->first_row + 1);
    band->cols = band_cols(g);
    const int64_t top = band->first_row * g->stride_h + g->min_h;
    const int64_t begin = MIN(MAX(0, -g->min_w), band->cols); /* first column inside the source */
    const int64_t end = MAX(begin, MIN(band->cols, g->width - g->min_w));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t r = 0; r < band->rows; r++) {
            real *const to = band->data + (c * band->rows + r) * band->cols;
            const int64_t row = top + r;
            if (row < 0 || row >= g->height) {
                memset(to, 0, (size_t)band->cols * sizeof(real));
                continue;
            }
            const real *const from = source + (c * g->height + row) * g->width + g->min_w;
            for (int64_t j = 0; j < begin; j++)
                to[j] = 0;
            for (int64_t j = begin; j < end; j++)
                to[j] = from[j];
            for (int64_t j = end; j < band->cols; j++)
                to[j] = 0;
        }
}

/* Where pixel `pixel` of the grid lies in a band's plane, for the tap (min_h, min_w). */
static int64_t band_offset(const conv_gather *g, const conv_band *band, int64_t pixel) {
    const int64_t i = pixel / g->grid_w - band->first_row, j = pixel % g->grid_w;
    return i * g->stride_h * band->cols + j * g->stride_w;
}

static int64_t tap_offset(const conv_gather *g, const conv_band *band, int64_t tap) {
    return (g->tap_h[tap] - g->min_h) * band->cols + g->tap_w[tap] - g->min_w;
}

/* A run of pixels that are neighbours in the band: `to` is its first lane or depth. */
typedef struct {
    int64_t to, from;
} run;

/* The runs of pixels [pixel, pixel + pixels): one per grid row at stride 1. At most `pixels`. */
static int64_t find_runs(const conv_gather *g, const conv_band *band, int64_t pixel, int64_t pixels,
                         run *runs) {
    int64_t count = 0;
    for (int64_t to = 0; to < pixels; to += g->grid_w - (pixel + to) % g->grid_w)
        runs[count++] = (run){to, band_offset(g, band, pixel + to)};
    return count;
}

/* Each run is copied by whole vectors; what it writes too much the next run or depth overwrites. */
static void pack_runs(const conv_gather *g, const conv_band *band, int64_t channels, int64_t pixel,
                      int64_t pixels, real *packed) {
    run runs[NR];
    const int64_t count = find_runs(g, band, pixel, pixels, runs);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t t = 0; t < g->taps; t++) {
            const real *const from =
                band->data + c * band->rows * band->cols + tap_offset(g, band, t);
            for (int64_t i = 0; i < count; i++)
                for (int v = 0; v < NV; v++)
                    vstore(packed + runs[i].to + v * VL, vload(from + runs[i].from + v * VL));
            for (int64_t i = pixels; i < NR; i++)
                packed[i] = 0;
            packed += NR;
        }
}

static void pack_strided(const conv_gather *g, const conv_band *band, int64_t channels,
                         int64_t pixel, int64_t pixels, real *packed) {
    int64_t lane[NR];
    for (int64_t i = 0; i < NR; i++) /* missing pixels repeat the first: nobody reads their sums */
        lane[i] = band_offset(g, band, i < pixels ? pixel + i : pixel);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t t = 0; t < g->taps; t++) {
            const real *const from =
                band->data + c * band->rows * band->cols + tap_offset(g, band, t);
            for (int64_t i = 0; i < NR; i++)
                packed[i] = from[lane[i]];
            packed += NR;
        }
}

void FN(conv_pack_pixels)(const conv_gather *g, const conv_band *band, int64_t channels,
                          int64_t pixel, int64_t pixels, real *packed) {
    if (g->stride_w == 1)
        pack_runs(g, band, channels, pixel, pixels, packed);
    else
        pack_strided(g, band, channels, pixel, pixels, packed);
}

/* At stride 1 VL x VL blocks (entries x pixels) are transposed; what a row's last block writes too
 * much the next row's blocks overwrite. */
static void pack_transposed(const conv_gather *g, const conv_band *band, const int64_t *entry,
                            int64_t count, int64_t pixel, int64_t pixels, real *packed) {
    for (int64_t to = 0, length; to < pixels; to += length) {
        length = MIN(pixels - to, g->grid_w - (pixel + to) % g->grid_w);
        const real *const from = band->data + band_offset(g, band, pixel + to);
        for (int64_t p = 0; p < length; p += VL)
            for (int64_t first = 0; first < NR; first += VL) {
                vec block[VL];
                for (int64_t i = 0; i < VL; i++)
                    block[i] = first + i < count ? vload(from + entry[first + i] + p) : vzero();
                vtranspose(block);
                for (int64_t i = 0; i < VL; i++)
                    vstore(packed + (to + p + i) * NR + first, block[i]);
            }
    }
}

void FN(conv_pack_taps)(const conv_gather *g, const conv_band *band, int64_t first, int64_t count,
                        int64_t pixel, int64_t pixels, real *packed) {
    int64_t entry[NR]; /* where each entry lies in the band */
    for (int64_t i = 0; i < count; i++)
        entry[i] = (first + i) / g->taps * band->rows * band->cols +
                   tap_offset(g, band, (first + i) % g->taps);
    if (g->stride_w == 1) {
        pack_transposed(g, band, entry, count, pixel, pixels, packed);
        return;
    }
    for (int64_t p = 0; p < pixels; p++) {
        const real *const from = band->data + band_offset(g, band, pixel + p);
        for (int64_t i = 0; i < count; i++)
            packed[p * NR + i] = from[entry[i]];
        for (int64_t i = count; i < NR; i++)
            packed[p * NR + i] = 0;
    }
}
