/* winograd_weight.c: weight gradient of 3x3 and 5x5 convolutions in Winograd's domain.
 *
 * dweight (rows, channels, taps, taps): x becomes (entries, channels, tiles) and dy (entries, rows,
 * tiles); their products, summed over all tiles, and over the entries that a kernel's entry meets,
 * are (36, channels, rows) and are transformed back once.
 * Either the tiles are cut into parts, each summed by one thread in order, the parts added in
 * order; or, where those sums outgrow the cache, all tiles are transformed first, and each block of
 * channels and rows is summed over all of them and transformed back while it is in the cache.
 */
#include "conv.h"

#include <stdatomic.h>

#include "winograd.h"

enum {
    CHANNEL_ROWS = MR <= VL ? MR : VL, /* rows of a register tile; they divide a vector */
    STEP = VL % CHANNEL_ROWS == 0 ? CHANNEL_ROWS
    : VL >= 4                     ? 4
                                  : VL,
    CACHE = 512 * 1024 / sizeof(real),
    BLOCK = 64 / VL > 1 ? 64 / VL : 1 /* groups of channels, and of rows, of a block */
};

typedef struct {
    winograd_images x, dy;
    int64_t tiles;
    real *dweight; /* (rows, channels, taps, taps) */
    real *dbias;   /* (rows) or NULL */
} weight_gradient;

/* Entry (1, 1) of a gradient tile is the sum of its pixels. */
static vec sum_tiles(const weight_gradient *g, int64_t tiles, const winograd_domain *dy,
                     int64_t row_group) {
    const int64_t entry = WINOGRAD[g->dy.form].points + 1;
    const real *const at = dy->data + entry * dy->entry + row_group * dy->group;
    vec sum = vzero();
    for (int64_t t = 0; t < tiles; t++)
        sum += vload(at + t * VL);
    return sum;
}

/* sums (channels, pitch) = x (tiles, VL) transposed times dy (vectors, tiles, VL) of one entry, or
 * added to what is there; one group of channels. */
VINLINE void multiply_vectors(int vectors, int64_t tiles, const real *x, const real *dy,
                              int64_t dy_group, bool more, real *sums, int64_t pitch) {
    for (int i = 0; i < VL; i += STEP) {
        tile t;
        clear(STEP, vectors, &t);
        for (int k = 0; more && k < STEP; k++) /* all tiles are multiplied meanwhile */
            for (int v = 0; v < vectors; v++)
                __builtin_prefetch(sums + (i + k) * pitch + v * VL, 1);
        if (vectors == NV)
            accumulate_turns(STEP, tiles, x + i, 1, VL, dy, VL, dy_group, NULL, 0, &t);
        else
            accumulate(STEP, vectors, tiles, x + i, 1, VL, 0, dy, VL, dy_group, &t);
        NNF_EACH (k, STEP)
            NNF_EACH (v, vectors) {
                real *const to = sums + (i + k) * pitch + v * VL;
                vstore(to, more ? vload(to) + t.sum[k][v] : t.sum[k][v]);
            }
    }
}

/* sums (36, channels, rows) with `entry` reals from entry to entry: of `channels` groups from
 * `channel` on and `rows` groups from `row`. An entry of the kernels that meets several of tiles is
 * begun by the first. */
static void multiply_groups(winograd_form form, int64_t tiles, const winograd_domain *x,
                            int64_t channel, int64_t channels, const winograd_domain *dy,
                            int64_t row, int64_t rows, bool more, real *sums, int64_t entry) {
    const int points = WINOGRAD[form].points;
    for (int e = 0; e < entries_of(form); e++) {
        const int of = kernel_entry(form, e);
        const bool begun = more || e / points >= KERNEL_POINTS || e % points >= KERNEL_POINTS;
        for (int64_t q = 0; q < rows; q += NV)
            for (int64_t c = 0; c < channels; c++) {
                const real *const a = x->data + e * x->entry + (channel + c) * x->group;
                const real *const b = dy->data + e * dy->entry + (row + q) * dy->group;
                real *const to = sums + of * entry + (c * VL * rows + q) * VL;
                if (rows - q >= NV)
                    multiply_vectors(NV, tiles, a, b, dy->group, begun, to, rows * VL);
                else
                    for (int64_t v = 0; v < rows - q; v++)
                        multiply_vectors(1, tiles, a, b + v * dy->group, 0, begun, to + v * VL,
                                         rows * VL);
            }
    }
}

/* tap[t] (VL) to element t of the kernels, of `taps` elements, of `rows` <= VL rows. */
static void store_kernels(int taps, const vec *tap, int64_t rows, real *kernel,
                          int64_t row_stride) {
    int t = 0;
    for (; t == 0 || taps - t >= VL / 2; t += VL) {
        vec block[VL];
        for (int i = 0; i < VL; i++)
            block[i] = t + i < taps ? tap[t + i] : vzero();
        vtranspose(block);
        for (int64_t i = 0; i < rows; i++)
            vstore_upto(kernel + i * row_stride + t, block[i], taps - t);
    }
    for (; t < taps; t++)
        for (int64_t i = 0; i < rows; i++)
            kernel[i * row_stride + t] = tap[t][i];
}

