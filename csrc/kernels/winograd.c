/* winograd.c: 3x3 stride-1 convolutions by F(4x4, 3x3): a quarter of the multiplications.
 *
 * y (images, rows, oh, ow) = weight (rows, channels, 3, 3) * x (images, channels, h, w). Per block
 * of tiles: x is transformed to (36, tiles, channels); 36 products with the transformed weights
 * (36, panels, channels, NR) give (36, tiles, rows); those are transformed back, 4 x 4 outputs a
 * tile. The input gradient is the same with dy and the weights turned.
 */
#include "conv.h"

#include <stdatomic.h>

#include "winograd.h"

typedef struct {
    winograd_images from;
    int64_t rows, oh, ow;
    int64_t result_stride; /* reals from one image of the result to the next */
    real *result;
    const real *bias; /* (rows) or NULL */
    nnf_activation act;
    const real *weights;
    int64_t tiles, block_tiles;
} winograd;

/* Element (row, channel, tap) is weight[row * row_stride + channel * channel_stride + tap], the tap
 * counted from the end if `turned`. */
typedef struct {
    const real *weight;
    int64_t row_stride, channel_stride;
    bool turned;
} kernels;

/* One panel of weights: (36, channels, NR) with `plane` reals from entry to entry. */
static void transform_weights(const kernels *w, int64_t row, int64_t rows, int64_t channels,
                              int64_t plane, real *out) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t v = 0; v < NR; v += VL) {
            real lanes[9][VL];
            for (int t = 0; t < 9; t++)
                for (int64_t i = 0; i < VL; i++) {
                    const int64_t r = row + v + i;
                    const real *const kernel =
                        w->weight + r * w->row_stride + c * w->channel_stride;
                    lanes[t][i] = r < rows ? kernel[w->turned ? 8 - t : t] : 0;
                }
            vec in[9], transformed[ENTRIES];
            for (int t = 0; t < 9; t++)
                in[t] = vload(lanes[t]);
            weight_2d(in, transformed);
            for (int e = 0; e < ENTRIES; e++)
                vstore(out + e * plane + c * NR + v, transformed[e]);
        }
}

/* products (tiles, row_lanes) = images (tiles, lanes) x weights (panels, channels, NR), one entry.
 */
static void multiply_entry(const winograd *g, int64_t tiles, int64_t lanes, int64_t row_lanes,
                           const real *images, const real *weights, real *products) {
    const int64_t channels = g->from.channels;
    for (int64_t q = 0; q < row_lanes; q += NR)
        for (int64_t t = 0; t < tiles; t += MR) {
            const real *const a = images + t * lanes, *const b = weights + q * channels;
            real *const c = products + t * row_lanes + q;
            tile sums;
            NNF_ROWS(MIN(MR, tiles - t), {
                multiply(ROWS, channels, a, lanes, 1, b, NR, &sums);
                for (int i = 0; i < ROWS; i++)
                    for (int v = 0; v < NV; v++)
                        vstore(c + i * row_lanes + v * VL, sums.sum[i][v]);
            })
        }
}

/* Writes pixels (4, 4) of VL rows where they belong: y[lane][i][j], as far as y reaches. */
static void store_tile(const vec *pixels, int64_t lanes, int64_t height, int64_t width,
                       int64_t plane, int64_t ow, real *y) {
    enum { TOGETHER = VL >= 4 ? VL / 4 : 1 }; /* rows of pixels that one transposition takes */
    if (VL >= 4 && height == 4 && width == 4) {
        for (int i = 0; i < 4; i += TOGETHER) {
            vec block[VL];
            for (int j = 0; j < 4 * TOGETHER; j++)
                block[j] = pixels[i * 4 + j];
            vtranspose(block);
            for (int64_t lane = 0; lane < lanes; lane++)
                for (int k = 0; k < TOGETHER; k++)
                    memcpy(y + lane * plane + (i + k) * ow, (const real *)&block[lane] + 4 * k,
                           4 * sizeof(real));
        }
        return;
    }
    real values[16][VL];
    for (int p = 0; p < 16; p++)
        vstore(values[p], pixels[p]);
    for (int64_t lane = 0; lane < lanes; lane++)
        for (int64_t i = 0; i < height; i++)
            for (int64_t j = 0; j < width; j++)
                y[lane * plane + i * ow + j] = values[i * 4 + j][lane];
}

/* Outputs of one tile from its products. */
static void finish_tile(const winograd *g, int64_t tile_index, int64_t row_plane,
                        const real *products) {
    const int64_t image_tiles = g->from.tiles_h * g->from.tiles_w;
    const int64_t image = tile_index / image_tiles, t = tile_index % image_tiles;
    const int64_t i = t / g->from.tiles_w * 4, j = t % g->from.tiles_w * 4;
    const int64_t plane = g->oh * g->ow;
    for (int64_t r = 0; r < g->rows; r += VL) {
        const int64_t lanes = MIN(VL, g->rows - r);
        vec sums[ENTRIES], pixels[16];
        for (int e = 0; e < ENTRIES; e++)
            sums[e] = vload(products + e * row_plane + r);
        output_2d(sums, pixels);
        if (g->bias) {
            const vec bias = vload_part(g->bias + r, lanes);
            for (int p = 0; p < 16; p++)
                pixels[p] += bias;
        }
        if (g->act != NNF_LINEAR)
            for (int p = 0; p < 16; p++)
                pixels[p] = activate(pixels[p], g->act);
        store_tile(pixels, lanes, MIN(4, g->oh - i), MIN(4, g->ow - j), plane, g->ow,
                   g->result + image * g->result_stride + r * plane + i * g->ow + j);
    }
}

