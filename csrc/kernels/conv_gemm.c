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

/* rows x (channels x taps) matrices, one per group, times gathered source images. */
typedef struct {
    conv_gather from;
    int64_t images, groups;
    int64_t rows, channels; /* of a group, in the result and in the source */
    const real *source;     /* (images, groups * channels, height, width) */
    real *result;           /* (images, groups * rows, plane) */
    int64_t plane;
    /* Grid pixel (i, j) is result[(a + i * step_h) * result_width + b + j * step_w]. */
    int64_t offset, step_h, step_w, result_width;
    const real *bias; /* (groups * rows) or NULL */
    nnf_activation act;
    real *packed; /* weights: (groups, panels, channels * taps, MR) */
    int64_t group_stride;
    /* Blocking: a task has `block_images` images or `block_pixels` pixels of one, and block_rows.
     */
    int64_t block_images, block_pixels, block_rows, block_channels;
    int64_t image_tasks, pixel_tasks, row_tasks;
} gathered_product;

static bool is_dense(const gathered_product *g) { return g->step_h == 1 && g->step_w == 1; }

static void choose_blocks(gathered_product *g) {
    const int64_t pixels = g->from.grid_h * g->from.grid_w;
    const int64_t cuts = ceil_div(pixels, NC);
    g->block_pixels = round_up(ceil_div(pixels, cuts), NR);
    g->pixel_tasks = ceil_div(pixels, g->block_pixels);
    g->block_images = g->pixel_tasks > 1 ? 1 : MAX(1, NC / g->block_pixels);
    while (g->block_images > 1 && ceil_div(g->images, g->block_images) * g->groups < 24)
        g->block_images /= 2;
    g->image_tasks = ceil_div(g->images, g->block_images);
    g->block_rows = g->rows;
    while (g->block_rows > 4 * MR &&
           g->image_tasks * g->pixel_tasks * g->groups * ceil_div(g->rows, g->block_rows) < 24)
        g->block_rows = round_up(g->block_rows / 2, MR);
    g->row_tasks = ceil_div(g->rows, g->block_rows);
    g->block_channels = MAX(1, MIN(g->channels, KC / g->from.taps));
}

/* Writes rows x pixels sums of a strided grid where they belong in one image's result planes. */
static void scatter(const gathered_product *g, const real *sums, int64_t sums_stride, int64_t rows,
                    int64_t pixel, int64_t pixels, real *result) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < pixels; p++) {
            const int64_t i = (pixel + p) / g->from.grid_w, j = (pixel + p) % g->from.grid_w;
            result[r * g->plane + g->offset + i * g->step_h * g->result_width + j * g->step_w] =
                sums[r * sums_stride + p];
        }
}

/* What a task works on. */
typedef struct {
    int64_t image, images, group, pixel, pixels, row, rows;
    int64_t image_panels; /* panels of an image */
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
    b.image_panels = ceil_div(b.pixels, NR);
    return b;
}

/* Packs channels [c, c + channels) of all images of a block: (panels, channels * taps, NR). */
static void pack_images(const gathered_product *g, const block *b, int64_t c, int64_t channels,
                        real *band_data, real *packed) {
    const int64_t source_plane = g->from.height * g->from.width;
    conv_band band = {.data = band_data};
    for (int64_t i = 0; i < b->images; i++) {
        const int64_t plane = ((b->image + i) * g->groups + b->group) * g->channels + c;
        FN(conv_band_fill)(&g->from, g->source + plane * source_plane, channels, b->pixel,
                           b->pixels, &band);
        for (int64_t p = 0; p < b->pixels; p += NR) {
            FN(conv_pack_pixels)(&g->from, &band, channels, b->pixel + p, MIN(NR, b->pixels - p),
                                 packed);
            packed += channels * g->from.taps * NR;
        }
    }
}

/* Result plane of row `row` of the block's group in its image i. */
static real *result_plane(const gathered_product *g, const block *b, int64_t i) {
    return g->result + (((b->image + i) * g->groups + b->group) * g->rows + b->row) * g->plane;
}