/* Transforms the sums (VL) of one channel and VL rows back, of `parts` parts (36, entry) each. */
static void transform_back(const weight_gradient *g, const real *sums, int64_t entry, int64_t parts,
                           int64_t channel, int64_t row) {
    const int side = WINOGRAD[g->x.form].taps, taps = side * side;
    vec sum[KERNEL_ENTRIES], kernel[MOST_TAPS];
    EACH_OF_TILE (e, KERNEL_ENTRIES) {
        sum[e] = vload(sums + e * entry);
        for (int64_t part = 1; part < parts; part++)
            sum[e] += vload(sums + (part * KERNEL_ENTRIES + e) * entry);
    }
    if (g->x.form == F4_3)
        weight3_transposed_2d(sum, kernel);
    else if (g->x.form == F2_5)
        weight5_transposed_2d(sum, kernel);
    else
        by2_weight_transposed_2d(sum, kernel);
    store_kernels(taps, kernel, MIN(VL, g->dy.channels - row),
                  g->dweight + (row * g->x.channels + channel) * taps, g->x.channels * taps);
}

static int64_t channel_groups(const weight_gradient *g) { return groups_of(g->x.channels); }
static int64_t row_groups(const weight_gradient *g) { return groups_of(g->dy.channels); }
static int64_t sums_entry(int64_t channel_groups, int64_t row_groups) {
    return odd_lines(channel_groups * row_groups * VL * VL);
}
static int64_t sums_size(const weight_gradient *g) {
    return KERNEL_ENTRIES * sums_entry(channel_groups(g), row_groups(g));
}

static double multiply_work(const weight_gradient *g) {
    return 0.6 / 36 * (double)(entries_of(g->x.form) * g->tiles) *
           (double)(g->x.channels * g->dy.channels);
}

