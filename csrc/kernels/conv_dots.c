/* conv_dots.c: weight gradient of a convolution with few input channels, such as the first layer's.
 *
 * x (n, c, h, w), dy (n, k, oh, ow), dweight (k, c, kh, kw), dbias (k) or NULL.
 * As a matrix product, entries (c, kh, kw) times rows of dy (k), it has so few entries that putting
 * them and dy in order takes as long as multiplying. Here every element is a dot product whose
 * lanes are neighbouring pixels, and all is read where it lies: x in a band, dy in place. The sum
 * over images is cut into parts whose number depends on the shapes alone; a part is summed by one
 * thread, in order, and the parts are added in order.
 */
#include <stdatomic.h>

#include "conv.h"

#include "conv_gather.h"
#include "sum.h"

/* A tile of entries x rows of dy, whose sums and operands are the registers there are. */
enum {
    ENTRIES = 3,
    ROWS = VBYTES == 64 ? 8 : 4,
    SUMS = (ENTRIES * ROWS + VL - 1) / VL * VL, /* stored (ENTRIES, ROWS) and what fills a vector */
    PIXELS = 1024, /* of an image at once: those of a tile stay in the L1 cache */
    MAX_PARTS = 16,
    DOTS_PAY = VBYTES >= 32 && NNF_DTYPE_BITS == 32 /* or not worth the code */
};

/* Where a vector of pixels begins in a plane of the band, and in one of dy. */
typedef struct {
    int64_t x, dy;
} place;

/* Vectors of pixels: whole ones, then those of which the first `rest` pixels count. */
typedef struct {
    int64_t whole, partial, rest;
    place at[PIXELS];
} places;

typedef struct {
    const nnf_conv *d;
    conv_gather from;
    const real *dy, *x;
    int64_t entries, entry_tiles, row_tiles;
    int64_t block_rows; /* of the grid */
    int64_t parts, part_size;
    real *sums;        /* (parts, row_tiles, entry_tiles, SUMS), part_size apart */
    double *bias_sums; /* (parts, k) or NULL */
} weight_gradient;

/* Adds the products of `count` vectors, or of the first `pixels` of each, to a tile's sums. */
VINLINE void add_vectors(bool whole, int64_t pixels, int64_t count, const place *at,
                         const real *const entry[ENTRIES], const real *const dy[ROWS],
                         vec sum[ENTRIES * ROWS]) {
    for (int64_t k = 0; k < count; k++) {
        vec image[ENTRIES]; /* vopaque: or each product would load its operand once more */
        NNF_EACH (e, ENTRIES) {
            const real *const from = entry[e] + at[k].x;
            image[e] = vopaque(whole ? vload(from) : vload_part(from, pixels));
        }
        NNF_EACH (r, ROWS) {
            const real *const from = dy[r] + at[k].dy;
            const vec gradient = vopaque(whole ? vload(from) : vload_part(from, pixels));
            NNF_EACH (e, ENTRIES)
                sum[e * ROWS + r] = vfma(gradient, image[e], sum[e * ROWS + r]);
        }
    }
}

static void add_tile(const places *p, const real *const entry[ENTRIES], const real *const dy[ROWS],
                     real *sums) {
    vec sum[ENTRIES * ROWS], each[SUMS];
    NNF_EACH (i, ENTRIES * ROWS)
        sum[i] = vzero();
    add_vectors(true, VL, p->whole, p->at, entry, dy, sum);
    add_vectors(false, p->rest, p->partial, p->at + p->whole, entry, dy, sum);
    NNF_EACH (i, SUMS)
        each[i] = i < ENTRIES * ROWS ? sum[i] : vzero();
    NNF_EACH (v, SUMS / VL)
        vstore(sums + v * VL, vload(sums + v * VL) + vsum_each(each + v * VL));
}

static void find_places(int64_t rows, int64_t width, int64_t x_step, places *p) {
    p->rest = width % VL;
    p->whole = rows * (width / VL);
    p->partial = p->rest ? rows : 0;
    int64_t whole = 0, partial = p->whole;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t j = 0; j < width; j += VL)
            p->at[j + VL <= width ? whole++ : partial++] =
                (place){row * x_step + j, row * width + j};
}

/* Adds `rows` grid rows of an image, from `row` on: tiles of rows of dy [first, end). */
static void add_rows(const weight_gradient *g, int64_t image, int64_t row, int64_t rows,
                     int64_t first, int64_t end, conv_band *band, real *sums, double *bias_sums) {
    const nnf_conv *const d = g->d;
    const int64_t plane = d->oh * d->ow, taps = g->from.taps;
    const real *const dy = g->dy + image * d->k * plane + row * d->ow;
    FN(conv_band_fill)(&g->from, g->x + image * d->c * d->h * d->w, d->c, row * d->ow, rows * d->ow,
                       band);
    places p;
    find_places(rows, d->ow, g->from.stride_h * g->from.stride_w * band->segment, &p);
    for (int64_t i = first; i < end; i++) {
        const real *gradient[ROWS], *entry[ENTRIES]; /* of the last tiles the last one repeated */
        for (int64_t r = 0; r < ROWS; r++)
            gradient[r] = dy + MIN(i * ROWS + r, d->k - 1) * plane;
        for (int64_t j = 0; j < g->entry_tiles; j++) {
            for (int64_t e = 0; e < ENTRIES; e++) {
                const int64_t at = MIN(j * ENTRIES + e, g->entries - 1);
                entry[e] = band->data + at / taps * band->plane + band->tap[at % taps];
            }
            add_tile(&p, entry, gradient, sums + (i * g->entry_tiles + j) * SUMS);
        }
        for (int64_t r = i * ROWS; bias_sums && r < MIN(d->k, (i + 1) * ROWS); r++)
            bias_sums[r] += sum_of(rows * d->ow, dy + r * plane);
    }
}

