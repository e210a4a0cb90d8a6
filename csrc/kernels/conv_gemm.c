/* conv_gemm.c: forward and input gradient of a convolution as implicit GEMM.
 *
 * forward: weight (k, c/groups x kh x kw) times the gathered x (c/groups x taps, pixels of y).
 * input gradient: a stride-1 convolution of dy (n, k, oh, ow) with the turned weights for each of
 * the stride_h x stride_w phases of dx's pixels: phase (a, b) holds the pixels (a + stride_h i,
 * b + stride_w j) and sees only the taps that reach it, so no multiplication is by an inserted
 * zero.
 */
#include <stdatomic.h>

#include "conv.h"

#include "conv_gather.h"
#include "elementwise.h"

/* That so many pixels are multiplied with them repays the packing of weights. */
enum { MANY_PIXELS = 512 };
/* Reals of a block of pixels that are copied from where they lie: with the next block, which is
 * fetched meanwhile, they stay in the L2 cache. */
enum { BLOCK = 128 * 1024 / sizeof(real) };

/* rows x (channels x taps) matrices, one per group, times gathered source images. */
typedef struct {
    conv_gather from;
    int64_t images, groups;
    int64_t rows, channels; /* of a group, in the result and in the source */
    const real *source;     /* (images, groups * channels, height, width) */
    real *result;           /* (images, groups * rows, plane) */
    int64_t plane;
    /* Grid pixel (i, j) is result[(a + i * step_h) * result_width + b + j * step_w]. */
    int64_t offset, step_h, step_w, result_width, grid_w;
    conv_finish finish; /* vectors (groups * rows) */
    /* weights of a group: rows where they lie, or packed (row tiles, channels * taps, MR) */
    gemm_left weights;
    const real *left;
    int64_t left_group;
    /* Blocking: a task has `block_images` images or `block_pixels` pixels of one, and block_rows.
     */
    int64_t block_images, block_pixels, block_rows, block_channels;
    int64_t image_tasks, pixel_tasks, row_tasks;
    bool stream;
} gathered_product;

static bool is_dense(const gathered_product *g) { return g->step_h == 1 && g->step_w == 1; }

static void choose_blocks(gathered_product *g) {
    const int64_t pixels = g->from.grid_h * g->from.grid_w;
    const int64_t few = MAX(NC / 4, BLOCK / MAX(1, MIN(KC, g->channels)));
    const int64_t most = g->from.in_place ? MIN(NC, few) : NC;
    const int64_t cuts = ceil_div(pixels, most);
    g->block_pixels = round_up(ceil_div(pixels, cuts), VL);
    g->pixel_tasks = ceil_div(pixels, g->block_pixels);
    g->block_images = g->pixel_tasks > 1 ? 1 : MAX(1, most / g->block_pixels);
    g->block_rows = g->rows;
    /* For many threads, blocks of fewer images, down to a tile; then, as each packs its images
     * again, of fewer rows. */
    while (g->block_images > 1 && g->block_images * g->block_pixels > NR &&
           ceil_div(g->images, g->block_images) * g->groups < 16)
        g->block_images /= 2;
    g->image_tasks = ceil_div(g->images, g->block_images);
    while (g->block_rows > 4 * MR &&
           g->image_tasks * g->pixel_tasks * g->groups * ceil_div(g->rows, g->block_rows) < 16)
        g->block_rows = round_up(g->block_rows / 2, MR);
    g->row_tasks = ceil_div(g->rows, g->block_rows);
    g->block_channels = MAX(1, MIN(g->channels, KC / g->from.taps));
}

/* row[2 i + odd] = from[i] for `count` reals. Even columns come first, with zeros between them. */
VINLINE void interleave(int odd, int64_t count, const real *from, int64_t width, real *row) {
    for (int64_t i = 0; i < count; i += VL) {
        const int64_t left = MIN(2 * (count - i), width - 2 * i);
        real *const low = row + 2 * i;
        vec even = vload_upto(from + i, count - i), other = vzero();
        if (odd) {
            const vec a = vload_upto(low, left);
            const vec b = vload_within(low + VL, left - VL);
            other = even;
            even = vunmix(veven_mixed(a, b));
        }
        vstore_zipped(low, even, other, left);
    }
}

