/* conv_weight.c: weight gradient of a convolution as implicit GEMM.
 *
 * dweight (k, c/groups x kh x kw), transposed, is the gathered x (c/groups x taps, n x oh x ow)
 * times dy (k, n x oh x ow) transposed: of x, the larger one, pixels are copied as they lie, or
 * read in place, and only dy is turned. Where a 1 x 1 kernel has more rows than channels, x and dy
 * change places. The sum over images is cut into parts whose number depends on the shapes alone;
 * each part is summed by one thread, in order, and the parts are added in order.
 */
#include <stdatomic.h>

#include "conv.h"

#include "conv_gather.h"
#include "gemm_micro.h"

typedef struct {
    const nnf_conv *d;
    conv_gather from;
    const real *dy, *x;
    int64_t rows, channels, entries; /* of a group; entries = channels x taps */
    bool swapped;                    /* x, channels and entries are those of dy, and vice versa */
    int64_t block_channels;
    int64_t row_tasks, channel_tasks, parts;
    int64_t part_size;
    real *sums;      /* (parts, groups, entries, rows), part_size apart */
    real *bias_sums; /* (parts, k) or NULL */
} weight_gradient;

enum { ENTRIES = 288, MAX_PARTS = 16 };

/* What a task works on: some channels of x, some rows of dy. */
typedef struct {
    int64_t part, group, channel, channels, row, rows;
} block;

static block find_block(const weight_gradient *g, int64_t index) {
    block b;
    b.channel = index % g->channel_tasks * g->block_channels;
    b.channels = MIN(g->block_channels, g->channels - b.channel);
    index /= g->channel_tasks;
    b.row = index % g->row_tasks * NC;
    b.rows = MIN(NC, g->rows - b.row);
    index /= g->row_tasks;
    b.group = index % g->d->groups;
    b.part = index / g->d->groups;
    return b;
}

/* Scratch of a task: the band of an image, entries of x (entries, pitch) unless they are read in
 * place, dy turned (vectors, pitch, VL). */
typedef struct {
    conv_band band;
    int64_t pitch;
    real *x, *dy;
} scratch;

static bool alloc_scratch(const weight_gradient *g, const block *b, int64_t together, int64_t depth,
                          scratch *s) {
    s->pitch = together * depth + VL;
    const bool has_band = FN(conv_band_alloc)(&g->from, b->channels, depth, &s->band);
    const bool in_place = g->from.in_place && together == 1;
    s->x = in_place ? NULL : alloc_reals(b->channels * g->from.taps * s->pitch + VL);
    s->dy = alloc_reals(ceil_div(b->rows, VL) * s->pitch * VL);
    return has_band && (s->x || in_place) && s->dy;
}

static void free_scratch(scratch *s) {
    FN(conv_band_free)(&s->band);
    nnf_free(s->x);
    nnf_free(s->dy);
}

/* sums (rows) of the turned dy, or added to what is there. */
static void add_bias(const block *b, int64_t depth, const scratch *s, bool more, real *sums) {
    for (int64_t v = 0; v * VL < b->rows; v++) {
        vec sum = more ? vload_upto(sums + v * VL, b->rows - v * VL) : vzero();
        vec part[4] = {vzero(), vzero(), vzero(), vzero()};
        const real *const dy = s->dy + v * s->pitch * VL;
        int64_t p = 0;
        for (; p + 4 <= depth; p += 4)
            NNF_EACH (i, 4)
                part[i] += vload(dy + (p + i) * VL);
        for (; p < depth; p++)
            part[0] += vload(dy + p * VL);
        sum += (part[0] + part[1]) + (part[2] + part[3]);
        vstore_upto(sums + v * VL, sum, b->rows - v * VL);
    }
}

/* Small planes (count, pixels) to rows (count, pitch), whose ends may be written over by a vector:
 * the next image comes there. */
static void copy_planes(int64_t count, int64_t pixels, const real *x, int64_t pitch, real *rows) {
    for (int64_t c = 0; c < count; c++, x += pixels, rows += pitch)
        for (int64_t i = 0; i < pixels; i += VL)
            vstore(rows + i, vload_upto(x + i, pixels - i));
}