/* Adds up a part's images: tiles of rows of dy [first, end). noinline, as add_parts: there are
 * calls for one thread and for several. */
__attribute__((noinline)) static int run_task(const weight_gradient *g, int64_t part, int64_t first,
                                              int64_t end) {
    const nnf_conv *const d = g->d;
    const int64_t tile = g->entry_tiles * SUMS;
    real *const sums = g->sums + part * g->part_size;
    double *const bias_sums = g->bias_sums ? g->bias_sums + part * d->k : NULL;
    conv_band band;
    const bool ready = FN(conv_band_alloc)(&g->from, d->c, g->block_rows * d->ow, &band);
    memset(sums + first * tile, 0, (size_t)((end - first) * tile) * sizeof *sums);
    for (int64_t r = first * ROWS; bias_sums && r < MIN(d->k, end * ROWS); r++)
        bias_sums[r] = 0;
    for (int64_t n = part * d->n / g->parts; ready && n < (part + 1) * d->n / g->parts; n++)
        for (int64_t row = 0; row < d->oh; row += g->block_rows)
            add_rows(g, n, row, MIN(g->block_rows, d->oh - row), first, end, &band, sums,
                     bias_sums);
    FN(conv_band_free)(&band);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

/* A tile's rows of dweight and dbias. */
__attribute__((noinline)) static void add_parts(const weight_gradient *g, int64_t tile,
                                                real *dweight, real *dbias) {
    const int64_t first = tile * ROWS, end = MIN(first + ROWS, g->d->k);
    for (int64_t j = 0; j < g->entry_tiles; j++) {
        const real *const from = g->sums + (tile * g->entry_tiles + j) * SUMS;
        real total[SUMS];
        for (int v = 0; v < SUMS; v += VL) {
            vec sum = vload(from + v);
            for (int64_t part = 1; part < g->parts; part++)
                sum += vload(from + part * g->part_size + v);
            vstore(total + v, sum);
        }
        for (int64_t e = 0; e < MIN(ENTRIES, g->entries - j * ENTRIES); e++)
            for (int64_t r = first; r < end; r++)
                dweight[r * g->entries + j * ENTRIES + e] = total[e * ROWS + r - first];
    }
    for (int64_t r = first; dbias && r < end; r++) {
        double total = 0;
        for (int64_t part = 0; part < g->parts; part++)
            total += g->bias_sums[part * g->d->k + r];
        dbias[r] = (real)total;
    }
}

/* Where pixels fill their vectors, and entries are few, or rows of dy; as measured. */
static bool dots_pay(const nnf_conv *d) {
    const int64_t taps = d->kh * d->kw;
    return DOTS_PAY && taps > 1 && d->ow <= PIXELS && 10 * d->ow >= 7 * round_up(d->ow, VL) &&
           (d->c * taps <= 80 || d->k <= 8);
}

int FN(conv_dots_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                  real *dbias) {
    if (!dots_pay(d))
        return FN(conv_gemm_backward_weight)(d, dy, x, dweight, dbias);
    weight_gradient g = {.d = d,
                         .dy = dy,
                         .x = x,
                         .entries = d->c * d->kh * d->kw,
                         .row_tiles = ceil_div(d->k, ROWS),
                         .parts = MIN(MAX_PARTS, d->n)};
    if (!FN(conv_gather_windows)(d, &g.from))
        return NNF_NO_MEMORY;
    g.entry_tiles = ceil_div(g.entries, ENTRIES);
    g.block_rows = ceil_div(d->oh, ceil_div(d->oh, MIN(d->oh, PIXELS / d->ow)));
    g.part_size = g.row_tiles * g.entry_tiles * SUMS + LINE;
    g.sums = alloc_reals(g.parts * g.part_size);
    g.bias_sums = dbias ? nnf_alloc((size_t)(g.parts * d->k) * sizeof(double)) : NULL;
    atomic_int failed = !g.sums || (dbias && !g.bias_sums);
    /* For more threads than parts, a part's rows are shared, though each fills the bands again. */
    const int64_t shares = MIN(g.row_tiles, ceil_div(nnf_get_threads(), g.parts));
    const double work = 0.02 * (double)(d->n * d->oh * d->ow) * (double)(d->k * g.entries);
    if (!failed)
        PARALLEL_FOR(task, g.parts * shares, work, {
            const int64_t share = task % shares;
            if (run_task(&g, task / shares, share * g.row_tiles / shares,
                         (share + 1) * g.row_tiles / shares) != NNF_OK)
                failed = 1;
        });
    if (!failed)
        PARALLEL_FOR(tile, g.row_tiles, 0.3 * (double)(g.parts * g.part_size),
                     add_parts(&g, tile, dweight, dbias));
    nnf_free(g.sums);
    nnf_free(g.bias_sums);
    FN(conv_gather_free_windows)(&g.from);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