/* Writes rows x pixels sums of a strided grid where they belong in one image's result planes. */
static void scatter(const gathered_product *g, const real *sums, int64_t sums_stride, int64_t rows,
                    int64_t pixel, int64_t pixels, real *result) {
    const int64_t width = g->result_width, first = g->offset % width;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0, length; p < pixels; p += length) {
            const int64_t i = (pixel + p) / g->grid_w, j = (pixel + p) % g->grid_w;
            const real *const from = sums + r * sums_stride + p;
            real *const row = result + r * g->plane + (g->offset / width + i * g->step_h) * width;
            const int64_t col = j * g->step_w;
            length = MIN(pixels - p, g->grid_w - j);
            const bool pairs = g->step_w == 2 && length >= VL;
            if (pairs && first == 0)
                interleave(0, length, from, width - col, row + col);
            else if (pairs)
                interleave(1, length, from, width - col, row + col);
            else
                for (int64_t k = 0; k < length; k++)
                    row[first + col + k * g->step_w] = from[k];
        }
}

/* What a task works on. */
typedef struct {
    int64_t image, images, group, pixel, pixels, row, rows;
    int64_t image_vectors; /* vectors of an image */
} block;

static block find_block(const gathered_product *g, int64_t index) {
    block b;
    b.row = index % g->row_tasks * g->block_rows;
    b.rows = MIN(g->block_rows, g->rows - b.row);
    index /= g->row_tasks;
    b.pixel = index % g->pixel_tasks * g->block_pixels;
    b.pixels = MIN(g->block_pixels, g->from.grid_h * g->from.grid_w - b.pixel);
    index /= g->pixel_tasks;
    b.group = index % g->groups;
    b.image = index / g->groups * g->block_images;
    b.images = MIN(g->block_images, g->images - b.image);
    b.image_vectors = ceil_div(b.pixels, VL);
    return b;
}

/* Packs channels [c, c + channels) of all images of a block: (vectors, channels * taps, VL). */
static void pack_images(const gathered_product *g, const block *b, int64_t c, int64_t channels,
                        conv_band *band, real *packed) {
    const int64_t source_plane = g->from.height * g->from.width;
    for (int64_t i = 0; i < b->images; i++) {
        const int64_t plane = ((b->image + i) * g->groups + b->group) * g->channels + c;
        const real *const source = g->source + plane * source_plane;
        if (g->from.in_place) {
            FN(gemm_pack)(b->pixels, channels, channels, VL, source + b->pixel, 1, source_plane,
                          packed);
            packed += b->image_vectors * channels * VL;
            continue;
        }
        FN(conv_band_fill)(&g->from, source, channels, b->pixel, b->pixels, band);
        for (int64_t p = 0; p < b->pixels; p += VL) {
            FN(conv_pack_pixels)(&g->from, band, channels, b->pixel + p, MIN(VL, b->pixels - p),
                                 packed);
            packed += channels * g->from.taps * VL;
        }
    }
}

/* Result plane of row `row` of the block's group in its image i. */
static real *result_plane(const gathered_product *g, const block *b, int64_t i) {
    return g->result + (((b->image + i) * g->groups + b->group) * g->rows + b->row) * g->plane;
}

/* The part of a vector of all rows that belongs to the block's; NULL stays NULL. */
static const real *of_rows(const real *vector, const gathered_product *g, const block *b) {
    return vector ? vector + b->group * g->rows + b->row : NULL;
}

/* What will be packed after block `index`, of channels from c on, where it is read in place. (Of
 * several images with more channels than a block has, not all of it: that costs time alone.) */
static gemm_next next_source(const gathered_product *g, int64_t index, int64_t c) {
    const bool more = c < g->channels;
    const int64_t tasks = g->image_tasks * g->groups * g->pixel_tasks * g->row_tasks;
    if (!g->from.in_place || (!more && index + 1 == tasks))
        return (gemm_next){0};
    const block b = find_block(g, more ? index : index + 1);
    const int64_t plane = g->from.height * g->from.width, first = more ? c : 0;
    const int64_t planes = (b.image * g->groups + b.group) * g->channels + first;
    return (gemm_next){.from = g->source + planes * plane + b.pixel,
                       .row = plane,
                       .rows = b.images * MIN(g->block_channels, g->channels - first),
                       .width = b.pixels};
}

