/* winograd_tiles.c: takes images (channels, height, width) into Winograd's domain (36, tiles,
 * lanes).
 *
 * VL channels at a time, the rows that a run of tiles sees are copied, padded and with channels
 * innermost, into a band (rows, cols, VL); every tile is then loaded and stored by whole vectors.
 */
#include "winograd.h"

/* to (end - begin, VL): pixels [begin, end) of a row of `channels` planes, channels innermost. */
static void interleave(const real *from, int64_t plane, int64_t channels, int64_t begin,
                       int64_t end, real *to) {
    int64_t j = begin;
    while (j < end) {
        if (end - begin >= VL) {
            j = MIN(j, end - VL); /* the last block overlaps the one before */
            vec block[VL];
            for (int64_t c = 0; c < VL; c++)
                block[c] = c < channels ? vload(from + c * plane + j) : vzero();
            vtranspose(block);
            for (int64_t i = 0; i < VL; i++)
                vstore(to + (j - begin + i) * VL, block[i]);
            j += VL;
        } else {
            for (int64_t c = 0; c < VL; c++)
                to[(j - begin) * VL + c] = c < channels ? from[c * plane + j] : 0;
            j++;
        }
    }
}

/* band (rows, cols, VL): channels [channel, channel + VL) from pixel (top, left) on, zero outside.
 */
static void fill_band(const winograd_images *s, int64_t image, int64_t channel, int64_t top,
                      int64_t left, int64_t rows, int64_t cols, real *band) {
    const int64_t plane = s->height * s->width;
    const int64_t begin = MIN(MAX(0, -left), cols);
    const int64_t end = MAX(begin, MIN(cols, s->width - left));
    const real *const from = s->data + image * s->image_stride + channel * plane + left;
    for (int64_t r = 0; r < rows; r++) {
        real *const to = band + r * cols * VL;
        const bool inside = top + r >= 0 && top + r < s->height;
        const int64_t first = inside ? begin : 0, last = inside ? end : 0;
        for (int64_t j = 0; j < first * VL; j++)
            to[j] = 0;
        interleave(from + (top + r) * s->width, plane, s->channels - channel, first, last,
                   to + first * VL);
        for (int64_t j = last * VL; j < cols * VL; j++)
            to[j] = 0;
    }
}

VINLINE void image_tile(const real *at, int64_t cols, vec *out) {
    vec in[ENTRIES];
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            in[i * 6 + j] = vload(at + (i * cols + j) * VL);
    image_2d(in, out);
}

VINLINE void gradient_tile(const real *at, int64_t cols, vec *out) {
    vec in[16];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            in[i * 4 + j] = vload(at + (i * cols + j) * VL);
    output_transposed_2d(in, out);
}

/* `overlap`: pixels that a tile shares with the next, 2 for images, 0 for gradients. */
VINLINE void transform_tiles(const winograd_images *s, int overlap, int64_t first, int64_t tiles,
                             int64_t lanes, int64_t plane, real *band, real *out) {
    const int64_t image_tiles = s->tiles_h * s->tiles_w, cols = 4 * s->tiles_w + overlap;
    for (int64_t done = 0, run; done < tiles; done += run) { /* a run: tiles of one image */
        const int64_t image = (first + done) / image_tiles, from = (first + done) % image_tiles;
        run = MIN(tiles - done, image_tiles - from);
        const int64_t top = from / s->tiles_w, bottom = (from + run - 1) / s->tiles_w;
        for (int64_t c = 0; c < s->channels; c += VL) {
            fill_band(s, image, c, 4 * top - s->pad_h, -s->pad_w, 4 * (bottom - top + 1) + overlap,
                      cols, band);
            for (int64_t t = 0; t < run; t++) {
                const int64_t i = (from + t) / s->tiles_w - top, j = (from + t) % s->tiles_w;
                const real *const at = band + (4 * i * cols + 4 * j) * VL;
                vec transformed[ENTRIES];
                if (overlap)
                    image_tile(at, cols, transformed);
                else
                    gradient_tile(at, cols, transformed);
                for (int e = 0; e < ENTRIES; e++)
                    vstore(out + e * plane + (done + t) * lanes + c, transformed[e]);
            }
        }
    }
}

void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t lanes,
                              int64_t plane, real *band, real *out) {
    transform_tiles(s, 2, first, tiles, lanes, plane, band, out);
}

void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t lanes, int64_t plane, real *band, real *out) {
    transform_tiles(s, 0, first, tiles, lanes, plane, band, out);
}
