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

static real *band_row(const tile_band *b, int64_t row) {
    return b->rows + row % b->height * b->cols * VL;
}

/* VL channels of n <= VL neighbouring pixels, channels innermost: out[pixel]. What comes AHEAD in
 * each plane is fetched: so many planes read in turns are no pattern that a CPU sees. */
VINLINE void interleave(const real *from, int64_t plane, int64_t channels, int64_t n, vec *out) {
    if (channels >= VL && n == VL)
        NNF_EACH (c, VL) {
            out[c] = vload(from + c * plane);
            __builtin_prefetch(from + c * plane + AHEAD);
        }
    else
        for (int64_t c = 0; c < VL; c++)
            out[c] = c < channels ? vload_upto(from + c * plane, n) : vzero();
    vtranspose(out);
}

/* Padded row `row` of the band: image row `row - pad_h`, zeros outside. Not inlined: a block takes
 * all registers. */
__attribute__((noinline)) static void fill_row(const winograd_images *s, const tile_band *b,
                                               const real *image, int64_t channels, int64_t row) {
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

/* Maps of `tiles` neighbours, `step` reals apart in the rows that they see. */
typedef void tile_map(const real *const *rows, int64_t step, int64_t tiles, int64_t entry,
                      real *out);

#define MAP_TILES(name, ...)                                                                       \
    static void name##_tiles(const real *const *rows, int64_t step, int64_t tiles, int64_t entry,  \
                             real *out) {                                                          \
        for (int64_t at = 0; tiles > 0; tiles--, at += step, out += VL)                            \
            __VA_ARGS__                                                                            \
    }
#define PIXEL(i, j)    vload(rows[i] + at + (j) * VL)
#define STORE(i, j, v) vstore(out + ((i) * MOST_POINTS + (j)) * entry, v)
/* A map from n x n pixels to 6 x 6 points in registers. */
#define MAP_SIX(name, n)                                                                           \
    MAP_TILES(name, {                                                                              \
        vec in[(n) * (n)], transformed[KERNEL_ENTRIES];                                            \
        EACH_OF_TILE (i, n)                                                                        \
            EACH_OF_TILE (j, n)                                                                    \
                in[i * (n) + j] = PIXEL(i, j);                                                     \
        name##_2d(in, transformed);                                                                \
        store_entries(transformed, entry, out);                                                    \
    })
MAP_SIX(image, 6)
MAP_SIX(output4_transposed, 4)
MAP_SIX(output2_transposed, 2)
MAP_TILES(by2_image, WINOGRAD_LOOPS(by2_image, 9, 9, PIXEL, STORE);)
MAP_TILES(by2_output_transposed, WINOGRAD_LOOPS(by2_output_transposed, 4, 9, PIXEL, STORE);)
MAP_TILES(from2_image, WINOGRAD_LOOPS(from2_image, 5, 9, PIXEL, STORE);)
#undef PIXEL
#undef STORE

static void transform_tiles(const winograd_images *s, int height, int step, tile_map *map,
                            int64_t first, int64_t tiles, int64_t group, const winograd_domain *to,
                            real *band_rows) {
    const tile_band b = {height, -s->pad_w, step * (s->tiles_w - 1) + height, band_rows};
    const int64_t channel = group * VL;
    real *out = to->data + group * to->group;
    int64_t filled = 0; /* the first row of the image's padded rows that is not in the band */
    for (int64_t t = 0, run; t < tiles; t += run, out += run * VL) { /* a run: tiles of one row */
        const int64_t index = first + t, j = index % s->tiles_w;
        const int64_t i = index / s->tiles_w % s->tiles_h, image = index / s->tiles_w / s->tiles_h;
        run = MIN(tiles - t, s->tiles_w - j);
        const real *const pixels =
            s->data + image * s->image_stride + channel * s->height * s->width;
        const real *rows[MOST_POINTS];
        if (t == 0 || i == 0)
            filled = step * i;
        rows[0] = band_row(&b, step * i) + step * j * VL;
        for (int r = 1; r < height; r++) { /* round the band */
            rows[r] = rows[r - 1] + b.cols * VL;
            if (rows[r] >= band_rows + height * b.cols * VL)
                rows[r] -= height * b.cols * VL;
        }
        fill_rows(s, &b, pixels, s->channels - channel, filled, step * i + height);
        filled = step * i + height;
        map(rows, step * VL, run, to->entry, out);
    }
}

void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t group,
                              const winograd_domain *to, real *band) {
    static tile_map *const maps[] = {
        [F4_3] = image_tiles,
        [F2_5] = image_tiles,
        [BY_2] = by2_image_tiles,
        [FROM_2] = from2_image_tiles,
    };
    const winograd_sides side = WINOGRAD[s->form];
    transform_tiles(s, side.seen, side.step, maps[s->form], first, tiles, group, to, band);
}

void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t group, const winograd_domain *to, real *band) {
    static tile_map *const maps[] = {
        [F4_3] = output4_transposed_tiles,
        [F2_5] = output2_transposed_tiles,
        [BY_2] = by2_output_transposed_tiles,
    };
    const int size = WINOGRAD[s->form].outputs;
    transform_tiles(s, size, size, maps[s->form], first, tiles, group, to, band);
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

VINLINE void transform_kernels(int side, const winograd_kernels *w, const real *kernel,
                               int64_t rows, int64_t channels, int64_t entry, int64_t pitch,
                               real *out) {
    const int taps = side * side;
    for (int64_t c = 0; c < channels; c++) {
        vec tap[MOST_TAPS], in[MOST_TAPS], transformed[KERNEL_ENTRIES];
        const real *const of_channel = kernel + c * w->channel_stride;
        for (int64_t i = 0; i < MIN(VL, rows) && c + CHANNELS_AHEAD < channels; i++)
            __builtin_prefetch(of_channel + CHANNELS_AHEAD * w->channel_stride + i * w->row_stride);
        load_kernels(taps, of_channel, w->row_stride, rows, tap);
        EACH_OF_TILE (t, taps)
            in[t] = tap[w->turned ? taps - 1 - t : t];
        if (side == 5)
            weight5_2d(in, transformed);
        else if (w->form == F4_3)
            weight3_2d(in, transformed);
        else
            by2_weight_2d(in, transformed);
        store_entries(transformed, entry, out + c * pitch);
    }
}

void FN(winograd_kernel_tiles)(const winograd_kernels *w, int64_t row, int64_t channel,
                               int64_t channels, int64_t entry, int64_t pitch, real *out) {
    const real *const kernel = w->weight + row * w->row_stride + channel * w->channel_stride;
    if (w->form == F2_5)
        transform_kernels(5, w, kernel, w->rows - row, channels, entry, pitch, out);
    else
        transform_kernels(3, w, kernel, w->rows - row, channels, entry, pitch, out);
}
