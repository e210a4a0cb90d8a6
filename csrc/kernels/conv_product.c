/* conv_product.c: weights times gathered images (see conv_product.h).
 *
 * Columns are the pixels of a few images, or of a part of one. A task is a block of columns and one
 * of rows. Depths are taken in chunks of channels: pixels packed (vectors, chunk's channels * taps,
 * VL) meet the weights of all rows of the block. Columns of one task are packed chunk by chunk by
 * that task; those that several tasks share, because there are too few for all threads, before.
 */
#include "conv_product.h"

#include <stdatomic.h>

#include "elementwise.h"

enum {
    /* Reals of a block of pixels that are copied from where they lie: with the next block, which is
     * fetched meanwhile, they stay in the L2 cache. */
    BLOCK = 128 * 1024 / sizeof(real),
    /* Columns are packed before if that saves packing so many reals, and they are no more than
     * these. */
    REPEATED = 65536,
    SHARED = 16 * 1024 * 1024 / sizeof(real),
    /* Chunks of few columns are deep, as weights are read in place: of so many reals that they stay
     * in the L2 cache, but so many chunks that threads can share the packing. */
    CHUNK = 256 * 1024 / sizeof(real),
    CHUNKS = 8,
    LEAST_ROWS = 4 * MR, /* of a task */
    /* Sums of images side by side, which are copied from there, stay in the L2 cache, if that does
     * not mean packing pixels again. */
    SUMS = 256 * 1024 / sizeof(real),
    MANY_WEIGHTS = 128 * 128
};

typedef struct {
    const conv_product *of;
    /* A task has `block_images` images or `block_pixels` pixels of one, and `block_rows`. */
    int64_t block_images, block_pixels, block_rows;
    bool side_by_side; /* a block's images, which otherwise begin at a vector each */
    int64_t image_tasks, pixel_tasks, row_tasks;
    int64_t chunk_channels, chunks;
    int64_t chunk_size; /* reals of a chunk of columns */
    real *shared;       /* (column blocks, chunks, chunk_size), all columns packed, or NULL */
    bool stream;
} blocking;

static int64_t column_blocks(const blocking *g) {
    return g->image_tasks * g->of->groups * g->pixel_tasks;
}

/* Whether gaps between images, of an eighth or more, cost more than packing pixels by rows and
 * copying sums. */
static bool side_by_side_pays(const conv_product *p, int64_t pixels) {
    const int64_t columns = round_up(pixels, VL);
    return p->from.direct && p->images > 1 && 2 * pixels <= NC &&
           8 * (columns - pixels) >= columns && p->rows * p->channels >= MANY_WEIGHTS;
}

static void choose_columns(blocking *g) {
    const conv_gather *const from = &g->of->from;
    const int64_t pixels = from->grid_h * from->grid_w;
    g->side_by_side = side_by_side_pays(g->of, pixels);
    const int64_t few = MAX(NC / 4, BLOCK / MAX(1, MIN(KC, g->of->channels)));
    const int64_t most = from->in_place && !g->side_by_side ? MIN(NC, few) : NC;
    const int64_t cuts = ceil_div(pixels, most);
    const int64_t row_tasks = g->side_by_side ? ceil_div(g->of->rows, LEAST_ROWS) : 1;
    g->block_pixels = g->side_by_side ? pixels : round_up(ceil_div(pixels, cuts), VL);
    g->pixel_tasks = ceil_div(pixels, g->block_pixels);
    g->block_images = g->pixel_tasks > 1 ? 1 : MAX(1, most / g->block_pixels);
    while (g->block_images > 1 && g->block_images * g->block_pixels > NR &&
           ceil_div(g->of->images, g->block_images) * g->of->groups * row_tasks < TASKS)
        g->block_images /= 2;
    if (g->side_by_side) /* blocks of one size, rather than a last one of an image */
        g->block_images = ceil_div(g->of->images, ceil_div(g->of->images, g->block_images));
    g->image_tasks = ceil_div(g->of->images, g->block_images);
}

/* Of the shapes alone, unlike the rows of a task: every chunk is summed by itself. */
static void choose_chunks(blocking *g) {
    const int64_t channels = g->of->channels, taps = g->of->from.taps;
    const int64_t columns = round_up(g->block_images * g->block_pixels, VL);
    const int64_t shallow = MIN(channels, KC / taps);
    const int64_t deep = MIN(channels / CHUNKS, CHUNK / (columns * taps));
    g->chunk_channels = MAX(1, MAX(shallow, deep));
    g->chunks = MAX(1, ceil_div(channels, g->chunk_channels)); /* an empty sum is a bias */
    g->chunk_size = g->chunk_channels * taps * columns + VL;   /* packing writes past the end */
}

/* Reals of all columns packed. */
static int64_t packed_size(const blocking *g) {
    return column_blocks(g) * g->chunks * g->chunk_size;
}

