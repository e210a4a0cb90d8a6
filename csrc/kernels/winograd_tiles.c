/* winograd_tiles.c: takes images (channels, height, width) into Winograd's domain
 * (entries, groups, tiles, VL), and kernels (rows, channels, taps, taps) to (36, channels, VL).
 *
 * One group of VL channels at a time. The pixel rows that a row of tiles sees stand, padded and
 * with channels innermost, in a band (height, cols, VL) in the L1 cache; the next row of tiles
 * finds some of them there already.
 */
#include "winograd.h"

/* Row `row` of the image has place row % height: columns [0, cols), from column `left` on. */
typedef struct {
    int64_t height, left, cols;
    real *rows;
} tile_band;

/* What is fetched ahead: pixels of a plane, channels of kernels. */
enum { AHEAD = 256 / sizeof(real), CHANNELS_AHEAD = 8 };

static real *band_row(const tile_band *b, int64_t row) { return b->rows + row % b->height * b->cols * VL; }

/* VL channels of n <= VL neighbouring pixels, channels innermost: out[pixel]. What comes AHEAD in
 * each plane is fetched: so many planes read in turns are no pattern that a CPU sees. */
VINLINE void interleave(const real *from, int64_t plane, int64_t channels, int64_t n, vec *out) {
    if (channels >= VL && n == VL)
        NNF_EACH (c, VL) {
            out[c] = vload(from + c * plane);
            __builtin_prefetch(from + c * plane + AHEAD, 0, 2);
        }
    else
        for (int64_t c = 0; c < VL; c++)
            out[c] = c < channels ? vload_upto(from + c * plane, n) : vzero();
    vtranspose(out);
}

/* Padded row `row` of the band: image row `row - pad_h`, zeros outside. */
static void fill_row(const winograd_images *s, const tile_band *b, const real *image,
                     int64_t channels, int64_t row) {
    const bool inside = row >= s->pad_h && row < s->pad_h + s->height;
    const int64_t begin = inside ? MIN(MAX(0, -b->left), b->cols) : 0;
    const int64_t end = inside ? MAX(begin, MIN(b->cols, s->width - b->left)) : 0;
    const real *const from = image + (row - s->pad_h) * s->width + b->left;
    real *const to = band_row(b, row);
    memset(to, 0, (size_t)(begin * VL) * sizeof(real));
    for (int64_t j = begin; j < end; j += VL) {
        if (end - begin >= VL)
            j = MIN(j, end - VL); /* the last block overlaps the one before */
        const int64_t n = MIN(VL, end - j);
        vec block[VL];
        interleave(from + j, s->height * s->width, channels, n, block);
        vstore_rows(block, n, VL, to + j * VL);
    }
    memset(to + end * VL, 0, (size_t)((b->cols - end) * VL) * sizeof(real));
}

/* The same for `count` rows of few pixels, all inside the image, as one run of pixels. */
static void fill_short_rows(const winograd_images *s, const tile_band *b, const real *image,
                            int64_t channels, int64_t row, int64_t count) {
    vec block[VL];
    interleave(image + (row - s->pad_h) * s->width, s->height * s->width, channels,
               count * s->width, block);
    for (int64_t r = 0; r < count; r++) {
        real *const to = band_row(b, row + r);
        for (int64_t j = 0; j < b->cols; j++) {
            const int64_t pixel = j + b->left;
            const bool inside = pixel >= 0 && pixel < s->width;
            vstore(to + j * VL, inside ? block[r * s->width + pixel] : vzero());
        }
    }
}

static void fill_rows(const winograd_images *s, const tile_band *b, const real *image,
                      int64_t channels, int64_t row, int64_t end) {
    const int64_t together = VL / MAX(1, s->width);
    while (row < end) {
        const int64_t count = MIN(MIN(together, end - row), s->pad_h + s->height - row);
        if (row >= s->pad_h && count >= 2) {
            fill_short_rows(s, b, image, channels, row, count);
            row += count;
        } else {
            fill_row(s, b, image, channels, row++);
        }
    }
}

/* in[i * n + j] = pixel (i, j) of a tile of n x n. */
VINLINE void load_tile(int n, const real *const *rows, int64_t at, vec *in) {
    EACH_OF_TILE (i, n)
        EACH_OF_TILE (j, n)
            in[i * n + j] = vload(rows[i] + at + j * VL);
}

VINLINE void transform_tile(winograd_form form, bool gradient, const real *const *rows, int64_t at,
                            int64_t entry, real *out) {
#define PIXEL(i, j)    vload(rows[i] + at + (j)*VL)
#define STORE(i, j, v) vstore(out + ((i)*9 + (j)) * entry, v)
    vec in[KERNEL_ENTRIES], transformed[KERNEL_ENTRIES];
    if (form == BY_2 && gradient) {
        WINOGRAD_LOOPS(by2_output_transposed, 4, 9, PIXEL, STORE);
        return;
    } else if (form == BY_2) {
        WINOGRAD_LOOPS(by2_image, 9, 9, PIXEL, STORE);
        return;
    } else if (form == FROM_2) {
        WINOGRAD_LOOPS(from2_image, 5, 9, PIXEL, STORE);
        return;
    }
#undef PIXEL
#undef STORE
    load_tile(gradient ? WINOGRAD[form].outputs : 6, rows, at, in);
    if (!gradient)
        image_2d(in, transformed);
    else if (form == F4_3)
        output4_transposed_2d(in, transformed);
    else
        output2_transposed_2d(in, transformed);
    EACH_OF_TILE (e, 36)
        vstore(out + e * entry, transformed[e]);
}

