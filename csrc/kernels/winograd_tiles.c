/* winograd_tiles.c: takes images (channels, height, width) into Winograd's domain
 * (36, groups, tiles, VL), kernels (rows, channels, 3, 3) to (36, channels, VL), and products
 * (36, groups, tiles, VL) back to outputs (rows, oh, ow).
 *
 * One group of VL channels at a time. The pixel rows that a row of tiles sees stand, padded and
 * with channels innermost, in a band of six rows (6, cols, VL) in the L1 cache; the next row of
 * tiles finds two of them there already.
 */
#include "winograd.h"

/* A band row's place: columns [0, cols) of image row `row`, from column `left` on. */
typedef struct {
    int64_t left, cols;
    real *rows;
} tile_band;

static real *band_row(const tile_band *b, int64_t row) {
    return b->rows + row % 6 * b->cols * VL;
}

/* VL channels of n <= VL neighbouring pixels, channels innermost: out[pixel]. */
VINLINE void interleave(const real *from, int64_t plane, int64_t channels, int64_t n, vec *out) {
    if (channels >= VL && n == VL)
        for (int64_t c = 0; c < VL; c++)
            out[c] = vload(from + c * plane);
    else
        for (int64_t c = 0; c < VL; c++)
            out[c] = c < channels ? vload_or(from + c * plane, n, vzero()) : vzero();
    vtranspose(out);
}

/* Padded row `row` of the band: image row `row - pad_h`, zeros outside. */
static void fill_row(const winograd_images *s, const tile_band *b, const real *image, int64_t channels,
                     int64_t row) {
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
        for (int64_t i = 0; i < n; i++)
            vstore(to + (j + i) * VL, block[i]);
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

static void fill_rows(const winograd_images *s, const tile_band *b, const real *image, int64_t channels,
                      int64_t row, int64_t end) {
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

VINLINE void image_tile(const real *const *rows, int64_t at, vec *out) {
    vec in[ENTRIES];
    NNF_EACH (i, 6)
        NNF_EACH (j, 6)
            in[i * 6 + j] = vload(rows[i] + at + j * VL);
    image_2d(in, out);
}

VINLINE void gradient_tile(const real *const *rows, int64_t at, vec *out) {
    vec in[16];
    NNF_EACH (i, 4)
        NNF_EACH (j, 4)
            in[i * 4 + j] = vload(rows[i] + at + j * VL);
    output_transposed_2d(in, out);
}

/* `overlap`: pixels that a tile shares with the next, 2 for images, 0 for gradients. */
VINLINE void transform_tiles(const winograd_images *s, int overlap, int64_t first, int64_t tiles,
                             int64_t group, const winograd_domain *to, real *band_rows) {
    const tile_band b = {-s->pad_w, 4 * s->tiles_w + overlap, band_rows};
    const int64_t channel = group * VL;
    real *out = to->data + group * to->group;
    int64_t filled = 0; /* the first row of the image's padded rows that is not in the band */
    for (int64_t t = 0, run; t < tiles; t += run) { /* a run: tiles of one row */
        const int64_t index = first + t, j = index % s->tiles_w;
        const int64_t i = index / s->tiles_w % s->tiles_h, image = index / s->tiles_w / s->tiles_h;
        run = MIN(tiles - t, s->tiles_w - j);
        const real *const pixels =
            s->data + image * s->image_stride + channel * s->height * s->width;
        const real *rows[6];
        if (t == 0 || i == 0)
            filled = 4 * i;
        for (int64_t r = 0; r < 4 + overlap; r++)
            rows[r] = band_row(&b, 4 * i + r);
        fill_rows(s, &b, pixels, s->channels - channel, filled, 4 * i + 4 + overlap);
        filled = 4 * i + 4 + overlap;
        for (int64_t k = j; k < j + run; k++, out += VL) {
            vec transformed[ENTRIES];
            if (overlap)
                image_tile(rows, 4 * k * VL, transformed);
            else
                gradient_tile(rows, 4 * k * VL, transformed);
            NNF_EACH (e, ENTRIES)
                vstore(out + e * to->entry, transformed[e]);
        }
    }
}

void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t group,
                              const winograd_domain *to, real *band) {
    transform_tiles(s, 2, first, tiles, group, to, band);
}

void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t group, const winograd_domain *to, real *band) {
    transform_tiles(s, 0, first, tiles, group, to, band);
}

