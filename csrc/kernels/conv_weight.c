/* conv_weight.c: weight gradient of a convolution as implicit GEMM.
 *
 * dweight (k, c/groups x kh x kw) = dy (k, n x oh x ow) times the gathered x, transposed
 * (n x oh x ow, c/groups x taps). The sum over images is cut into parts whose number depends on the
 * shapes alone; each part is summed by one thread, in order, and the parts are added in order.
 */
#include <stdatomic.h>

#include "conv.h"

#include "conv_gather.h"

typedef struct {
    const nnf_conv *d;
    conv_gather from;
    const real *dy, *x;
    int64_t rows, channels, entries; /* of a group; entries = channels x taps */
    int64_t row_tasks, entry_tasks, parts;
    real *partial; /* (parts, k, entries) */
} weight_gradient;

enum { ROW_BLOCK = 2 * MC, MAX_PARTS = 16 };

static int run_task(const weight_gradient *g, int64_t index) {
    const nnf_conv *const d = g->d;
    const int64_t entry = index % g->entry_tasks * NC;
    const int64_t entries = MIN(NC, g->entries - entry);
    index /= g->entry_tasks;
    const int64_t row = index % g->row_tasks * ROW_BLOCK;
    const int64_t rows = MIN(ROW_BLOCK, g->rows - row);
    index /= g->row_tasks;
    const int64_t group = index % d->groups, part = index / d->groups;

    const int64_t channel = entry / g->from.taps;
    const int64_t channels = (entry + entries - 1) / g->from.taps - channel + 1;
    const int64_t pixels = d->oh * d->ow, vectors = ceil_div(entries, VL);
    const int64_t together = MAX(1, KC / pixels), k = together * MIN(KC, pixels);
    const int64_t pitch = (k + VL) * VL; /* from vector to vector: packing writes VL depths more */
    conv_band band;
    const bool has_band = FN(conv_band_alloc)(&g->from, channels, MIN(KC, pixels), &band);
    real *const b = alloc_reals(vectors * pitch);
    gemm_part *const part_dy = nnf_alloc((size_t)together * sizeof *part_dy);
    const bool ready = has_band && b && part_dy;

    gemm_column out[NC / VL];
    for (int64_t v = 0; v < vectors; v++)
        out[v] = (gemm_column){
            .c = g->partial + ((part * d->k + group * g->rows + row) * g->entries) + entry + v * VL,
            .width = MIN(VL, entries - v * VL),
        };
    gemm_finish f = {.accumulate = false, .act = NNF_LINEAR};
    const int64_t last = (part + 1) * d->n / g->parts;
    for (int64_t first = part * d->n / g->parts; ready && first < last; first += together)
        for (int64_t pixel = 0; pixel < pixels; pixel += KC) {
            const int64_t depth = MIN(KC, pixels - pixel), images = MIN(together, last - first);
            for (int64_t i = 0; i < images; i++) {
                const int64_t plane = (first + i) * d->groups + group;
                FN(conv_band_fill)(&g->from, g->x + (plane * g->channels + channel) * d->h * d->w,
                                   channels, pixel, depth, &band);
                for (int64_t v = 0; v < vectors; v++)
                    FN(conv_pack_taps)(&g->from, &band, entry + v * VL - channel * g->from.taps,
                                       out[v].width, pixel, depth, b + v * pitch + i * depth * VL);
                part_dy[i] = (gemm_part){g->dy + (plane * g->rows + row) * pixels + pixel, depth};
            }
            const gemm_left dy = {
                .tile = MR * pixels, .row = pixels, .depth = 1, .parts = images, .part = part_dy};
            const gemm_right x = {b, pitch, VL};
            FN(gemm_block)(rows, &dy, &x, vectors, out, g->entries, &f);
            f.accumulate = true;
        }
    FN(conv_band_free)(&band);
    nnf_free(b);
    nnf_free(part_dy);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* dweight[i] = sum of the parts' element i, in order. */
static void add_parts(const real *partial, int64_t parts, int64_t count, int64_t begin, int64_t end,
                      real *dweight) {
    for (int64_t i = begin; i < end; i++)
        dweight[i] = partial[i];
    for (int64_t part = 1; part < parts; part++)
        for (int64_t i = begin; i < end; i++)
            dweight[i] += partial[part * count + i];
}

int FN(conv_gemm_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups;
    const int64_t count = d->k * channels * taps;
    int64_t *const table = nnf_alloc((size_t)taps * 2 * sizeof(int64_t));
    if (!table)
        return NNF_NO_MEMORY;
    for (int64_t t = 0; t < taps; t++) {
        table[t] = t / d->kw * d->dilation_h - d->pad_h;
        table[taps + t] = t % d->kw * d->dilation_w - d->pad_w;
    }
    weight_gradient g = {
        .d = d,
        .from = {.height = d->h,
                 .width = d->w,
                 .grid_h = d->oh,
                 .grid_w = d->ow,
                 .stride_h = d->stride_h,
                 .stride_w = d->stride_w,
                 .taps = taps,
                 .tap_h = table,
                 .tap_w = table + taps},
        .dy = dy,
        .x = x,
        .rows = d->k / d->groups,
        .channels = channels,
        .entries = channels * taps,
    };
    FN(conv_gather_bounds)(&g.from);
    g.row_tasks = ceil_div(g.rows, ROW_BLOCK);
    g.entry_tasks = ceil_div(g.entries, NC);
    const int64_t tiles = g.row_tasks * g.entry_tasks * d->groups;
    g.parts = MAX(1, MIN(MIN(MAX_PARTS, d->n), ceil_div(2 * MAX_PARTS, tiles)));
    real *const scratch = g.parts > 1 ? alloc_reals(g.parts * count) : NULL;
    g.partial = g.parts > 1 ? scratch : dweight;
    atomic_int failed = g.partial == NULL;
    if (!failed)
        PARALLEL_FOR(index, g.parts * tiles, 0.03 * (double)count * (double)(d->n * d->oh * d->ow),
                     {
                         if (run_task(&g, index) != NNF_OK)
                             failed = 1;
                     });
    if (!failed && g.parts > 1)
        PARALLEL_RANGE(begin, end, count, 0.3 * (double)g.parts,
                       add_parts(g.partial, g.parts, count, begin, end, dweight));
    nnf_free(scratch);
    nnf_free(table);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