static int run_block(const gathered_product *g, int64_t index) {
    const block b = find_block(g, index);
    const int64_t vectors = b.images * b.image_vectors, taps = g->from.taps;
    const int64_t sums_stride = vectors * VL;
    conv_band band;
    const bool has_band = FN(conv_band_alloc)(&g->from, g->block_channels, b.pixels, &band);
    real *const packed = alloc_reals((g->block_channels * taps * vectors + 1) * VL);
    real *const sums = is_dense(g) ? NULL : alloc_reals(b.rows * sums_stride);
    const bool ready = has_band && packed && (sums || is_dense(g));
    gemm_column out[NC / VL];
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t p = v % b.image_vectors * VL;
        out[v] = (gemm_column){
            .c = sums ? sums + v * VL : result_plane(g, &b, v / b.image_vectors) + b.pixel + p,
            .width = MIN(VL, b.pixels - p),
        };
    }
    const real *const left = g->left + g->left_group * b.group + b.row / MR * g->weights.tile;
    /* At least once: an empty sum is zero, plus bias. */
    for (int64_t c = 0; ready && (c == 0 || c < g->channels); c += g->block_channels) {
        const int64_t channels = MIN(g->block_channels, g->channels - c), k = channels * taps;
        const bool last = c + channels == g->channels;
        const gemm_finish f = {
            .accumulate = c > 0,
            .stream = g->stream,
            .row_scale = last ? of_rows(g->finish.scale, g, &b) : NULL,
            .row_bias = last ? of_rows(g->finish.bias, g, &b) : NULL,
            .act = last ? g->finish.act : NNF_LINEAR,
        };
        gemm_left weights = g->weights;
        weights.a = left + c * taps * g->weights.depth;
        weights.k = k;
        const gemm_right pixels = {.b = packed,
                                   .vector = k * VL,
                                   .depth = VL,
                                   .next = next_source(g, index, c + channels)};
        pack_images(g, &b, c, channels, &band, packed);
        FN(gemm_block)(b.rows, &weights, &pixels, vectors, out, sums ? sums_stride : g->plane, &f);
    }
    for (int64_t i = 0; ready && sums && i < b.images; i++)
        scatter(g, sums + i * b.image_vectors * VL, sums_stride, b.rows, b.pixel, b.pixels,
                result_plane(g, &b, i));
    FN(conv_band_free)(&band);
    nnf_free(packed);
    nnf_free(sums);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

static int run_gathered(gathered_product *g) {
    choose_blocks(g);
    g->stream = is_dense(g) && g->plane % VL == 0 && g->block_channels == g->channels &&
                streams(g->images * g->groups * g->rows * g->plane, 0, g->result);
    const int64_t tasks = g->image_tasks * g->groups * g->pixel_tasks * g->row_tasks;
    const double pixels = (double)(g->images * g->groups * g->from.grid_h * g->from.grid_w);
    atomic_int failed = 0;
    PARALLEL_FOR(index, tasks, 0.02 * pixels * (double)(g->rows * (g->channels * g->from.taps + 4)),
                 {
                     if (run_block(g, index) != NNF_OK)
                         failed = 1;
                 });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* The product with weights that are packed first: row r of group q has its depth c, t (channel and
 * tap) at weight[q * group + r * row + c * channel + t], or at tap_index[t] instead of t. */
static int run_packed(gathered_product *g, const real *weight, int64_t group, int64_t row,
                      int64_t channel, const int64_t *tap_index) {
    const int64_t depth = g->channels * g->from.taps, tiles = ceil_div(g->rows, MR);
    g->left_group = tiles * MR * depth;
    real *const packed = alloc_reals(g->groups * g->left_group);
    if (!packed)
        return NNF_NO_MEMORY;
    PARALLEL_FOR(q, g->groups * tiles, 0.5 * (double)(g->groups * g->left_group), {
        const int64_t first = q % tiles * MR, rows = MIN(MR, g->rows - first);
        const real *from = weight + q / tiles * group + first * row;
        real *to = packed + q * MR * depth;
        for (int64_t c = 0; c < g->channels; c++, from += channel)
            for (int64_t t = 0; t < g->from.taps; t++, to += MR) {
                const real *const column = from + (tap_index ? tap_index[t] : t);
                for (int64_t i = 0; i < MR; i++)
                    to[i] = i < rows ? column[i * row] : 0;
            }
    });
    g->left = packed;
    g->weights = (gemm_left){.tile = MR * depth, .row = 1, .depth = MR};
    const int status = run_gathered(g);
    nnf_free(packed);
    return status;
}

int FN(conv_gemm_forward)(const nnf_conv *d, const real *x, const real *weight,
                          const conv_finish *f, real *y) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups, rows = d->k / d->groups;
    gathered_product g = {
        .images = d->n,
        .groups = d->groups,
        .rows = rows,
        .channels = channels,
        .source = x,
        .result = y,
        .plane = d->oh * d->ow,
        .step_h = 1,
        .step_w = 1,
        .result_width = d->ow,
        .finish = *f,
        .weights = {.tile = MR * channels * taps, .row = channels * taps, .depth = 1},
        .left = weight,
        .left_group = rows * channels * taps,
    };
    if (!FN(conv_gather_windows)(d, &g.from))
        return NNF_NO_MEMORY;
    const bool many = PACKED_PAYS && d->n * d->oh * d->ow >= MANY_PIXELS && rows >= MR;
    const int status =
        many ? run_packed(&g, weight, g.left_group, g.weights.row, taps, NULL) : run_gathered(&g);
    FN(conv_gather_free_windows)(&g.from);
    return status;
}

