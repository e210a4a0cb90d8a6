/* conv_gather.h: an image read as the matrix that a convolution multiplies with, block by block.
 *
 * source (channels, height, width) seen from a grid (grid_h, grid_w) through `taps` offsets: entry
 * [(channel, tap)][(i, j)] is source[channel, i * stride_h + tap_h, j * stride_w + tap_w], zero
 * outside. That matrix is never built: a block's rows of the image are copied, with their padding,
 * into a `band`, and panels for the GEMM core are packed from there.
 */
#ifndef NNF_CONV_GATHER_H
#define NNF_CONV_GATHER_H

#include "gemm.h"

typedef struct {
    int64_t height, width;
    int64_t grid_h, grid_w;
    int64_t stride_h, stride_w;
    int64_t taps;
    const int64_t *tap_h, *tap_w;       /* (taps) */
    int64_t min_h, max_h, min_w, max_w; /* of the taps */
} conv_gather;

/* The rows of the source that some pixels see: data (channels, rows, cols). */
typedef struct {
    int64_t first_row; /* grid row of its first pixel */
    int64_t rows, cols;
    real *data;
} conv_band;

/* Fills in the tap bounds. */
void FN(conv_gather_bounds)(conv_gather *g);

/* The most reals a band of `channels` needs for `pixels` consecutive pixels, slack included. */
int64_t FN(conv_band_size)(const conv_gather *g, int64_t channels, int64_t pixels);

/* Copies what pixels [pixel, pixel + pixels) see of `channels` planes of source into band->data. */
void FN(conv_band_fill)(const conv_gather *g, const real *source, int64_t channels, int64_t pixel,
                        int64_t pixels, conv_band *band);

/* Packs one panel of up to NR pixels, depth (channels x taps): packed (channels * taps, NR). Writes
 * up to NR reals past its end. */
void FN(conv_pack_pixels)(const conv_gather *g, const conv_band *band, int64_t channels,
                          int64_t pixel, int64_t pixels, real *packed);

/* Packs one panel of up to NR entries (channel, tap) from `first` on, depth `pixels`: packed
 * (pixels, NR). first counts from the band's first channel. Writes up to VL * NR reals past its
 * end. */
void FN(conv_pack_taps)(const conv_gather *g, const conv_band *band, int64_t first, int64_t count,
                        int64_t pixel, int64_t pixels, real *packed);

#endif