static int run_block(const gathered_product *g, int64_t index) {
    const block b = find_block(g, index);
    const int64_t panels = b.images * b.image_panels, depth = g->channels * g->from.taps;
    const int64_t sums_stride = panels * NR;
    real *const band = alloc_reals(FN(conv_band_size)(&g->from, g->block_channels, b.pixels));
    real *const packed = alloc_reals((g->block_channels * g->from.taps * panels + 1) * NR);
    real *const sums = is_dense(g) ? NULL : alloc_reals(b.rows * sums_stride);
    const bool ready = band && packed && (sums || is_dense(g));
    gemm_panel out[NC / NR];
    for (int64_t q = 0; q < panels; q++) {
        const int64_t p = q % b.image_panels * NR;
        out[q].c = sums ? sums + q * NR : result_plane(g, &b, q / b.image_panels) + b.pixel + p;
        out[q].width = MIN(NR, b.pixels - p);
        out[q].col_bias = NULL;
    }
    const real *weights = g->packed + g->group_stride * b.group + b.row * depth;
    /* At least once: an empty sum is zero, plus bias. */
    for (int64_t c = 0; ready && (c == 0 || c < g->channels); c += g->block_channels) {
        const int64_t channels = MIN(g->block_channels, g->channels - c);
        const int64_t k = channels * g->from.taps;
        const bool last = c + channels == g->channels;
        const gemm_finish f = {
            .accumulate = c > 0,
            .row_bias = last && g->bias ? g->bias + b.group * g->rows + b.row : NULL,
            .act = last ? g->act : NNF_LINEAR,
        };
        pack_images(g, &b, c, channels, band, packed);
        FN(gemm_block)(b.rows, k, weights + c * g->from.taps * MR, depth * MR, packed, k * NR,
                       panels, out, sums ? sums_stride : g->plane, &f);
    }
    for (int64_t i = 0; ready && sums && i < b.images; i++)
        scatter(g, sums + i * b.image_panels * NR, sums_stride, b.rows, b.pixel, b.pixels,
                result_plane(g, &b, i));
    nnf_free(band);
    nnf_free(packed);
    nnf_free(sums);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* Weights of a group: element (row, channel, tap) is weight[row * row_stride + channel *
 * channel_stride + tap_index[tap]]. */
static int run_gathered(gathered_product *g, const real *weight, int64_t weight_group,
                        int64_t row_stride, int64_t channel_stride, const int64_t *tap_index) {
    const int64_t taps = g->from.taps, depth = g->channels * taps;
    FN(conv_gather_bounds)(&g->from);
    choose_blocks(g);
    g->group_stride = round_up(g->rows, MR) * depth;
    g->packed = alloc_reals(g->groups * g->group_stride);
    if (!g->packed)
        return NNF_NO_MEMORY;
    const int64_t panels = ceil_div(g->rows, MR);
    PARALLEL_FOR(q, g->groups * panels, 1.0 * (double)(g->groups * g->group_stride), {
        const int64_t row = q % panels * MR;
        const real *const from = weight + q / panels * weight_group;
        real *to = g->packed + q / panels * g->group_stride + row * depth;
        for (int64_t c = 0; c < g->channels; c++)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t i = row; i < row + MR; i++)
                    *to++ =
                        i < g->rows ? from[i * row_stride + c * channel_stride + tap_index[t]] : 0;
    });
    const int64_t tasks = g->image_tasks * g->groups * g->pixel_tasks * g->row_tasks;
    const double pixels = (double)(g->images * g->groups * g->from.grid_h * g->from.grid_w);
    atomic_int failed = 0;
    PARALLEL_FOR(index, tasks, 0.03 * pixels * (double)(g->rows * depth), {
        if (run_block(g, index) != NNF_OK)
            failed = 1;
    });
    nnf_free(g->packed);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

int FN(conv_gemm_forward)(const nnf_conv *d, const real *x, const real *weight, const real *bias,
                          nnf_activation act, real *y) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups, rows = d->k / d->groups;
    int64_t *const table = nnf_alloc((size_t)taps * 3 * sizeof(int64_t));
    if (!table)
        return NNF_NO_MEMORY;
    int64_t *const tap_h = table, *const tap_w = table + taps, *const tap_index = table + 2 * taps;
    for (int64_t t = 0; t < taps; t++) {
        tap_h[t] = t / d->kw * d->dilation_h - d->pad_h;
        tap_w[t] = t % d->kw * d->dilation_w - d->pad_w;
        tap_index[t] = t;
    }
    gathered_product g = {
        .from = {.height = d->h,
                 .width = d->w,
                 .grid_h = d->oh,
                 .grid_w = d->ow,
                 .stride_h = d->stride_h,
                 .stride_w = d->stride_w,
                 .taps = taps,
                 .tap_h = tap_h,
                 .tap_w = tap_w},
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
        .bias = bias,
        .act = act,
    };
    const int status =
        run_gathered(&g, weight, rows * channels * taps, channels * taps, taps, tap_index);
    nnf_free(table);
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

int FN(conv_gemm_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups, rows = d->k / d->groups;
    int64_t *const table = nnf_alloc((size_t)taps * 3 * sizeof(int64_t));
    if (!table)
        return NNF_NO_MEMORY;
    int status = NNF_OK;
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
            };
            g.from.taps = phase_taps(d, a, b, table, table + taps, table + 2 * taps);
            if (g.from.taps > 0) {
                status = run_gathered(&g, weight, rows * channels * taps, taps, channels * taps,
                                      table + 2 * taps);
                continue;
            }
            for (int64_t plane = 0; plane < d->n * d->c; plane++) /* no tap reaches these pixels */
                for (int64_t i = a; i < d->h; i += d->stride_h)
                    for (int64_t j = b; j < d->w; j += d->stride_w)
                        dx[(plane * d->h + i) * d->w + j] = 0;
        }
    nnf_free(table);
    return status;
}