/* Adds pixels [pixel, pixel + depth) of images [first, first + images). */
static void add_images(const weight_gradient *g, const block *b, int64_t first, int64_t images,
                       int64_t pixel, int64_t depth, scratch *s, const gemm_column *out,
                       bool accumulate) {
    const nnf_conv *const d = g->d;
    const int64_t pixels = d->oh * d->ow, taps = g->from.taps, vectors = ceil_div(b->rows, VL);
    const real *x = NULL;
    for (int64_t i = 0; i < images; i++) {
        const int64_t plane = (first + i) * d->groups + b->group;
        x = g->x + (plane * g->channels + b->channel) * d->h * d->w;
        const real *const dy = g->dy + (plane * g->rows + b->row) * pixels + pixel;
        if (!g->from.in_place) {
            FN(conv_band_fill)(&g->from, x, b->channels, pixel, depth, &s->band);
            FN(conv_copy_entries)(&g->from, &s->band, 0, b->channels * taps, pixel, depth, s->pitch,
                                  s->x + i * depth);
        } else if (s->x) {
            copy_planes(b->channels, pixels, x, s->pitch, s->x + i * pixels);
        }
        FN(gemm_pack)(b->rows, depth, s->pitch, VL, dy, pixels, 1, s->dy + i * depth * VL);
    }
    if (g->bias_sums && b->channel == 0)
        add_bias(b, images * depth, s, accumulate,
                 g->bias_sums + b->part * d->k + b->group * g->rows + b->row);
    const int64_t row = s->x ? s->pitch : pixels;
    const gemm_left left = {.a = s->x ? s->x : x + pixel,
                            .k = images * depth,
                            .tile = MR * row,
                            .row = row,
                            .depth = 1};
    const gemm_right right = {.b = s->dy, .vector = s->pitch * VL, .depth = VL};
    const gemm_finish f = {.accumulate = accumulate, .act = NNF_LINEAR};
    FN(gemm_block)(b->channels * taps, &left, &right, vectors, out, g->rows, &f);
}