static int run_block(const winograd *g, int64_t index) {
    const int64_t first = index * g->block_tiles, tiles = MIN(g->block_tiles, g->tiles - first);
    const int64_t channels = g->from.channels;
    const int64_t lanes = round_up(channels, VL), row_lanes = round_up(g->rows, NR);
    const int64_t plane = winograd_plane(tiles, lanes),
                  row_plane = winograd_plane(tiles, row_lanes);
    real *const band = alloc_reals(winograd_band_size(&g->from, tiles));
    real *const images = alloc_reals(ENTRIES * plane), *const products =
                                                           alloc_reals(ENTRIES * row_plane);
    const bool ready = band && images && products;
    if (ready) {
        FN(winograd_image_tiles)(&g->from, first, tiles, lanes, plane, band, images);
        for (int e = 0; e < ENTRIES; e++)
            multiply_entry(g, tiles, lanes, row_lanes, images + e * plane,
                           g->weights + e * row_lanes * channels, products + e * row_plane);
        for (int64_t t = 0; t < tiles; t++)
            finish_tile(g, first + t, row_plane, products + t * row_lanes);
    }
    nnf_free(band);
    nnf_free(images);
    nnf_free(products);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* Tiles of a block: what a core's cache holds of (36, tiles, channels + rows), at least 8 MR so
 * that streaming the weights pays. */
static int64_t choose_block(int64_t channels, int64_t rows, int64_t tiles) {
    const int64_t cache = 384 * 1024 / (int64_t)sizeof(real);
    int64_t block = MAX(cache / (ENTRIES * (channels + rows)), 8 * MR);
    block = MIN(block, ceil_div(tiles, 16));
    return round_up(MAX(block, 1), MR);
}

static int run(winograd *g, const kernels *w) {
    const int64_t channels = g->from.channels, row_lanes = round_up(g->rows, NR);
    real *const weights = alloc_reals(ENTRIES * row_lanes * channels);
    if (!weights)
        return NNF_NO_MEMORY;
    PARALLEL_FOR(q, row_lanes / NR, 60.0 * (double)(row_lanes * channels) / VL,
                 transform_weights(w, q * NR, g->rows, channels, row_lanes * channels,
                                   weights + q * NR * channels));
    g->weights = weights;
    g->tiles = g->from.images * g->from.tiles_h * g->from.tiles_w;
    g->block_tiles = choose_block(channels, g->rows, g->tiles);
    atomic_int failed = 0;
    PARALLEL_FOR(index, ceil_div(g->tiles, g->block_tiles),
                 0.6 * (double)g->tiles * (double)(channels * g->rows), {
                     if (run_block(g, index) != NNF_OK)
                         failed = 1;
                 });
    nnf_free(weights);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

int FN(winograd_forward)(const nnf_conv *d, const real *x, const real *weight, const real *bias,
                         nnf_activation act, real *y) {
    const int64_t channels = d->c / d->groups, rows = d->k / d->groups;
    int status = NNF_OK;
    for (int64_t group = 0; group < d->groups && status == NNF_OK; group++) {
        const kernels w = {weight + group * rows * channels * 9, channels * 9, 9, false};
        winograd g = {
            .from = {.images = d->n,
                     .channels = channels,
                     .height = d->h,
                     .width = d->w,
                     .pad_h = d->pad_h,
                     .pad_w = d->pad_w,
                     .tiles_h = ceil_div(d->oh, 4),
                     .tiles_w = ceil_div(d->ow, 4),
                     .image_stride = d->c * d->h * d->w,
                     .data = x + group * channels * d->h * d->w},
            .rows = rows,
            .oh = d->oh,
            .ow = d->ow,
            .result_stride = d->k * d->oh * d->ow,
            .result = y + group * rows * d->oh * d->ow,
            .bias = bias ? bias + group * rows : NULL,
            .act = act,
        };
        status = run(&g, &w);
    }
    return status;
}

int FN(winograd_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t channels = d->c / d->groups, rows = d->k / d->groups;
    int status = NNF_OK;
    for (int64_t group = 0; group < d->groups && status == NNF_OK; group++) {
        const kernels w = {weight + group * rows * channels * 9, 9, channels * 9, true};
        winograd g = {
            .from = {.images = d->n,
                     .channels = rows,
                     .height = d->oh,
                     .width = d->ow,
                     .pad_h = 2 - d->pad_h,
                     .pad_w = 2 - d->pad_w,
                     .tiles_h = ceil_div(d->h, 4),
                     .tiles_w = ceil_div(d->w, 4),
                     .image_stride = d->k * d->oh * d->ow,
                     .data = dy + group * rows * d->oh * d->ow},
            .rows = channels,
            .oh = d->h,
            .ow = d->w,
            .result_stride = d->c * d->h * d->w,
            .result = dx + group * channels * d->h * d->w,
        };
        status = run(&g, &w);
    }
    return status;
}
