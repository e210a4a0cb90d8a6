/* im2col.c: images to the matrix of their windows, one a row:
 * x (n, c, h, w), col (n * oh * ow, c * kh * kw).
 *
 * A task copies the rows that some windows see to a band (conv_gather.h), where what an entry takes
 * from neighbouring windows lies side by side: vectors of windows, one for each entry, are
 * transposed in registers. At stride 1 a vector may run over the end of a row into the next; the
 * windows between the rows, which do not exist, are not written. Wide kernels, and images of few
 * windows, are copied window by window.
 */
#include <stdatomic.h>

#include "conv_gather.h"
#include "elementwise.h"

typedef struct {
    conv_gather from;
    int64_t c, kw;
    int64_t width; /* windows of a row */
    int64_t step;  /* from one to the next in the band */
    int64_t line;  /* places of a row, with those of windows that do not exist */
    int64_t block; /* windows of a task; whole rows unless the image is read in place */
    bool by_window, stream;
} unfolding;

/* What a task works with: where an entry finds the value of the first window, and where a place
 * puts its window; NULL if it does not exist. */
typedef struct {
    conv_band band;
    const real **entries; /* (c * taps) */
    real **rows;          /* (places) */
} scratch;

static bool alloc_scratch(const unfolding *u, int64_t pixels, int64_t places, scratch *s) {
    const bool has_band = FN(conv_band_alloc)(&u->from, u->c, pixels, &s->band);
    s->entries = nnf_alloc((size_t)(u->c * u->from.taps) * sizeof *s->entries);
    s->rows = nnf_alloc((size_t)(places + VL) * sizeof *s->rows);
    return has_band && s->entries && s->rows;
}

static void free_scratch(scratch *s) {
    FN(conv_band_free)(&s->band);
    nnf_free(s->entries);
    nnf_free(s->rows);
}

/* A vector of windows. The last vector of columns overlaps its neighbour. */
static void transpose(const real *const *entries, int64_t at, int64_t windows, int64_t columns,
                      real *const *rows, bool stream) {
    for (int64_t j = 0; j < columns; j += VL) {
        const int64_t first = MIN(j, MAX(columns - VL, 0)), count = MIN(VL, columns - first);
        vec block[VL];
        if (windows == VL && count == VL)
            NNF_EACH (k, VL)
                block[k] = vload(entries[first + k] + at);
        else
            for (int64_t k = 0; k < VL; k++)
                block[k] = k < count ? vload_upto(entries[first + k] + at, windows) : vzero();
        vtranspose(block);
        if (count == VL) {
            NNF_EACH (k, VL)
                if (rows[k])
                    vput(rows[k] + first, block[k], stream);
        } else
            for (int64_t k = 0; k < windows; k++)
                if (rows[k])
                    vstore_part(rows[k] + first, block[k], count);
    }
}

static void transpose_windows(const unfolding *u, const scratch *s, int64_t rows, int64_t width,
                              int64_t row_pitch, real *col) {
    const int64_t columns = u->c * u->from.taps, places = (rows - 1) * u->line + width;
    real **row = s->rows;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < width; j++, col += columns)
            *row++ = col;
        for (int64_t j = width; j < (i < rows - 1 ? u->line : width + VL); j++)
            *row++ = NULL;
    }
    for (int64_t p = 0; p < places; p += VL) {
        const int64_t at = p / u->line * row_pitch + p % u->line, left = MIN(VL, places - p);
        transpose(s->entries, at, left, columns, s->rows + p, u->stream);
    }
    if (u->stream)
        vstream_end();
}

/* Rows of kw taps, all but the last with what follows them, in one move: the next is written over
 * it. */
VINLINE void copy_window(int64_t columns, const real *const *entries, int64_t at, int64_t kw,
                         real *to) {
    const int64_t wide = kw > 4 && kw <= 8 ? 8 : kw;
    int64_t e = 0;
    for (; e + kw < columns; e += kw)
        memcpy(to + e, entries[e] + at, (size_t)wide * sizeof *to);
    memcpy(to + e, entries[e] + at, (size_t)kw * sizeof *to);
}

static void copy_windows(const unfolding *u, const scratch *s, int64_t rows, int64_t row_pitch,
                         real *col) {
    const int64_t columns = u->c * u->from.taps;
    for (int64_t i = 0; columns > 0 && i < rows; i++)
        for (int64_t j = 0; j < u->width; j++, col += columns) {
            const int64_t at = i * row_pitch + j * u->step;
            if (u->kw == 5)
                copy_window(columns, s->entries, at, 5, col);
            else if (u->kw == 7)
                copy_window(columns, s->entries, at, 7, col);
            else
                copy_window(columns, s->entries, at, u->kw, col);
        }
}

/* Windows [first, first + count) of image x (c, height, width) to col (windows, c * taps). */
static bool unfold(const unfolding *u, int64_t first, int64_t count, const real *x, real *col) {
    const conv_gather *const g = &u->from;
    const int64_t rows = g->in_place ? 1 : count / u->width, pixels = rows * g->grid_w;
    scratch s;
    const bool ready = alloc_scratch(u, pixels, g->in_place ? count : rows * u->line, &s);
    if (ready && g->in_place) {
        for (int64_t c = 0; c < u->c; c++)
            s.entries[c] = x + c * g->height * g->width + first;
        transpose_windows(u, &s, 1, count, 0, col);
    } else if (ready) {
        FN(conv_band_fill)(g, x, u->c, first / u->width * g->grid_w, pixels, &s.band);
        for (int64_t c = 0; c < u->c; c++)
            for (int64_t t = 0; t < g->taps; t++)
                s.entries[c * g->taps + t] = s.band.data + c * s.band.plane + s.band.tap[t];
        const int64_t row_pitch = g->stride_h * g->stride_w * s.band.segment;
        if (u->by_window)
            copy_windows(u, &s, rows, row_pitch, col);
        else
            transpose_windows(u, &s, rows, u->width, row_pitch, col);
    }
    free_scratch(&s);
    return ready;
}

int FN(im2col)(const nnf_conv *d, const real *x, real *col) {
    const int64_t windows = d->oh * d->ow, row = d->c * d->kh * d->kw, size = d->n * windows * row;
    unfolding u = {.c = d->c, .kw = d->kw, .width = d->ow, .step = 1};
    u.by_window = d->dilation_w == 1 && (d->kw >= 5 || (windows < VL && d->kh * d->kw > 1));
    nnf_conv seen = *d;
    if (u.by_window) { /* a tap's neighbour lies beside it */
        u.step = d->stride_w;
        seen.ow = (d->ow - 1) * d->stride_w + 1;
        seen.stride_w = 1;
    }
    conv_gather *const g = &u.from;
    if (!FN(conv_gather_windows)(&seen, g))
        return NNF_NO_MEMORY;
    const bool flat = g->stride_h == 1 && g->stride_w == 1;
    u.line = flat ? g->grid_w + g->max_w - g->min_w : round_up(g->grid_w, VL);
    u.block = g->in_place ? NC : MAX(1, NC / d->ow) * d->ow;
    u.stream = row % VL == 0 && streams(size, 0, col);
    const int64_t blocks = ceil_div(windows, u.block);
    atomic_int failed = 0;
    PARALLEL_FOR(task, d->n * blocks, 0.2 * (double)size, {
        const int64_t i = task / blocks, first = task % blocks * u.block;
        if (!unfold(&u, first, MIN(u.block, windows - first), x + i * d->c * d->h * d->w,
                    col + (i * windows + first) * row))
            failed = 1;
    });
    FN(conv_gather_free_windows)(g);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
