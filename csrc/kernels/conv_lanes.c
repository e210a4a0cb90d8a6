/* conv_lanes.c: weights times gathered images (see conv_product.h) with a row of the result to a
 * lane, for grids whose rows break vectors of pixels and for rows too few to repay packing those.
 *
 * A task is some rows of the grid of one image and group. Depths (channel, tap) are taken in chunks
 * of channels: pixels, where they lie in a band of the image, multiply packed weights (row tiles,
 * channels * taps, NR). The sums (pixels, rows) are turned at the end.
 */
#include "conv_product.h"

#include <stdatomic.h>

#include "gemm_micro.h"

enum {
    LANES_PAY = VBYTES >= 32 && NNF_DTYPE_BITS == 32, /* or not worth the code */
    SUMS = 128 * 1024 / sizeof(real), /* of a task, at most: they stay in the L2 cache */
    /* Where it pays, as measured. */
    MOST_ROWS = VBYTES == 64 ? 128 : 32,
    LEAST_DEPTH = 64,
    LEAST_WIDTH = 5, /* of the grid */
    LEAST_PIXELS = 512
};

typedef struct {
    const conv_product *of;
    int64_t pitch; /* of sums: rows of the result, in whole tiles */
    int64_t chunk_channels;
    int64_t grid_rows, blocks; /* rows of a task, tasks of an image and group */
} lanes;

/* A tile (rows, NV) of weights (depths, NR): pixel i of depth p is from[offset[p] + i]. */
VINLINE void sum_tile(int rows, int64_t depths, const int64_t *offset, const real *from,
                      const real *weights, tile *t) {
    tile sums; /* registers, whatever t is */
    clear(rows, NV, &sums);
    for (int64_t p = 0; p < depths; p++, weights += NR) {
        const real *pixels = from + offset[p];
        __asm__("" : "+r"(pixels)); /* one register reaches all of them */
        const vec row[NV] = {vload(weights), vload(weights + VL)};
        NNF_EACH (i, rows)
            add_row(i % 2 == 1, pixels + i, row, sums.sum[i]);
        __asm__ volatile("" ::: "memory"); /* loads of several depths are too many registers */
    }
    *t = sums;
}

/* A row of the grid, in tiles of nearly one size; added to sums, `pitch` apart, or set. */
static void sum_row(int64_t width, int64_t depths, const int64_t *offset, const real *from,
                    const real *weights, bool add, int64_t pitch, real *sums) {
    const int64_t tiles = ceil_div(width, MR);
    for (int64_t k = 0; k < tiles; k++) {
        const int64_t first = k * width / tiles, count = (k + 1) * width / tiles - first;
        tile t;
        NNF_ROWS(count, sum_tile(ROWS, depths, offset, from + first, weights, &t))
        for (int64_t i = 0; i < count; i++)
            for (int v = 0; v < NV; v++) {
                real *const to = sums + (first + i) * pitch + v * VL;
                vstore(to, add ? vload(to) + t.sum[i][v] : t.sum[i][v]);
            }
    }
}

/* Sums (pixels, rows) of a group, finished and turned: result (rows, pixels), `plane` apart. */
static void turn_sums(const lanes *g, int64_t group, int64_t pixels, const real *sums,
                      int64_t plane, real *result) {
    const int64_t rows = g->of->rows;
    const conv_finish *const f = &g->of->finish;
    for (int64_t first = 0; first < rows; first += VL)
        for (int64_t p = 0; p < pixels; p += VL) {
            vec block[VL];
            for (int64_t i = 0; i < VL; i++)
                block[i] = p + i < pixels ? vload(sums + (p + i) * g->pitch + first) : vzero();
            vtranspose(block);
            for (int64_t row = first; row < MIN(first + VL, rows); row++) {
                vec x = block[row - first];
                if (f->scale)
                    x *= vset1(f->scale[group * rows + row]);
                if (f->bias)
                    x += vset1(f->bias[group * rows + row]);
                vstore_upto(result + row * plane + p, activate(x, f->act), pixels - p);
            }
        }
}

