/* winograd_weight.c: weight gradient of 3x3 stride-1 convolutions in Winograd's domain.
 *
 * dweight (rows, channels, 3, 3): per block of tiles x becomes (36, tiles, channels) and dy
 * (36, tiles, rows); their 36 products, summed over all tiles, are (36, channels, rows) and are
 * transformed back once. The tiles are cut into parts whose number depends on the shapes alone;
 * each part is summed by one thread, in order, and the parts are added in order.
 */
#include "conv.h"

#include <stdatomic.h>

#include "winograd.h"

typedef struct {
    winograd_images x, dy;
    int64_t tiles, block_tiles, parts;
    int64_t lanes, row_lanes; /* channels of x and dy, rounded up */
    real *sums;               /* (parts, 36, channels, row_lanes) */
} weight_gradient;

static int64_t part_size(const weight_gradient *g) {
    return ENTRIES * g->x.channels * g->row_lanes;
}

/* sums (channels, row_lanes) += x (tiles, lanes) transposed times dy (tiles, row_lanes). */
static void multiply_entry(const weight_gradient *g, int64_t tiles, const real *x, const real *dy,
                           bool accumulate, real *sums) {
    for (int64_t q = 0; q < g->row_lanes; q += NR)
        for (int64_t c = 0; c < g->x.channels; c += MR) {
            real *const at = sums + c * g->row_lanes + q;
            tile t;
            NNF_ROWS(MIN(MR, g->x.channels - c), {
                multiply(ROWS, tiles, x + c, 1, g->lanes, dy + q, g->row_lanes, &t);
                for (int i = 0; i < ROWS; i++)
                    for (int v = 0; v < NV; v++) {
                        real *const to = at + i * g->row_lanes + v * VL;
                        vstore(to, accumulate ? vload(to) + t.sum[i][v] : t.sum[i][v]);
                    }
            })
        }
}

static int sum_part(const weight_gradient *g, int64_t part) {
    const int64_t plane = winograd_plane(g->block_tiles, g->lanes);
    const int64_t row_plane = winograd_plane(g->block_tiles, g->row_lanes);
    real *const band = alloc_reals(winograd_band_size(&g->x, g->block_tiles));
    real *const x = alloc_reals(ENTRIES * plane), *const dy = alloc_reals(ENTRIES * row_plane);
    const bool ready = band && x && dy;
    /* Lanes of dy beyond its channels are never written: zero, so that their sums are harmless. */
    if (ready)
        memset(dy, 0, (size_t)(ENTRIES * row_plane) * sizeof(real));
    const int64_t begin = part * g->tiles / g->parts, end = (part + 1) * g->tiles / g->parts;
    for (int64_t first = begin; ready && first < end; first += g->block_tiles) {
        const int64_t tiles = MIN(g->block_tiles, end - first);
        FN(winograd_image_tiles)(&g->x, first, tiles, g->lanes, plane, band, x);
        FN(winograd_gradient_tiles)(&g->dy, first, tiles, g->row_lanes, row_plane, band, dy);
        for (int e = 0; e < ENTRIES; e++)
            multiply_entry(g, tiles, x + e * plane, dy + e * row_plane, first > begin,
                           g->sums + part * part_size(g) + e * g->x.channels * g->row_lanes);
    }
    nnf_free(band);
    nnf_free(x);
    nnf_free(dy);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* Adds the parts of one channel and transforms its kernels back: dweight[row][channel][3][3]. */
static void finish_channel(const weight_gradient *g, int64_t channel, real *dweight) {
    const int64_t entry = g->x.channels * g->row_lanes;
    for (int64_t r = 0; r < g->dy.channels; r += VL) {
        vec sums[ENTRIES], kernel[9];
        for (int e = 0; e < ENTRIES; e++) {
            const real *const from = g->sums + e * entry + channel * g->row_lanes + r;
            sums[e] = vload(from);
            for (int64_t part = 1; part < g->parts; part++)
                sums[e] += vload(from + part * part_size(g));
        }
        weight_transposed_2d(sums, kernel);
        for (int64_t i = 0; i < MIN(VL, g->dy.channels - r); i++)
            for (int t = 0; t < 9; t++)
                dweight[((r + i) * g->x.channels + channel) * 9 + t] = kernel[t][i];
    }
}

/* Parts for many threads, a power of two; but of enough tiles that adding them up is little work,
 * and small against the cache they share. */
static int64_t choose_parts(int64_t tiles, int64_t size) {
    const int64_t memory = ((int64_t)16 << 20) / (int64_t)sizeof(real);
    int64_t parts = 16;
    while (parts > 2 && (parts * 96 > tiles || parts * size > memory))
        parts /= 2;
    return MIN(parts, tiles);
}

int FN(winograd_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight) {
    const int64_t channels = d->c / d->groups, rows = d->k / d->groups;
    weight_gradient g = {
        .x = {.images = d->n,
              .channels = channels,
              .height = d->h,
              .width = d->w,
              .pad_h = d->pad_h,
              .pad_w = d->pad_w,
              .tiles_h = ceil_div(d->oh, 4),
              .tiles_w = ceil_div(d->ow, 4),
              .image_stride = d->c * d->h * d->w},
        .dy = {.images = d->n,
               .channels = rows,
               .height = d->oh,
               .width = d->ow,
               .tiles_h = ceil_div(d->oh, 4),
               .tiles_w = ceil_div(d->ow, 4),
               .image_stride = d->k * d->oh * d->ow},
        .lanes = round_up(channels, VL),
        .row_lanes = round_up(rows, NR),
    };
    g.tiles = d->n * g.x.tiles_h * g.x.tiles_w;
    g.parts = choose_parts(g.tiles, part_size(&g));
    const int64_t cache = 512 * 1024 / (int64_t)sizeof(real);
    g.block_tiles =
        MIN(MAX(cache / (ENTRIES * (g.lanes + g.row_lanes)), 32), ceil_div(g.tiles, g.parts));
    g.sums = alloc_reals(g.parts * part_size(&g));
    if (!g.sums)
        return NNF_NO_MEMORY;
    atomic_int failed = 0;
    for (int64_t group = 0; group < d->groups && !failed; group++) {
        g.x.data = x + group * channels * d->h * d->w;
        g.dy.data = dy + group * rows * d->oh * d->ow;
        PARALLEL_FOR(part, g.parts, 0.6 * (double)g.tiles * (double)(channels * rows), {
            if (sum_part(&g, part) != NNF_OK)
                failed = 1;
        });
        PARALLEL_FOR(channel, channels, 30.0 * (double)(g.parts * channels * rows) / VL,
                     finish_channel(&g, channel, dweight + group * rows * channels * 9));
    }
    nnf_free(g.sums);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
