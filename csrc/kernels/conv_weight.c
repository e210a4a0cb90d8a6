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
    const int64_t pixels = d->oh * d->ow, k = MIN(KC, pixels), panels = ceil_div(entries, NR);
    conv_band band = {.data = alloc_reals(FN(conv_band_size)(&g->from, channels, k))};
    real *const a = alloc_reals(round_up(rows, MR) * k);
    real *const b = alloc_reals((panels * k + VL) * NR);
    const bool ready = band.data && a && b;

    gemm_panel out[NC / NR];
    for (int64_t q = 0; q < panels; q++) {
        out[q].c =
            g->partial + ((part * d->k + group * g->rows + row) * g->entries) + entry + q * NR;
        out[q].width = MIN(NR, entries - q * NR);
        out[q].col_bias = NULL;
    }
    gemm_finish f = {.accumulate = false, .act = NNF_LINEAR};
    const int64_t last = (part + 1) * d->n / g->parts;
    for (int64_t image = part * d->n / g->parts; ready && image < last; image++)
        for (int64_t pixel = 0; pixel < pixels; pixel += KC) {
            const int64_t depth = MIN(KC, pixels - pixel);
            const int64_t source = (image * d->groups + group) * g->channels + channel;
            FN(conv_band_fill)(&g->from, g->x + source * d->h * d->w, channels, pixel, depth,
                               &band);
            for (int64_t q = 0; q < panels; q++)
                FN(conv_pack_taps)(&g->from, &band, entry + q * NR - channel * g->from.taps,
                                   out[q].width, pixel, depth, b + q * depth * NR);
            const int64_t dy_plane = (image * d->groups + group) * g->rows + row;
            FN(gemm_pack)(rows, depth, MR, g->dy + dy_plane * pixels + pixel, pixels, 1, a);
            FN(gemm_block)(rows, depth, a, depth * MR, b, depth * NR, panels, out, g->entries, &f);
            f.accumulate = true;
        }
    nnf_free(band.data);
    nnf_free(a);
    nnf_free(b);
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