static int run_task(const weight_gradient *g, int64_t index) {
    const block b = find_block(g, index);
    const int64_t pixels = g->d->oh * g->d->ow, depth = MIN(KC, pixels);
    const int64_t together = MAX(1, KC / pixels);
    real *const sums = g->sums + b.part * g->part_size +
                       (b.group * g->entries + b.channel * g->from.taps) * g->rows + b.row;
    gemm_column out[NC / VL];
    for (int64_t v = 0; v * VL < b.rows; v++)
        out[v] = (gemm_column){.c = sums + v * VL, .width = MIN(VL, b.rows - v * VL)};
    scratch s;
    const bool ready = alloc_scratch(g, &b, together, depth, &s);
    const int64_t begin = b.part * g->d->n / g->parts, end = (b.part + 1) * g->d->n / g->parts;
    for (int64_t first = begin; ready && first < end; first += together)
        for (int64_t pixel = 0; pixel < pixels; pixel += depth)
            add_images(g, &b, first, MIN(together, end - first), pixel, MIN(depth, pixels - pixel),
                       &s, out, first > begin || pixel > 0);
    free_scratch(&s);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* dweight (rows, entries) of a group: columns [entry, entry + LINE) of the parts' sums, added in
 * order and turned; or, if swapped, (entries, rows) of it. */
static void add_parts(const weight_gradient *g, int64_t group, int64_t entry, real *dweight) {
    const int64_t entries = MIN(LINE, g->entries - entry);
    const real *const sums = g->sums + (group * g->entries + entry) * g->rows;
    real *const to = dweight + group * g->rows * g->entries + entry * (g->swapped ? g->rows : 1);
    for (int64_t row = 0; row < g->rows; row += LINE) {
        real turned[LINE * LINE];
        for (int64_t e = 0; e < entries; e++)
            for (int64_t v = 0; v < LINE && row + v < g->rows; v += VL) {
                const real *const from = sums + e * g->rows + row + v;
                const int64_t width = g->rows - row - v;
                vec sum = vload_upto(from, width);
                for (int64_t part = 1; part < g->parts; part++)
                    sum += vload_upto(from + part * g->part_size, width);
                if (g->swapped)
                    vstore_upto(to + e * g->rows + row + v, sum, width);
                else
                    vstore(turned + e * LINE + v, sum);
            }
        for (int64_t i = 0; !g->swapped && i < MIN(LINE, g->rows - row); i++)
            for (int64_t e = 0; e < entries; e++)
                to[(row + i) * g->entries + e] = turned[e * LINE + i];
    }
}

/* Parts of the sum over images: by the shape alone, as the bits depend on it. A part of fewer
 * pixels than a block of depths takes longer to write and to add than to multiply. */
static int64_t choose_parts(const nnf_conv *d, int64_t tiles) {
    int64_t parts = MAX(1, MIN(MIN(MAX_PARTS, d->n), ceil_div(MAX_PARTS, tiles)));
    while (parts > 1 && parts * KC > d->n * d->oh * d->ow)
        parts /= 2;
    return parts;
}

/* For more threads than tasks, tasks of fewer channels, though each turns dy again. */
static void share_channels(weight_gradient *g, int64_t threads) {
    const int64_t others = g->parts * g->row_tasks * g->d->groups;
    while (others * g->channel_tasks < threads && g->block_channels > 1 &&
           g->block_channels * g->from.taps > NR) {
        g->block_channels = ceil_div(g->block_channels, 2);
        g->channel_tasks = ceil_div(g->channels, g->block_channels);
    }
}

int FN(conv_gemm_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                  real *dbias) {
    const int64_t taps = d->kh * d->kw, channels = d->c / d->groups;
    weight_gradient g = {.d = d, .dy = dy, .x = x, .rows = d->k / d->groups, .channels = channels};
    if (!FN(conv_gather_windows)(d, &g.from))
        return NNF_NO_MEMORY;
    if (g.from.in_place && !dbias && g.rows > channels)
        g = (weight_gradient){.d = d,
                              .from = g.from,
                              .dy = x,
                              .x = dy,
                              .rows = channels,
                              .channels = g.rows,
                              .swapped = true};
    g.entries = g.channels * taps;
    g.block_channels = MAX(1, MIN(g.channels, ENTRIES / taps));
    g.row_tasks = ceil_div(g.rows, NC);
    g.channel_tasks = ceil_div(g.channels, g.block_channels);
    g.parts = choose_parts(d, g.row_tasks * g.channel_tasks * d->groups);
    share_channels(&g, nnf_get_threads());
    const int64_t tiles = g.row_tasks * g.channel_tasks * d->groups;
    const int64_t size = d->groups * g.rows * g.entries;
    g.part_size = size + LINE;
    g.sums = alloc_reals(g.parts * g.part_size);
    g.bias_sums = dbias ? alloc_reals(g.parts * d->k) : NULL;
    atomic_int failed = !g.sums || (dbias && !g.bias_sums);
    if (!failed)
        PARALLEL_FOR(index, g.parts * tiles, 0.02 * (double)size * (double)(d->n * d->oh * d->ow), {
            if (run_task(&g, index) != NNF_OK)
                failed = 1;
        });
    const int64_t lines = ceil_div(g.entries, LINE);
    if (!failed)
        PARALLEL_FOR(i, d->groups * lines, 0.3 * (double)(g.parts * size),
                     add_parts(&g, i / lines, i % lines * LINE, dweight));
    for (int64_t k = 0; dbias && !failed && k < d->k; k++) {
        dbias[k] = 0;
        for (int64_t part = 0; part < g.parts; part++)
            dbias[k] += g.bias_sums[part * d->k + k];
    }
    nnf_free(g.sums);
    nnf_free(g.bias_sums);
    FN(conv_gather_free_windows)(&g.from);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
