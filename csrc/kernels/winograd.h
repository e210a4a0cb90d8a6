/* winograd.h: tiles of images in Winograd's domain, shared by the winograd*.c files.
 *
 * An image (channels, height, width) is cut into tiles of outputs; tile (i, j) sees the pixels from
 * (step i - pad_h, step j - pad_w) on, how many says its form. All tiles of all images are numbered
 * through. Transformed they are (entries, groups, tiles, VL): channels in groups of VL, one group a
 * vector, so that transforms and products read and write whole vectors, one tile after the other.
 */
#ifndef NNF_WINOGRAD_H
#define NNF_WINOGRAD_H

#include "gemm_micro.h"
#include "winograd_transform.h"

/* F4_3, F2_5: stride 1, kernels of 3 x 3 and 5 x 5 taps. BY_2: 3 x 3 taps, stride 2; of a tile's
 * pixels, even ones meet two taps and odd ones one, so that both are convolutions of stride 1.
 * FROM_2: its input gradient, where dy gives pixels of two taps and of one in turns. */
typedef enum { F4_3, F2_5, BY_2, FROM_2 } winograd_form;

/* Of one side of a tile: taps of the kernels, outputs, pixels seen, pixels from tile to tile, and
 * points of the domain. Points that a tap meets by itself share that of the kernels. */
typedef struct {
    int taps, outputs, seen, step, points;
} winograd_sides;

static const winograd_sides WINOGRAD[] = {
    [F4_3] = {3, 4, 6, 4, 6},
    [F2_5] = {5, 2, 6, 2, 6},
    [BY_2] = {3, 4, 9, 8, 9},
    [FROM_2] = {3, 8, 5, 4, 9},
};

enum { KERNEL_POINTS = 6, KERNEL_ENTRIES = 36, MOST_TAPS = 25, MOST_POINTS = 9, MOST_OUTPUTS = 8 };

VINLINE int entries_of(winograd_form form) { return WINOGRAD[form].points * WINOGRAD[form].points; }
/* The entry of a kernel that is multiplied with entry e of tiles. */
VINLINE int kernel_entry(winograd_form form, int e) {
    const int points = WINOGRAD[form].points, last = KERNEL_POINTS - 1;
    return MIN(e / points, last) * KERNEL_POINTS + MIN(e % points, last);
}

VINLINE winograd_form winograd_form_of(const nnf_conv *d) {
    return d->kh == 5 ? F2_5 : d->stride_h == 2 ? BY_2 : F4_3;
}

typedef struct {
    winograd_form form;
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

/* Reals from entry to entry: an odd number of cache lines, so that they do not compete for the
 * same cache sets. */
VINLINE int64_t odd_lines(int64_t reals) { return (ceil_div(reals, LINE) | 1) * LINE; }

/* The strides for so many channels and tiles; the latter rounded up to whole register tiles, of
 * which those too many are zeros. */
VINLINE winograd_domain winograd_shape(int64_t channels, int64_t tiles) {
    const int64_t group = round_up(tiles, MR) * VL;
    return (winograd_domain){.entry = odd_lines(groups_of(channels) * group), .group = group};
}

/* Transforms channel group `group` of tiles [first, first + tiles) to the beginning of `to`: as a
 * convolution's input, or as its output's gradient, of which a tile is its outputs. The band holds
 * winograd_band_size reals. */
VINLINE int64_t winograd_band_size(const winograd_images *s) {
    const winograd_sides side = WINOGRAD[s->form];
    return side.seen * (side.step * (s->tiles_w - 1) + side.seen) * VL;
}
void FN(winograd_image_tiles)(const winograd_images *s, int64_t first, int64_t tiles, int64_t group,
                              const winograd_domain *to, real *band);
void FN(winograd_gradient_tiles)(const winograd_images *s, int64_t first, int64_t tiles,
                                 int64_t group, const winograd_domain *to, real *band);

/* The kernels of a convolution: element (row, channel, tap) is
 * weight[row * row_stride + channel * channel_stride + tap], the tap counted from the end if
 * `turned`. */
typedef struct {
    winograd_form form;
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
    winograd_form form;
    int64_t rows, oh, ow, tiles_h, tiles_w;
    int64_t image_stride;
    real *result;
    const real *scale, *bias; /* (rows) or NULL */
    nnf_activation act;
} winograd_outputs;

/* Takes tiles [first, first + tiles) of rows [row, row + VL), products (entries, tiles, VL),
 * back to outputs, scaled, biased and activated. */
void FN(winograd_output_tiles)(const winograd_outputs *to, int64_t first, int64_t tiles,
                               int64_t row, const real *products, int64_t entry);

#endif