/* The taps of phase (a, b): those whose distance to it is a multiple of the stride. */
static int64_t phase_taps(const nnf_conv *d, int64_t a, int64_t b, int64_t *tap_h, int64_t *tap_w,
                          int64_t *tap_index) {
    int64_t taps = 0;
    for (int64_t t = 0; t < d->kh * d->kw; t++) {
        const int64_t up = a + d->pad_h - t / d->kw * d->dilation_h;
        const int64_t left = b + d->pad_w - t % d->kw * d->dilation_w;
        if (up % d->stride_h == 0 && left % d->stride_w == 0) {
            tap_h[taps] = up / d->stride_h;
            tap_w[taps] = left / d->stride_w;
            tap_index[taps++] = t;
        }
    }
    return taps;
}

static bool every_phase_has_taps(const nnf_conv *d, int64_t *table) {
    const int64_t taps = d->kh * d->kw;
    for (int64_t a = 0; a < MIN(d->stride_h, d->h); a++)
        for (int64_t b = 0; b < MIN(d->stride_w, d->w); b++)
            if (phase_taps(d, a, b, table, table + taps, table + 2 * taps) == 0)
                return false;
    return true;
}

static void clear(int64_t n, real *x) {
    PARALLEL_RANGE(begin, end, n, 0.1, memset(x + begin, 0, (size_t)(end - begin) * sizeof *x));
}

int FN(conv_gemm_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups, rows = d->k / d->groups;
    int64_t *const table = nnf_alloc((size_t)taps * 3 * sizeof(int64_t));
    if (!table)
        return NNF_NO_MEMORY;
    int status = NNF_OK;
    if (!every_phase_has_taps(d, table))
        clear(d->n * d->c * d->h * d->w, dx);
    for (int64_t a = 0; a < MIN(d->stride_h, d->h); a++)
        for (int64_t b = 0; b < MIN(d->stride_w, d->w) && status == NNF_OK; b++) {
            gathered_product g = {
                .from = {.height = d->oh,
                         .width = d->ow,
                         .grid_h = ceil_div(d->h - a, d->stride_h),
                         .grid_w = ceil_div(d->w - b, d->stride_w),
                         .stride_h = 1,
                         .stride_w = 1,
                         .tap_h = table,
                         .tap_w = table + taps},
                .images = d->n,
                .groups = d->groups,
                .rows = channels,
                .channels = rows,
                .source = dy,
                .result = dx,
                .plane = d->h * d->w,
                .offset = a * d->w + b,
                .step_h = d->stride_h,
                .step_w = d->stride_w,
                .result_width = d->w,
                .grid_w = ceil_div(d->w - b, d->stride_w),
            };
            g.from.taps = phase_taps(d, a, b, table, table + taps, table + 2 * taps);
            if (g.from.taps == 0) /* no tap reaches these pixels */
                continue;
            FN(conv_gather_bounds)(&g.from);
            status = run_packed(&g, weight, channels * rows * taps, taps, channels * taps,
                                table + 2 * taps);
        }
    nnf_free(table);
    return status;
}