/* Tiles [begin, end) in blocks that stay in the cache. */
static int sum_part(const weight_gradient *g, int64_t begin, int64_t end, int64_t block, real *sums,
                    real *bias_sums) {
    winograd_domain x = winograd_shape(g->x.channels, block);
    winograd_domain dy = winograd_shape(g->dy.channels, block);
    real *const band = alloc_reals(MAX(winograd_band_size(&g->x), winograd_band_size(&g->dy)));
    x.data = alloc_reals(entries_of(g->x.form) * x.entry);
    dy.data = alloc_reals(entries_of(g->x.form) * dy.entry);
    const bool ready = band && x.data && dy.data;
    for (int64_t first = begin; ready && first < end; first += block) {
        const int64_t tiles = MIN(block, end - first);
        for (int64_t c = 0; c < channel_groups(g); c++)
            FN(winograd_image_tiles)(&g->x, first, tiles, c, &x, band);
        for (int64_t r = 0; r < row_groups(g); r++) {
            real *const bias = bias_sums + r * VL;
            FN(winograd_gradient_tiles)(&g->dy, first, tiles, r, &dy, band);
            vstore(bias, sum_tiles(g, tiles, &dy, r) + (first > begin ? vload(bias) : vzero()));
        }
        multiply_groups(g->x.form, tiles, &x, 0, channel_groups(g), &dy, 0, row_groups(g),
                        first > begin, sums, sums_entry(channel_groups(g), row_groups(g)));
    }
    nnf_free(band);
    nnf_free(x.data);
    nnf_free(dy.data);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* Parts for many threads, a power of two; but of enough tiles that adding them up is little work,
 * and small against the cache they share. */
static int64_t choose_parts(const weight_gradient *g) {
    const int64_t memory = ((int64_t)16 << 20) / (int64_t)sizeof(real);
    int64_t parts = 16;
    while (parts > 2 && (parts * 96 > g->tiles || parts * sums_size(g) > memory))
        parts /= 2;
    return MIN(parts, g->tiles);
}

static int run_by_parts(const weight_gradient *g) {
    const int64_t parts = choose_parts(g), size = sums_size(g), rows = row_groups(g);
    const int64_t lanes = (channel_groups(g) + rows) * VL;
    /* Of sums that go through the cache with every block, blocks are larger. */
    const int64_t least = size > 2 * CACHE ? 64 : 32;
    const int64_t fit = CACHE / (entries_of(g->x.form) * lanes);
    const int64_t block = MIN(MAX(fit, least), ceil_div(g->tiles, parts));
    real *const sums = alloc_reals(parts * (size + rows * VL));
    if (!sums)
        return NNF_NO_MEMORY;
    real *const bias_sums = sums + parts * size;
    atomic_int failed = 0;
    PARALLEL_FOR(part, parts, multiply_work(g), {
        if (sum_part(g, part * g->tiles / parts, (part + 1) * g->tiles / parts, block,
                     sums + part * size, bias_sums + part * rows * VL) != NNF_OK)
            failed = 1;
    });
    PARALLEL_FOR(c, g->x.channels, 30.0 * (double)(parts * g->x.channels * rows), {
        for (int64_t r = 0; r < rows; r++)
            transform_back(g, sums + (c * rows + r) * VL, size / KERNEL_ENTRIES, parts, c, r * VL);
    });
    for (int64_t r = 0; g->dbias && r < g->dy.channels; r++) {
        g->dbias[r] = 0;
        for (int64_t part = 0; part < parts; part++)
            g->dbias[r] += bias_sums[part * rows * VL + r];
    }
    nnf_free(sums);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* All tiles of group i of x or, after those, of dy. */
static int transform_group(const weight_gradient *g, int64_t i, const winograd_domain *x,
                           const winograd_domain *dy) {
    real *const band = alloc_reals(MAX(winograd_band_size(&g->x), winograd_band_size(&g->dy)));
    if (!band)
        return NNF_NO_MEMORY;
    const int64_t r = i - channel_groups(g);
    if (r < 0)
        FN(winograd_image_tiles)(&g->x, 0, g->tiles, i, x, band);
    else
        FN(winograd_gradient_tiles)(&g->dy, 0, g->tiles, r, dy, band);
    if (r >= 0 && g->dbias)
        vstore_upto(g->dbias + r * VL, sum_tiles(g, g->tiles, dy, r), g->dy.channels - r * VL);
    nnf_free(band);
    return NNF_OK;
}

/* One block of channels and rows. */
static int sum_block(const weight_gradient *g, const winograd_domain *x, const winograd_domain *dy,
                     int64_t channel, int64_t row) {
    const int64_t channels = MIN(BLOCK, channel_groups(g) - channel);
    const int64_t rows = MIN(BLOCK, row_groups(g) - row), entry = sums_entry(channels, rows);
    real *const sums = alloc_reals(KERNEL_ENTRIES * entry);
    if (!sums)
        return NNF_NO_MEMORY;
    multiply_groups(g->x.form, g->tiles, x, channel, channels, dy, row, rows, false, sums, entry);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < MIN(channels * VL, g->x.channels - channel * VL); c++)
            transform_back(g, sums + (c * rows + r) * VL, entry, 1, channel * VL + c,
                           (row + r) * VL);
    nnf_free(sums);
    return NNF_OK;
}

static int run_by_blocks(const weight_gradient *g, winograd_domain x, winograd_domain dy) {
    const int64_t channels = channel_groups(g), rows = row_groups(g);
    x.data = alloc_reals(entries_of(g->x.form) * x.entry);
    dy.data = alloc_reals(entries_of(g->x.form) * dy.entry);
    atomic_int failed = !x.data || !dy.data;
    if (!failed)
        PARALLEL_FOR(i, channels + rows, 30.0 * (double)((channels + rows) * g->tiles), {
            if (transform_group(g, i, &x, &dy) != NNF_OK)
                failed = 1;
        });
    const int64_t blocks = ceil_div(rows, BLOCK);
    if (!failed)
        PARALLEL_FOR(i, ceil_div(channels, BLOCK) * blocks, multiply_work(g), {
            if (sum_block(g, &x, &dy, i / blocks * BLOCK, i % blocks * BLOCK) != NNF_OK)
                failed = 1;
        });
    nnf_free(x.data);
    nnf_free(dy.data);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* By blocks where the sums outgrow the cache and the transformed tiles do not. */
static int run(const weight_gradient *g) {
    const winograd_domain x = winograd_shape(g->x.channels, g->tiles);
    const winograd_domain dy = winograd_shape(g->dy.channels, g->tiles);
    const int64_t shared = ((int64_t)24 << 20) / (int64_t)sizeof(real);
    if (sums_size(g) > 2 * CACHE && entries_of(g->x.form) * (x.entry + dy.entry) <= shared)
        return run_by_blocks(g, x, dy);
    return run_by_parts(g);
}

int FN(winograd_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                 real *dbias) {
    const int64_t channels = d->c / d->groups, rows = d->k / d->groups;
    const winograd_form form = winograd_form_of(d);
    const int64_t size = WINOGRAD[form].outputs;
    const int64_t tiles_h = ceil_div(d->oh, size), tiles_w = ceil_div(d->ow, size);
    int status = NNF_OK;
    for (int64_t group = 0; group < d->groups && status == NNF_OK; group++) {
        const weight_gradient g = {
            .x = {.form = form,
                  .images = d->n,
                  .channels = channels,
                  .height = d->h,
                  .width = d->w,
                  .pad_h = d->pad_h,
                  .pad_w = d->pad_w,
                  .tiles_h = tiles_h,
                  .tiles_w = tiles_w,
                  .image_stride = d->c * d->h * d->w,
                  .data = x + group * channels * d->h * d->w},
            .dy = {.form = form,
                   .images = d->n,
                   .channels = rows,
                   .height = d->oh,
                   .width = d->ow,
                   .tiles_h = tiles_h,
                   .tiles_w = tiles_w,
                   .image_stride = d->k * d->oh * d->ow,
                   .data = dy + group * rows * d->oh * d->ow},
            .tiles = d->n * tiles_h * tiles_w,
            .dweight = dweight + group * rows * channels * d->kh * d->kw,
            .dbias = dbias ? dbias + group * rows : NULL,
        };
        status = run(&g);
    }
    return status;
}