VINLINE void transform_tiles(const winograd_images *s, winograd_form form, bool gradient,
                             int64_t first, int64_t tiles, int64_t group,
                             const winograd_domain *to, real *band_rows) {
    const winograd_sides side = WINOGRAD[s->form];
    const int height = gradient ? side.outputs : side.seen, step = gradient ? height : side.step;
    const tile_band b = {height, -s->pad_w, step * (s->tiles_w - 1) + height, band_rows};
    const int64_t channel = group * VL;
    real *out = to->data + group * to->group;
    int64_t filled = 0; /* the first row of the image's padded rows that is not in the band */
    for (int64_t t = 0, run; t < tiles; t += run) { /* a run: tiles of one row */
        const int64_t index = first + t, j = index % s->tiles_w;
        const int64_t i = index / s->tiles_w % s->tiles_h, image = index / s->tiles_w / s->tiles_h;
        run = MIN(tiles - t, s->tiles_w - j);
        const real *const pixels =
            s->data + image * s->image_stride + channel * s->height * s->width;
        const real *rows[MOST_POINTS];
        if (t == 0 || i == 0)
            filled = step * i;
        for (int64_t r = 0; r < height; r++)
            rows[r] = band_row(&b, step * i + r);
        fill_rows(s, &b, pixels, s->channels - channel, filled, step * i + height);
        filled = step * i + height;
        for (int64_t k = j; k < j + run; k++, out += VL)
            transform_tile(form, gradient, rows, step * k * VL, to->entry, out);
    }
}

void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t group,
                              const winograd_domain *to, real *band) {
    if (s->form == BY_2)
        transform_tiles(s, BY_2, false, first, tiles, group, to, band);
    else if (s->form == FROM_2)
        transform_tiles(s, FROM_2, false, first, tiles, group, to, band);
    else /* the map of F2_5 is the same */
        transform_tiles(s, F4_3, false, first, tiles, group, to, band);
}

void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t group, const winograd_domain *to, real *band) {
    if (s->form == F4_3)
        transform_tiles(s, F4_3, true, first, tiles, group, to, band);
    else if (s->form == F2_5)
        transform_tiles(s, F2_5, true, first, tiles, group, to, band);
    else
        transform_tiles(s, BY_2, true, first, tiles, group, to, band);
}

/* tap[t] = element t of the kernels, of `taps` elements, of VL rows. */
VINLINE void load_kernels(int taps, const real *kernel, int64_t row_stride, int64_t rows,
                          vec *tap) {
    int t = 0;
    for (; t == 0 || taps - t >= VL / 2; t += VL) {
        vec block[VL];
        for (int64_t i = 0; i < VL; i++)
            block[i] =
                i < rows ? vload_upto(kernel + i * row_stride + t, MIN(VL, taps - t)) : vzero();
        vtranspose(block);
        for (int i = 0; i < MIN(VL, taps - t); i++)
            tap[t + i] = block[i];
    }
    for (; t < taps; t++) {
        real lane[VL] = {0};
        for (int64_t i = 0; i < MIN(VL, rows); i++)
            lane[i] = kernel[i * row_stride + t];
        tap[t] = vload(lane);
    }
}

VINLINE void transform_kernels(winograd_form form, const winograd_kernels *w, const real *kernel,
                               int64_t rows, int64_t channels, int64_t entry, int64_t pitch,
                               real *out) {
    const int taps = WINOGRAD[form].taps * WINOGRAD[form].taps;
    for (int64_t c = 0; c < channels; c++) {
        vec tap[MOST_TAPS], in[MOST_TAPS], transformed[KERNEL_ENTRIES];
        const real *const of_channel = kernel + c * w->channel_stride;
        for (int64_t i = 0; i < MIN(VL, rows) && c + CHANNELS_AHEAD < channels; i++)
            __builtin_prefetch(of_channel + CHANNELS_AHEAD * w->channel_stride + i * w->row_stride);
        load_kernels(taps, of_channel, w->row_stride, rows, tap);
        EACH_OF_TILE (t, taps)
            in[t] = tap[w->turned ? taps - 1 - t : t];
        if (form == F4_3)
            weight3_2d(in, transformed);
        else if (form == F2_5)
            weight5_2d(in, transformed);
        else
            by2_weight_2d(in, transformed);
        EACH_OF_TILE (e, KERNEL_ENTRIES)
            vstore(out + e * entry + c * pitch, transformed[e]);
    }
}

void FN(winograd_kernel_tiles)(const winograd_kernels *w, int64_t row, int64_t channel,
                               int64_t channels, int64_t entry, int64_t pitch, real *out) {
    const real *const kernel = w->weight + row * w->row_stride + channel * w->channel_stride;
    if (w->form == F4_3)
        transform_kernels(F4_3, w, kernel, w->rows - row, channels, entry, pitch, out);
    else if (w->form == F2_5)
        transform_kernels(F2_5, w, kernel, w->rows - row, channels, entry, pitch, out);
    else
        transform_kernels(BY_2, w, kernel, w->rows - row, channels, entry, pitch, out);
}
