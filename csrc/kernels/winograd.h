/* winograd.h: tiles of images in Winograd's domain, shared by the winograd*.c files.
 *
 * An image (channels, height, width) is cut into tiles of size x size outputs, 4 x 4 for kernels of
 * 3 x 3 taps and 2 x 2 for 5 x 5; tile (i, j) sees the 6 x 6 pixels from (size i - pad_h,
 * size j - pad_w) on. All tiles of all images are numbered through.
 * Transformed they are (36, groups, tiles, VL): channels in groups of VL, one group a vector, so
 * that transforms and products read and write whole vectors, one tile after the other.
 */
#ifndef NNF_WINOGRAD_H
#define NNF_WINOGRAD_H

#include "gemm_micro.h"
#include "winograd_transform.h"

enum { ENTRIES = 36, MOST_TAPS = 25 };

/* Taps of a kernel along one side, for tiles of size x size outputs, and the other way. */
VINLINE int taps_of(int size) { return 7 - size; }
VINLINE int winograd_size(const nnf_conv *d) { return 7 - (int)d->kh; }

typedef struct {
    int size;
    int64_t images, channels, height, width;
    int64_t pad_h, pad_w;
    int64_t tiles_h, tiles_w;
    int64_t image_stride; /* reals from one image to the next */
    const real *data;
} winograd_images;

/* A run of tiles in Winograd's domain: entry e of channel c of tile t is
 * data[e * entry + c / VL * group + t * VL + c % VL]. */
typedef struct {
    int64_t entry, group;
    real *data;
} winograd_domain;

VINLINE int64_t groups_of(int64_t channels) { return ceil_div(channels, VL); }

/* Reals from entry to entry: an odd number of cache lines, so that the 36 do not compete for the
 * same cache sets. */
VINLINE int64_t odd_lines(int64_t reals) { return (ceil_div(reals, LINE) | 1) * LINE; }

/* The strides for so many channels and tiles; the latter rounded up to whole register tiles, which
 * read the tiles too many and give sums that nobody reads. */
VINLINE winograd_domain winograd_shape(int64_t channels, int64_t tiles) {
    const int64_t group = round_up(tiles, MR) * VL;
    return (winograd_domain){.entry = odd_lines(groups_of(channels) * group), .group = group};
}

/* Transforms channel group `group` of tiles [first, first + tiles) to the beginning of `to`: as a
 * convolution's input, or as its output's gradient, size x size pixels a tile. The band holds
 * winograd_band_size reals. */
VINLINE int64_t winograd_band_size(const winograd_images *s) {
    return 6 * (s->size * s->tiles_w + 4) * VL;
}
void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t group,
                              const winograd_domain *to, real *band);
void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t group, const winograd_domain *to, real *band);

/* The kernels of a convolution: element (row, channel, tap) is
 * weight[row * row_stride + channel * channel_stride + tap], the tap counted from the end if
 * `turned`. */
typedef struct {
    int size;
    const real *weight;
    int64_t rows, row_stride, channel_stride;
    bool turned;
} winograd_kernels;

/* Transforms rows [row, row + VL) and `channels` channels from `channel` on: out (36, channels, VL)
 * with `entry` reals from entry to entry and `pitch` from channel to channel. */
void FN(winograd_kernel_tiles)(const winograd_kernels *w, int64_t row, int64_t channel,
                               int64_t channels, int64_t entry, int64_t pitch, real *out);

/* Where outputs go: image i, row r is result[i * image_stride + r * plane], plane = oh * ow. */
typedef struct {
    int size;
    int64_t rows, oh, ow, tiles_h, tiles_w;
    int64_t image_stride;
    real *result;
    const real *scale, *bias; /* (rows) or NULL */
    nnf_activation act;
} winograd_outputs;

/* Takes tiles [first, first + tiles) of rows [row, row + VL), products (36, tiles, VL), back to
 * size x size outputs each, scaled, biased and activated. */
void FN(winograd_output_tiles)(const winograd_outputs *to, int64_t first, int64_t tiles,
                               int64_t row, const real *products, int64_t entry);

#endif