/* tap[t] = element t of the 3 x 3 kernels of VL rows. */
VINLINE void load_kernels(const real *kernel, int64_t row_stride, int64_t rows, vec *tap) {
    int t = 0;
    for (; t == 0 || t + VL <= 9; t += VL) {
        vec block[VL];
        for (int64_t i = 0; i < VL; i++)
            block[i] =
                i < rows ? vload_or(kernel + i * row_stride + t, MIN(VL, 9 - t), vzero()) : vzero();
        vtranspose(block);
        for (int i = 0; i < MIN(VL, 9); i++)
            tap[t + i] = block[i];
    }
    for (; t < 9; t++) {
        real lane[VL] = {0};
        for (int64_t i = 0; i < MIN(VL, rows); i++)
            lane[i] = kernel[i * row_stride + t];
        tap[t] = vload(lane);
    }
}

void FN(winograd_kernel_tiles)(const winograd_kernels *w, int64_t row, int64_t channel,
                               int64_t channels, int64_t entry, int64_t pitch, real *out) {
    for (int64_t c = 0; c < channels; c++) {
        vec tap[9], in[9], transformed[ENTRIES];
        load_kernels(w->weight + row * w->row_stride + (channel + c) * w->channel_stride,
                     w->row_stride, w->rows - row, tap);
        for (int t = 0; t < 9; t++)
            in[t] = tap[w->turned ? 8 - t : t];
        weight_2d(in, transformed);
        NNF_EACH (e, ENTRIES)
            vstore(out + e * entry + c * pitch, transformed[e]);
    }
}

/* Writes 4 rows of 4 * count pixels of VL rows of outputs where they belong, as far as y reaches:
 * pixel[i * 4 * count + j][lane] to y[lane * plane + i * ow + j]. A transposition takes as many
 * rows of pixels as fit a vector. */
VINLINE void store_pixels(int count, const vec *pixel, int64_t lanes, int64_t height, int64_t width,
                          int64_t plane, int64_t ow, real *y) {
    enum { WHOLE = VL >= 4 };
    const int cols = 4 * count, together = WHOLE ? VL / cols : 0;
    for (int i = 0; WHOLE && i < 4; i += together) {
        vec block[VL];
        NNF_EACH (k, VL)
            block[k] = pixel[i * cols + k];
        vtranspose(block);
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int k = 0; k < together && i + k < height; k++) {
                real *const to = y + lane * plane + (i + k) * ow;
                const real *const from = (const real *)&block[lane] + k * cols;
                if (width >= cols)
                    memcpy(to, from, (size_t)cols * sizeof(real));
                else
                    for (int64_t j = 0; j < width; j++)
                        to[j] = from[j];
            }
    }
    for (int64_t i = 0; !WHOLE && i < MIN(4, height); i++)
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int64_t j = 0; j < MIN(width, cols); j++)
                y[lane * plane + i * ow + j] = pixel[i * cols + j][lane];
}

/* `count` neighbouring tiles of one row. */
VINLINE void output_tiles(int count, const winograd_outputs *to, const real *products,
                          int64_t entry, int64_t row, int64_t i, int64_t j, real *y) {
    const int64_t lanes = MIN(VL, to->rows - row);
    const vec bias = to->bias ? vload_or(to->bias + row, lanes, vzero()) : vzero();
    vec pixel[16 * MAX(1, VL / 4)];
    for (int n = 0; n < count; n++, products += VL) {
        vec sums[ENTRIES], out[16];
        NNF_EACH (e, ENTRIES)
            sums[e] = vload(products + e * entry);
        output_2d(sums, out);
        NNF_EACH (k, 16)
            pixel[(k / 4 * count + n) * 4 + k % 4] = activate(out[k] + bias, to->act);
    }
    store_pixels(count, pixel, lanes, to->oh - 4 * i, to->ow - 4 * j, to->oh * to->ow, to->ow,
                 y + row * to->oh * to->ow + 4 * (i * to->ow + j));
}

void FN(winograd_output_tiles)(const winograd_outputs *to, int64_t first, int64_t tiles,
                               int64_t row, const real *products, int64_t entry) {
    for (int64_t t = 0, count; t < tiles; t += count, products += count * VL) {
        const int64_t index = first + t, j = index % to->tiles_w;
        const int64_t i = index / to->tiles_w % to->tiles_h,
                      image = index / to->tiles_w / to->tiles_h;
        const int64_t left = MIN(tiles - t, to->tiles_w - j);
        real *const y = to->result + image * to->image_stride;
        if (VL >= 16 && left >= 4)
            output_tiles(count = 4, to, products, entry, row, i, j, y);
        else if (VL >= 8 && left >= 2)
            output_tiles(count = 2, to, products, entry, row, i, j, y);
        else
            output_tiles(count = 1, to, products, entry, row, i, j, y);
    }
}
