/* winograd.c: convolutions by F(4x4, 3x3), with a quarter of the multiplications, by F(2x2, 5x5),
 * with 36 of 100, and of 3x3 taps at stride 2, with 81 of 144.
 *
 * y (images, rows, oh, ow) = weight (rows, channels, taps, taps) * x (images, channels, h, w).
 * Tiles of x become (entries, channels, tiles); the product of each entry with that of the
 * transformed weights (36, channels, rows) gives (entries, rows, tiles), which are taken back to
 * outputs. The input gradient is the same with dy and the weights turned.
 */
#include "conv.h"

#include <stdatomic.h>

#include "winograd.h"

typedef struct {
    winograd_images from;
    winograd_outputs to;
    winograd_kernels kernels;
    int64_t tiles, groups; /* of VL rows */
} winograd;

enum { CACHE = 384 * 1024 / sizeof(real) }; /* what a core may fill of its L2 cache */

/* Rows are multiplied in panels of NV groups, the last of which may be of fewer. Weights of a panel
 * (36, channels, groups, VL) with `entry` reals from entry to entry. */
static void transform_panel(const winograd *g, int64_t group, int64_t channel, int64_t channels,
                            int64_t entry, real *weights) {
    const int64_t n = MIN(NV, g->groups - group);
    for (int64_t q = 0; q < n; q++)
        FN(winograd_kernel_tiles)(&g->kernels, (group + q) * VL, channel, channels, entry, n * VL,
                                  weights + q * VL);
}

/* products (vectors, tiles, VL) = images (channels, tiles) x weights (channels, vectors, VL) of one
 * entry, or added to what is there. The next tiles are fetched: no CPU foresees runs so short. */
VINLINE void multiply_vectors(int vectors, int64_t tiles, int64_t channels, const real *images,
                              int64_t images_group, const real *weights, bool more, real *products,
                              int64_t products_group) {
    for (int64_t t = 0; t < tiles; t += MR) {
        tile sums;
        clear(MR, vectors, &sums);
        for (int64_t c = 0; c < channels; c += VL) {
            for (int i = 0; i < MR * VL; i += LINE)
                __builtin_prefetch(images + c / VL * images_group + (t + MR) * VL + i);
            if (vectors == NV && channels - c >= VL)
                accumulate_turns(MR, VL, images + c / VL * images_group + t * VL, VL, 1,
                                 weights + c * NR, NR, VL, NULL, 0, &sums);
            else
                accumulate(MR, vectors, MIN(VL, channels - c),
                           images + c / VL * images_group + t * VL, VL, 1, 0,
                           weights + c * vectors * VL, vectors * VL, VL, &sums);
        }
        NNF_EACH (i, MR)
            NNF_EACH (v, vectors) {
                real *const to = products + v * products_group + (t + i) * VL;
                vstore(to, more ? vload(to) + sums.sum[i][v] : sums.sum[i][v]);
            }
    }
}

/* All entries of a panel of `vectors` <= NV groups, from channel group `from` of the images on. */
static void multiply_panel(winograd_form form, int64_t vectors, int64_t tiles, int64_t channels,
                           const winograd_domain *images, int64_t from, const real *weights,
                           int64_t weights_entry, bool more, const winograd_domain *products) {
    for (int e = 0; e < entries_of(form); e++) {
        const real *const b = weights + kernel_entry(form, e) * weights_entry;
        const real *const a = images->data + e * images->entry + from * images->group;
        real *const c = products->data + e * products->entry;
        if (vectors == NV)
            multiply_vectors(NV, tiles, channels, a, images->group, b, more, c, products->group);
        else
            multiply_vectors(1, tiles, channels, a, images->group, b, more, c, products->group);
    }
}

/* Tiles that fill up the last register tiles are zeros: what the memory held may be denormal, which
 * is slow. */
static void fill_up(const winograd *g, const winograd_domain *images, int64_t tiles) {
    const int64_t rest = round_up(tiles, MR) - tiles;
    for (int64_t e = 0; rest && e < entries_of(g->from.form); e++)
        for (int64_t c = 0; c < groups_of(g->from.channels); c++)
            memset(images->data + e * images->entry + c * images->group + tiles * VL, 0,
                   (size_t)(rest * VL) * sizeof(real));
}