static void choose_rows(blocking *g) {
    const bool several = nnf_team(TASKS, product_work(g->of)) > 1;
    const bool copied = g->side_by_side && packed_size(g) <= SHARED;
    const int64_t columns = g->block_images * g->block_pixels;
    g->block_rows = g->of->rows;
    while (g->block_rows > LEAST_ROWS &&
           ((several && column_blocks(g) * ceil_div(g->of->rows, g->block_rows) < TASKS) ||
            (copied && g->block_rows * columns > SUMS)))
        g->block_rows = round_up(g->block_rows / 2, MR);
    g->row_tasks = ceil_div(g->of->rows, g->block_rows);
}

static bool sharing_pays(const blocking *g) {
    return (g->row_tasks - 1) * packed_size(g) >= REPEATED && packed_size(g) <= SHARED;
}

/* Writes sums (rows, pixels) of a dense grid, all of an image's, to its planes. */
static void copy_planes(const conv_product *of, const real *sums, int64_t sums_stride, int64_t rows,
                        real *result) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < of->plane; p += VL)
            vstore_upto(result + r * of->plane + p,
                        vload_upto(sums + r * sums_stride + p, of->plane - p), of->plane - p);
}

/* What a task works on: of a group of `images` images, some pixels and some rows. */
typedef struct {
    int64_t image, images, group, pixel, pixels, row, rows;
    int64_t columns; /* the number of this block of columns */
} block;

static block find_block(const blocking *g, int64_t index) {
    block b;
    b.row = index % g->row_tasks * g->block_rows;
    b.rows = MIN(g->block_rows, g->of->rows - b.row);
    b.columns = index /= g->row_tasks;
    b.pixel = index % g->pixel_tasks * g->block_pixels;
    b.pixels = MIN(g->block_pixels, g->of->from.grid_h * g->of->from.grid_w - b.pixel);
    index /= g->pixel_tasks;
    b.group = index % g->of->groups;
    b.image = index / g->of->groups * g->block_images;
    b.images = MIN(g->block_images, g->of->images - b.image);
    return b;
}

static int64_t channels_of(const blocking *g, int64_t chunk) {
    return MIN(g->chunk_channels, g->of->channels - chunk * g->chunk_channels);
}

/* The band of a block; of a source that needs none, nothing. */
static bool alloc_band(const blocking *g, const block *b, conv_band *band) {
    *band = (conv_band){0};
    return g->of->from.direct ||
           FN(conv_band_alloc)(&g->of->from, g->chunk_channels, b->pixels, band);
}

/* Packs a chunk of all images of a block: (vectors, chunk's channels * taps, VL). */
static void pack_chunk(const blocking *g, const block *b, int64_t chunk, conv_band *band,
                       real *packed) {
    const conv_product *const of = g->of;
    const conv_gather *const from = &of->from;
    const int64_t channels = channels_of(g, chunk), plane = from->height * from->width;
    const int64_t image = of->groups * of->channels * plane;
    const int64_t together = g->side_by_side ? b->images : 1, pixels = together * b->pixels;
    const real *const end = of->source + of->images * image;
    const real *source = of->source + b->image * image +
                         (b->group * of->channels + chunk * g->chunk_channels) * plane;
    for (int64_t i = 0; i < b->images; i += together, source += image) {
        if (from->in_place && !g->side_by_side) {
            FN(gemm_pack)(pixels, channels, channels, VL, source + b->pixel, 1, plane, packed);
        } else if (from->direct) {
            FN(conv_pack_direct)(from, source, image, end, channels, b->pixel, pixels, packed);
        } else {
            FN(conv_band_fill)(from, source, channels, b->pixel, pixels, band);
            for (int64_t p = 0; p < pixels; p += VL)
                FN(conv_pack_pixels)(from, band, channels, b->pixel + p, MIN(VL, pixels - p),
                                     packed + p * channels * from->taps);
        }
        packed += round_up(pixels, VL) * channels * from->taps;
    }
}

/* Result plane of row `row` of the block's group in its image i. */
static real *result_plane(const conv_product *of, const block *b, int64_t i) {
    return of->result + (((b->image + i) * of->groups + b->group) * of->rows + b->row) * of->plane;
}

/* The part of a vector of all rows that belongs to the block's; NULL stays NULL. */
static const real *of_rows(const real *vector, const blocking *g, const block *b) {
    return vector ? vector + b->group * g->of->rows + b->row : NULL;
}

/* What will be packed after a chunk of block `index`, where it is read in place. (Of several images
 * with more channels than a chunk has, not all of it: that costs time alone.) */