static void sum_block(const lanes *g, int64_t group, const real *source, int64_t pixel,
                      int64_t pixels, conv_band *band, int64_t *offset, real *sums) {
    const conv_product *const of = g->of;
    const conv_gather *const from = &of->from;
    const int64_t taps = from->taps, plane = from->height * from->width;
    for (int64_t c = 0; c < of->channels; c += g->chunk_channels) {
        const int64_t channels = MIN(g->chunk_channels, of->channels - c);
        FN(conv_band_fill)(from, source + c * plane, channels, pixel, pixels, band);
        const int64_t grid_row = from->stride_h * from->stride_w * band->segment;
        for (int64_t k = 0; k < channels; k++)
            for (int64_t t = 0; t < taps; t++)
                offset[k * taps + t] = k * band->plane + band->tap[t];
        const real *weights = of->left + group * of->left_group + c * taps * NR;
        for (int64_t row = 0; row < of->rows; row += NR, weights += of->weights.tile)
            for (int64_t i = 0; i * from->grid_w < pixels; i++)
                sum_row(from->grid_w, channels * taps, offset, band->data + i * grid_row, weights,
                        c > 0, g->pitch, sums + i * from->grid_w * g->pitch + row);
    }
}

static int run_task(const lanes *g, int64_t index) {
    const conv_product *const of = g->of;
    const conv_gather *const from = &of->from;
    const int64_t row = index % g->blocks * g->grid_rows, pixel = row * from->grid_w;
    const int64_t pixels = MIN(g->grid_rows, from->grid_h - row) * from->grid_w;
    const int64_t plane = index / g->blocks, group = plane % of->groups; /* of image and group */
    const real *const source = of->source + plane * of->channels * from->height * from->width;
    real *const result = of->result + plane * of->rows * of->plane;
    const bool dense = is_dense(of);
    conv_band band;
    const bool has_band = FN(conv_band_alloc)(from, g->chunk_channels, pixels, &band);
    real *const sums = alloc_reals(pixels * g->pitch);
    real *const turned = dense ? NULL : alloc_reals(of->rows * pixels);
    int64_t *const offset = nnf_alloc((size_t)(g->chunk_channels * from->taps) * sizeof *offset);
    const bool ready = has_band && sums && (dense || turned) && offset;
    if (ready) {
        sum_block(g, group, source, pixel, pixels, &band, offset, sums);
        if (dense) {
            turn_sums(g, group, pixels, sums, of->plane, result + pixel);
        } else {
            turn_sums(g, group, pixels, sums, pixels, turned);
            FN(conv_scatter)(of, turned, pixels, of->rows, pixel, pixels, result);
        }
    }
    FN(conv_band_free)(&band);
    nnf_free(sums);
    nnf_free(turned);
    nnf_free(offset);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

bool FN(conv_lanes_pay)(const conv_product *p) {
    const int64_t rows = round_up(p->rows, NR), width = p->from.grid_w;
    return LANES_PAY && p->from.taps > 1 && p->rows <= MOST_ROWS && 8 * (rows - p->rows) < rows &&
           p->channels * p->from.taps >= LEAST_DEPTH && width >= LEAST_WIDTH && width % VL != 0 &&
           p->images * p->from.grid_h * width >= LEAST_PIXELS;
}

int FN(conv_lanes_run)(const conv_product *p) {
    if (!LANES_PAY) /* nobody asks for what is left out here */
        return NNF_NO_MEMORY;
    const int64_t width = p->from.grid_w, height = p->from.grid_h, grids = p->images * p->groups;
    lanes g = {.of = p,
               .pitch = round_up(p->rows, NR),
               .chunk_channels = MAX(1, MIN(p->channels, KC / p->from.taps))};
    g.grid_rows = MAX(1, MIN(height, SUMS / (width * g.pitch)));
    while (g.grid_rows > 1 && grids * ceil_div(height, g.grid_rows) < TASKS)
        g.grid_rows = ceil_div(g.grid_rows, 2);
    g.blocks = ceil_div(height, g.grid_rows);
    atomic_int failed = 0;
    PARALLEL_FOR(index, grids * g.blocks, product_work(p), {
        if (run_task(&g, index) != NNF_OK)
            failed = 1;
    });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