static int run_block(const winograd *g, const real *weights, int64_t first, int64_t tiles) {
    const int64_t channels = g->from.channels, entry = odd_lines(g->groups * VL * channels);
    winograd_domain images = winograd_shape(channels, tiles);
    winograd_domain products = winograd_shape(NR, tiles);
    real *const band = alloc_reals(winograd_band_size(&g->from));
    images.data = alloc_reals(entries_of(g->from.form) * images.entry);
    products.data = alloc_reals(entries_of(g->from.form) * products.entry);
    const bool ready = band && images.data && products.data;
    if (ready) {
        for (int64_t c = 0; c < groups_of(channels); c++)
            FN(winograd_image_tiles)(&g->from, first, tiles, c, &images, band);
        fill_up(g, &images, tiles);
        for (int64_t q = 0; q < g->groups; q += NV) {
            const int64_t vectors = MIN(NV, g->groups - q);
            multiply_panel(g->from.form, vectors, tiles, channels, &images, 0,
                           weights + q * VL * channels, entry, false, &products);
            for (int64_t v = 0; v < vectors; v++)
                FN(winograd_output_tiles)(&g->to, first, tiles, (q + v) * VL,
                                          products.data + v * products.group, products.entry);
        }
    }
    nnf_free(band);
    nnf_free(images.data);
    nnf_free(products.data);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

static double transform_work(int64_t vectors) { return 30.0 * (double)vectors; }

static double multiply_work(const winograd *g) {
    return 0.6 / 36 * (double)(entries_of(g->from.form) * g->tiles) *
           (double)(g->from.channels * g->to.rows);
}

/* For many tiles: the weights are transformed once, the tiles in blocks that stay in the cache. */
static int run_by_tiles(const winograd *g) {
    const int64_t channels = g->from.channels, entry = odd_lines(g->groups * VL * channels);
    real *const weights = alloc_reals(KERNEL_ENTRIES * entry);
    if (!weights)
        return NNF_NO_MEMORY;
    PARALLEL_FOR(
        panel, ceil_div(g->groups, NV), 2 * transform_work(g->groups * channels),
        transform_panel(g, panel * NV, 0, channels, entry, weights + panel * NV * VL * channels));
    int64_t block =
        MAX(CACHE / (entries_of(g->from.form) * (groups_of(channels) + NV) * VL), 8 * MR);
    block = round_up(MAX(MIN(block, ceil_div(g->tiles, 16)), 1), MR);
    atomic_int failed = 0;
    PARALLEL_FOR(index, ceil_div(g->tiles, block), multiply_work(g), {
        const int64_t first = index * block;
        if (run_block(g, weights, first, MIN(block, g->tiles - first)) != NNF_OK)
            failed = 1;
    });
    nnf_free(weights);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

static int run_panel(const winograd *g, const winograd_domain *images, int64_t group) {
    const int64_t n = MIN(NV, g->groups - group), channels = g->from.channels;
    const int64_t block = round_up(MAX(CACHE / (KERNEL_ENTRIES * NV * VL), 1), VL);
    const int64_t entry = odd_lines(MIN(block, channels) * n * VL);
    winograd_domain products = winograd_shape(n * VL, g->tiles);
    real *const weights = alloc_reals(KERNEL_ENTRIES * entry);
    products.data = alloc_reals(entries_of(g->from.form) * products.entry);
    const bool ready = weights && products.data;
    for (int64_t c = 0; ready && c < channels; c += block) {
        const int64_t depth = MIN(block, channels - c);
        transform_panel(g, group, c, depth, entry, weights);
        multiply_panel(g->from.form, n, g->tiles, depth, images, c / VL, weights, entry, c > 0,
                       &products);
    }
    for (int64_t q = 0; ready && q < n; q++)
        FN(winograd_output_tiles)(&g->to, 0, g->tiles, (group + q) * VL,
                                  products.data + q * products.group, products.entry);
    nnf_free(weights);
    nnf_free(products.data);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* For few tiles and many weights: all tiles are transformed once, the weights panel by panel, into
 * the cache: written to memory they would be four times what they are. */
static int run_by_rows(const winograd *g) {
    const int64_t channels = groups_of(g->from.channels);
    winograd_domain images = winograd_shape(g->from.channels, g->tiles);
    images.data = alloc_reals(entries_of(g->from.form) * images.entry);
    if (!images.data)
        return NNF_NO_MEMORY;
    atomic_int failed = 0;
    PARALLEL_FOR(c, channels, transform_work(channels * g->tiles), {
        real *const band = alloc_reals(winograd_band_size(&g->from));
        if (band)
            FN(winograd_image_tiles)(&g->from, 0, g->tiles, c, &images, band);
        else
            failed = 1;
        nnf_free(band);
    });
    fill_up(g, &images, g->tiles);
    if (!failed)
        PARALLEL_FOR(panel, ceil_div(g->groups, NV), multiply_work(g), {
            if (run_panel(g, &images, panel * NV) != NNF_OK)
                failed = 1;
        });
    nnf_free(images.data);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* By rows where the transformed weights outgrow the cache and the tiles do not. */
static int run(winograd *g) {
    const int64_t channels = groups_of(g->from.channels) * VL, rows = g->groups * VL;
    const bool large = KERNEL_ENTRIES * channels * rows > 4 * CACHE;
    return large && g->tiles <= 256 ? run_by_rows(g) : run_by_tiles(g);
}

/* The convolution of one group: from is what the kernels slide over, to is what they give. */
static int convolve(winograd_form form, winograd_images from, winograd_outputs to,
                    winograd_kernels kernels) {
    from.form = to.form = kernels.form = form;
    from.tiles_h = to.tiles_h = ceil_div(to.oh, WINOGRAD[form].outputs);
    from.tiles_w = to.tiles_w = ceil_div(to.ow, WINOGRAD[form].outputs);
    kernels.rows = to.rows;
    winograd g = {.from = from,
                  .to = to,
                  .kernels = kernels,
                  .tiles = from.images * from.tiles_h * from.tiles_w,
                  .groups = groups_of(to.rows)};
    return run(&g);
}

int FN(winograd_forward)(const nnf_conv *d, const real *x, const real *weight, const conv_finish *f,
                         real *y) {
    const int64_t channels = d->c / d->groups, rows = d->k / d->groups, taps = d->kh * d->kw;
    int status = NNF_OK;
    for (int64_t group = 0; group < d->groups && status == NNF_OK; group++) {
        const winograd_images from = {.images = d->n,
                                      .channels = channels,
                                      .height = d->h,
                                      .width = d->w,
                                      .pad_h = d->pad_h,
                                      .pad_w = d->pad_w,
                                      .image_stride = d->c * d->h * d->w,
                                      .data = x + group * channels * d->h * d->w};
        const winograd_outputs to = {.rows = rows,
                                     .oh = d->oh,
                                     .ow = d->ow,
                                     .image_stride = d->k * d->oh * d->ow,
                                     .result = y + group * rows * d->oh * d->ow,
                                     .scale = f->scale ? f->scale + group * rows : NULL,
                                     .bias = f->bias ? f->bias + group * rows : NULL,
                                     .act = f->act};
        const winograd_kernels kernels = {.weight = weight + group * rows * channels * taps,
                                          .row_stride = channels * taps,
                                          .channel_stride = taps};
        status = convolve(winograd_form_of(d), from, to, kernels);
    }
    return status;
}

int FN(winograd_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t channels = d->c / d->groups, rows = d->k / d->groups, taps = d->kh * d->kw;
    /* At stride 2 tile (0, 0) of dx, whose padding is 1, sees dy from its first pixel on. */
    const winograd_form form = winograd_form_of(d) == BY_2 ? FROM_2 : winograd_form_of(d);
    const int64_t pad_h = form == FROM_2 ? 0 : d->kh - 1 - d->pad_h;
    const int64_t pad_w = form == FROM_2 ? 0 : d->kw - 1 - d->pad_w;
    int status = NNF_OK;
    for (int64_t group = 0; group < d->groups && status == NNF_OK; group++) {
        const winograd_images from = {.images = d->n,
                                      .channels = rows,
                                      .height = d->oh,
                                      .width = d->ow,
                                      .pad_h = pad_h,
                                      .pad_w = pad_w,
                                      .image_stride = d->k * d->oh * d->ow,
                                      .data = dy + group * rows * d->oh * d->ow};
        const winograd_outputs to = {.rows = channels,
                                     .oh = d->h,
                                     .ow = d->w,
                                     .image_stride = d->c * d->h * d->w,
                                     .result = dx + group * channels * d->h * d->w};
        const winograd_kernels kernels = {.weight = weight + group * rows * channels * taps,
                                          .row_stride = taps,
                                          .channel_stride = channels * taps,
                                          .turned = true};
        status = convolve(form, from, to, kernels);
    }
    return status;
}