static gemm_next next_source(const blocking *g, int64_t index, int64_t chunk) {
    const conv_product *const of = g->of;
    const bool more = chunk + 1 < g->chunks;
    const int64_t tasks = column_blocks(g) * g->row_tasks;
    if (g->shared || !of->from.in_place || (!more && index + 1 == tasks))
        return (gemm_next){0};
    const block b = find_block(g, more ? index : index + 1);
    const int64_t plane = of->from.height * of->from.width;
    const int64_t first = more ? (chunk + 1) * g->chunk_channels : 0;
    const int64_t planes = (b.image * of->groups + b.group) * of->channels + first;
    return (gemm_next){.from = of->source + planes * plane + b.pixel,
                       .row = plane,
                       .rows = b.images * MIN(g->chunk_channels, of->channels - first),
                       .width = b.pixels};
}

static int run_block(const blocking *g, int64_t index) {
    const conv_product *const of = g->of;
    const block b = find_block(g, index);
    const int64_t taps = of->from.taps;
    const int64_t image_columns = g->side_by_side ? b.pixels : round_up(b.pixels, VL);
    const int64_t vectors = ceil_div(b.images * image_columns, VL), sums_stride = vectors * VL;
    const bool apart = !is_dense(of) || g->side_by_side;
    conv_band band = {0};
    const bool has_band = g->shared || alloc_band(g, &b, &band);
    real *const own = g->shared ? NULL : alloc_reals(g->chunk_size);
    real *const sums = apart ? alloc_reals(b.rows * sums_stride) : NULL;
    const bool ready = has_band && (own || g->shared) && (sums || !apart);
    gemm_column out[NC / VL];
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t i = v * VL / image_columns, p = v * VL % image_columns;
        out[v] = (gemm_column){
            .c = sums ? sums + v * VL : result_plane(of, &b, i) + b.pixel + p,
            .width = sums ? VL : MIN(VL, b.pixels - p),
        };
    }
    const real *const left = of->left + of->left_group * b.group + b.row / MR * of->weights.tile;
    for (int64_t chunk = 0; ready && chunk < g->chunks; chunk++) {
        const bool last = chunk + 1 == g->chunks;
        const gemm_finish f = {
            .accumulate = chunk > 0,
            .stream = g->stream,
            .row_scale = last ? of_rows(of->finish.scale, g, &b) : NULL,
            .row_bias = last ? of_rows(of->finish.bias, g, &b) : NULL,
            .act = last ? of->finish.act : NNF_LINEAR,
        };
        gemm_left weights = of->weights;
        weights.a = left + chunk * g->chunk_channels * taps * of->weights.depth;
        weights.k = channels_of(g, chunk) * taps;
        const real *packed = own;
        if (g->shared)
            packed = g->shared + (b.columns * g->chunks + chunk) * g->chunk_size;
        else
            pack_chunk(g, &b, chunk, &band, own);
        const gemm_right pixels = {.b = packed,
                                   .vector = weights.k * VL,
                                   .depth = VL,
                                   .next = next_source(g, index, chunk)};
        FN(gemm_block)(b.rows, &weights, &pixels, vectors, out, sums ? sums_stride : of->plane, &f);
    }
    for (int64_t i = 0; ready && apart && i < b.images; i++) {
        const real *const from = sums + i * image_columns;
        if (is_dense(of))
            copy_planes(of, from, sums_stride, b.rows, result_plane(of, &b, i));
        else
            FN(conv_scatter)(of, from, sums_stride, b.rows, b.pixel, b.pixels,
                             result_plane(of, &b, i));
    }
    FN(conv_band_free)(&band);
    nnf_free(own);
    nnf_free(sums);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* Chunk `index` of all column blocks' chunks. */
static int pack_shared(const blocking *g, int64_t index) {
    const block b = find_block(g, index / g->chunks * g->row_tasks);
    conv_band band;
    const bool ready = alloc_band(g, &b, &band);
    if (ready)
        pack_chunk(g, &b, index % g->chunks, &band, g->shared + index * g->chunk_size);
    FN(conv_band_free)(&band);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

int FN(conv_product_run)(const conv_product *p) {
    blocking g = {.of = p};
    choose_columns(&g);
    choose_chunks(&g);
    choose_rows(&g);
    g.stream = is_dense(p) && !g.side_by_side && p->plane % VL == 0 && g.chunks == 1 &&
               streams(p->images * p->groups * p->rows * p->plane, 0, p->result);
    atomic_int failed = 0;
    if (sharing_pays(&g)) {
        const int64_t chunks = column_blocks(&g) * g.chunks;
        g.shared = alloc_reals(chunks * g.chunk_size);
        if (!g.shared)
            return NNF_NO_MEMORY;
        PARALLEL_FOR(index, chunks, 0.3 * (double)(chunks * g.chunk_size), {
            if (pack_shared(&g, index) != NNF_OK)
                failed = 1;
        });
    }
    if (!failed)
        PARALLEL_FOR(index, column_blocks(&g) * g.row_tasks, product_work(p), {
            if (run_block(&g, index) != NNF_OK)
                failed = 1;
        });
    nnf_free(g.shared);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
