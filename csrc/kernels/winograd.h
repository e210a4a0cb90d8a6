/* winograd.h: tiles of images in Winograd's domain, shared by winograd.c and winograd_weight.c.
 *
 * An image (channels, height, width) is cut into tiles of 4 x 4 outputs; tile (i, j) sees the 6 x 6
 * pixels from (4 i - pad_h, 4 j - pad_w) on. All tiles of all images are numbered through; a block
 * is a run of them. Transformed: (36, tiles, lanes): lanes = channels rounded up to vectors, and
 * `plane` reals from one of the 36 entries to the next.
 */
#ifndef NNF_WINOGRAD_H
#define NNF_WINOGRAD_H

#include "gemm_micro.h"
#include "winograd_transform.h"

enum { ENTRIES = 36 };

typedef struct {
    int64_t images, channels, height, width;
    int64_t pad_h, pad_w;
    int64_t tiles_h, tiles_w;
    int64_t image_stride; /* reals from one image to the next */
    const real *data;
} winograd_images;

/* An odd number of cache lines apart, the 36 entries do not compete for the same cache sets. */
VINLINE int64_t winograd_plane(int64_t tiles, int64_t lanes) {
    const int64_t line = 64 / (int64_t)sizeof(real);
    return (ceil_div(tiles * lanes, line) | 1) * line;
}

/* Reals that the band of winograd_image_tiles needs. */
VINLINE int64_t winograd_band_size(const winograd_images *s, int64_t tiles) {
    const int64_t tile_rows = MIN(s->tiles_h, (tiles - 1) / s->tiles_w + 2);
    return (4 * tile_rows + 2) * (4 * s->tiles_w + 2) * VL;
}

/* Transforms tiles [first, first + tiles) as a convolution's input: out (36, tiles, lanes). */
void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t lanes,
                              int64_t plane, real *band, real *out);

/* The same as an output's gradient: 4 x 4 pixels a tile, the map of the outputs transposed. */
void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t lanes, int64_t plane, real *band, real *out);

#endif
