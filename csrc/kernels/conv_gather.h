/* conv_gather.h: an image read as the matrix that a convolution multiplies with, block by block.
 *
 * source (channels, height, width) seen from a grid (grid_h, grid_w) through `taps` offsets: entry
 * [(channel, tap)][(i, j)] is source[channel, i * stride_h + tap_h, j * stride_w + tap_w], zero
 * outside. That matrix is never built: a block's rows of the image are copied, with their padding,
 * into a `band`, and vectors for the GEMM core are packed from there. In the band the columns of a
 * row are taken apart by their remainder modulo the stride, so that neighbours in the grid are
 * neighbours there. A source with one tap that never falls outside needs no band: it is packed from
 * where it lies, and if there is no stride either, it is its own matrix.
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
    bool direct;                        /* needs no band */
    bool in_place;                      /* the source is its own matrix */
} conv_gather;

/* The rows of the source that some pixels see: data (channels, rows, stride_w, segment). */
typedef struct {
    int64_t first_row;    /* grid row of its first pixel */
    int64_t first_column; /* its column if the band is of one row of the grid, else 0 */
    int64_t rows, segment, plane;
    real *data;
    int64_t *tap; /* (taps): where in a plane each tap finds the first pixel */
} conv_band;

/* Fills in the tap bounds. A source in place becomes one row of pixels. */
void FN(conv_gather_bounds)(conv_gather *g);

/* The windows of d, seen from its results: source (c, h, w), grid (oh, ow), tap_h and tap_w in
 * memory that free_windows gives back; false if there is none. */
bool FN(conv_gather_windows)(const nnf_conv *d, conv_gather *g);
void FN(conv_gather_free_windows)(conv_gather *g);

/* Memory of a band for up to `channels` and `pixels` consecutive pixels; false if there is none. */
bool FN(conv_band_alloc)(const conv_gather *g, int64_t channels, int64_t pixels, conv_band *band);
void FN(conv_band_free)(conv_band *band);

/* Copies what pixels [pixel, pixel + pixels) see of `channels` planes of a source not in place. */
void FN(conv_band_fill)(const conv_gather *g, const real *source, int64_t channels, int64_t pixel,
                        int64_t pixels, conv_band *band);

/* Packs a vector of up to VL pixels, depth (channels x taps): packed (channels * taps, VL). Writes
 * up to VL reals past its end. */
void FN(conv_pack_pixels)(const conv_gather *g, const conv_band *band, int64_t channels,
                          int64_t pixel, int64_t pixels, real *packed);

/* Packs pixels [pixel, pixel + pixels) of a direct source, the grids of images `image` reals apart
 * side by side: packed (vectors, channels, VL), zeros after the last one. Nothing is read from
 * `end` on. */
void FN(conv_pack_direct)(const conv_gather *g, const real *source, int64_t image, const real *end,
                          int64_t channels, int64_t pixel, int64_t pixels, real *packed);

/* Copies pixels [pixel, pixel + pixels) of entries [first, first + count) (channel, tap) to rows
 * (count, pitch); first counts from the band's first channel. Writes up to VL reals past a row. */
void FN(conv_copy_entries)(const conv_gather *g, const conv_band *band, int64_t first,
                           int64_t count, int64_t pixel, int64_t pixels, int64_t pitch, real *rows);

#endif
