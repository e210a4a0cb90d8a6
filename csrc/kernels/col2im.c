/* col2im.c: the rows of windows added up to images:
 * col (n * oh * ow, c * kh * kw), x (n, c, h, w).
 *
 * A task makes a strip: some rows of some channels of an image. The windows that meet it are
 * transposed to `entries` (channels * taps, windows), with zeros before and behind those of each
 * row. Pixels are then sums of vectors, one for each tap that reaches them. Rows and columns of x
 * are counted in strides: a pixel has a place, that of the window whose first tap would lie on it
 * or just before, and a phase, the remainder; a tap adds to the pixels of its phase. Taps ascend,
 * as in the twin.
 */
#include <stdatomic.h>

#include "real.h"

/* Pixels (phase_h + i stride_h, phase_w + j stride_w) of the padded image, and their taps. */
typedef struct {
    int64_t phase_h, phase_w;
    int64_t first, taps; /* of from[] */
} phase;

typedef struct {
    const nnf_conv *d;
    int64_t taps;
    int64_t above, before; /* rows of windows that reach a place from above, columns from before */
    int64_t lead;          /* to the first of these rows, so that the strip's own begin a vector */
    int64_t width;         /* places of a row, and zeros */
    int64_t block_channels, block_rows;
    int64_t pitch; /* of the entries */
    int64_t phases;
    phase *phase;
    int64_t *from; /* (taps), by phases: a tap's entry of the first place of a strip */
} folding;

/* Rows [row, row + rows) of x, which lie on places [place, place + places). */
typedef struct {
    int64_t row, rows, place, places;
} strip;

enum {
    ENTRY_BYTES = 128 * 1024, /* of a strip: they stay in the L2 cache */
    TOGETHER = 4              /* vectors */
};

static strip find_strip(const nnf_conv *d, int64_t row, int64_t rows) {
    const int64_t place = (row + d->pad_h) / d->stride_h;
    return (strip){row, rows, place, (row + rows - 1 + d->pad_h) / d->stride_h - place + 1};
}

static int64_t strip_size(const folding *f, int64_t rows) {
    const int64_t stride = f->d->stride_h, places = (rows - 1) / stride + (stride > 1 ? 2 : 1);
    return round_up(places * f->width, VL);
}

static int64_t strip_windows(const folding *f, int64_t rows) {
    return f->lead + f->above * f->width + strip_size(f, rows);
}

/* An odd number of vectors, so that entries lie in different sets of the L1 cache. */
static int64_t entry_pitch(const folding *f, int64_t rows) {
    const int64_t size = f->before + strip_windows(f, rows);
    return size / VL % 2 ? size : size + VL;
}

/* Strips of all rows first, as others transpose the windows above them again. */
static void choose_blocks(folding *f) {
    const nnf_conv *const d = f->d;
    const int64_t few = MIN(d->c, VL), room = ENTRY_BYTES / (int64_t)sizeof(real) / f->taps;
    f->block_channels = d->c;
    f->block_rows = d->h;
    while (f->block_channels > few && (f->block_channels * entry_pitch(f, d->h) > room ||
                                       d->n * ceil_div(d->c, f->block_channels) < 16))
        f->block_channels = MAX(few, round_up(f->block_channels / 2, VL));
    while (f->block_rows > 4 * (f->above + 1) * d->stride_h &&
           (f->block_channels * entry_pitch(f, f->block_rows) > room ||
            d->n * ceil_div(d->c, few) * ceil_div(d->h, f->block_rows) < 16))
        f->block_rows = ceil_div(f->block_rows, 2);
    f->pitch = entry_pitch(f, f->block_rows);
}

/* Sorts the taps by their phases; f->phase and f->from have room for all of them. */
static void find_phases(folding *f) {
    const nnf_conv *const d = f->d;
    int64_t done = 0;
    for (int64_t a = 0; a < MIN(d->stride_h, d->kh * d->dilation_h); a++)
        for (int64_t b = 0; b < MIN(d->stride_w, d->kw * d->dilation_w); b++) {
            const int64_t first = done;
            for (int64_t i = 0; i < d->kh; i++) {
                const int64_t down = i * d->dilation_h, up = f->above - down / d->stride_h;
                for (int64_t j = 0; down % d->stride_h == a && j < d->kw; j++) {
                    const int64_t right = j * d->dilation_w;
                    if (right % d->stride_w == b)
                        f->from[done++] = (i * d->kw + j) * f->pitch + f->before + f->lead +
                                          up * f->width - right / d->stride_w;
                }
            }
            if (done > first)
                f->phase[f->phases++] = (phase){a, b, first, done - first};
        }
}

/* Where the windows lie, row by row, that add to a strip; zeros where there are none. */
static void find_windows(const folding *f, const strip *s, int64_t count, const real *col,
                         const real *zeros, const real **windows) {
    const nnf_conv *const d = f->d;
    int64_t row = s->place - f->above, column = -f->lead;
    for (; column < 0; column += f->width)
        row--;
    for (int64_t i = 0; i < count; i++) {
        const bool exists = row >= 0 && row < d->oh && column < d->ow;
        windows[i] = exists ? col + (row * d->ow + column) * d->c * f->taps : zeros;
        if (++column == f->width) {
            column = 0;
            row++;
        }
    }
}

/* entries (columns, pitch) of a vector of windows, `ahead` reals of which are fetched meanwhile.
 * The last vector of columns overlaps its neighbour. */
static void transpose(const real *const *windows, int64_t columns, int64_t ahead, int64_t pitch,
                      real *entries) {
    for (int64_t j = 0; j < columns; j += VL) {
        const int64_t first = MIN(j, MAX(columns - VL, 0)), count = MIN(VL, columns - first);
        real *const to = entries + first * pitch;
        vec block[VL];
        /* Reads them again: there are too few registers to keep all. */
        __asm__("" : "+r"(windows));
        NNF_EACH (k, VL)
            __builtin_prefetch(windows[k] + first + ahead, 0, 2);
        if (count == VL) {
            NNF_EACH (k, VL)
                block[k] = vload(windows[k] + first);
            vtranspose(block);
            NNF_EACH (k, VL)
                vstore(to + k * pitch, block[k]);
        } else {
            NNF_EACH (k, VL)
                block[k] = vload_part(windows[k] + first, count);
            vtranspose(block);
            for (int64_t k = 0; k < count; k++)
                vstore(to + k * pitch, block[k]);
        }
    }
}

VINLINE void add_vectors(int vectors, int64_t taps, const int64_t *from, const real *entries,
                         real *sums) {
    vec sum[TOGETHER] = {vzero(), vzero(), vzero(), vzero()};
    for (int64_t t = 0; t < taps; t++)
        NNF_EACH (i, vectors)
            sum[i] += vload(entries + from[t] + i * VL);
    NNF_EACH (i, vectors)
        vstore(sums + i * VL, sum[i]);
}

/* sums (size) of the entries of one channel, in whole vectors. */
static void add_taps(int64_t taps, const int64_t *from, const real *entries, int64_t size,
                     real *sums) {
    int64_t p = 0;
    for (; p + TOGETHER * VL <= size; p += TOGETHER * VL)
        add_vectors(TOGETHER, taps, from, entries + p, sums + p);
    for (; p < size; p += VL)
        add_vectors(1, taps, from, entries + p, sums + p);
}

/* Puts the pixels of a phase, sums (places, width), where they belong in x (h, w). */
static void scatter(const folding *f, const phase *p, const strip *s, const real *sums, real *x) {
    const nnf_conv *const d = f->d;
    const int64_t stride = d->stride_w, left = p->phase_w - d->pad_w;
    const int64_t begin = left < 0 ? ceil_div(-left, stride) : 0;
    const int64_t end = d->w > left ? ceil_div(d->w - left, stride) : 0;
    for (int64_t i = 0; i < s->places; i++) {
        const int64_t row = (s->place + i) * d->stride_h + p->phase_h - d->pad_h;
        if (row < s->row || row >= s->row + s->rows)
            continue;
        const real *const from = sums + i * f->width;
        real *const to = x + row * d->w + left;
        if (stride == 1)
            for (int64_t j = begin; j < end; j += VL)
                vstore_upto(to + j, vload(from + j), end - j);
        else
            for (int64_t j = begin; j < end; j++)
                to[j * stride] = from[j];
    }
}

/* entries of a strip, all of its channels; windows: scratch. */
static void fill_entries(const folding *f, const strip *s, int64_t columns, const real *col,
                         const real *zeros, const real **windows, real *entries) {
    const int64_t count = strip_windows(f, s->rows);
    /* Places above the first row have none. */
    const int64_t none = (f->lead + MAX(0, f->above - s->place) * f->width) / VL * VL;
    find_windows(f, s, count, col, zeros, windows);
    for (int64_t e = 0; e < columns; e++)
        for (int64_t i = 0; i < f->before + none; i += VL)
            vstore(entries + e * f->pitch + i, vzero());
    for (int64_t i = none; i < count; i += VL)
        transpose(windows + i, columns, 2 * VL * f->d->c * f->taps, f->pitch,
                  entries + f->before + i);
}

/* Channels of a strip: col (oh * ow, c * taps) and x (c, h, w) from the first of them on. */
static bool fold(const folding *f, int64_t channels, const strip *s, const real *col, real *x) {
    const nnf_conv *const d = f->d;
    const int64_t columns = channels * f->taps, size = strip_size(f, s->rows);
    real *const entries = alloc_reals(columns * f->pitch);
    real *const sums = alloc_reals(size + VL), *const zeros = alloc_reals(columns);
    const real **const windows = nnf_alloc((size_t)f->pitch * sizeof *windows);
    const bool ready = entries && sums && zeros && windows;
    if (ready) {
        memset(zeros, 0, (size_t)columns * sizeof *zeros);
        fill_entries(f, s, columns, col, zeros, windows, entries);
    }
    for (int64_t c = 0; ready && c < channels; c++, x += d->h * d->w) {
        if (f->phases < d->stride_h * d->stride_w)
            memset(x + s->row * d->w, 0, (size_t)(s->rows * d->w) * sizeof *x);
        for (int64_t i = 0; i < f->phases; i++) {
            const phase *const p = f->phase + i;
            add_taps(p->taps, f->from + p->first, entries + c * f->taps * f->pitch, size, sums);
            scatter(f, p, s, sums, x);
        }
    }
    nnf_free(entries);
    nnf_free(sums);
    nnf_free(zeros);
    nnf_free(windows);
    return ready;
}

/* Window by window. They descend, so that the taps of a pixel ascend. */
static void add_windows(const nnf_conv *d, const real *col, real *x) {
    const int64_t row = d->c * d->kh * d->kw, step = d->dilation_w;
    memset(x, 0, (size_t)(d->c * d->h * d->w) * sizeof *x);
    for (int64_t i = d->oh * d->ow - 1; i >= 0; i--) {
        const int64_t top = i / d->ow * d->stride_h - d->pad_h;
        const int64_t left = i % d->ow * d->stride_w - d->pad_w;
        const int64_t first = left < 0 ? ceil_div(-left, step) : 0;
        const int64_t last = left < d->w ? MIN(d->kw, ceil_div(d->w - left, step)) : 0;
        const real *from = col + i * row;
        for (int64_t c = 0; c < d->c; c++)
            for (int64_t k = 0; k < d->kh; k++, from += d->kw) {
                const int64_t ih = top + k * d->dilation_h;
                if (ih < 0 || ih >= d->h)
                    continue;
                real *const to = x + (c * d->h + ih) * d->w + left;
                if (step == 1)
                    for (int64_t j = first; j < last; j++)
                        to[j] += from[j];
                else
                    for (int64_t j = first; j < last; j++)
                        to[j * step] += from[j];
            }
    }
}

/* A kernel of one pixel: x (c, windows) is the transpose of col (windows, c). */
static bool turn(int64_t windows, int64_t c, const real *col, real *x) {
    const real **const rows = nnf_alloc((size_t)windows * sizeof *rows);
    for (int64_t i = 0; rows && i < windows; i++)
        rows[i] = col + i * c;
    for (int64_t i = 0; rows && i < windows; i += VL) {
        const int64_t first = MIN(i, windows - VL);
        transpose(rows + first, c, 2 * VL * c, windows, x + first);
    }
    nnf_free(rows);
    return rows;
}

static int fold_strips(const folding *f, const real *col, real *x) {
    const nnf_conv *const d = f->d;
    const int64_t strips = ceil_div(d->h, f->block_rows);
    const int64_t blocks = ceil_div(d->c, f->block_channels);
    const int64_t image = d->c * d->h * d->w, windows = d->oh * d->ow * d->c * f->taps;
    atomic_int failed = 0;
    PARALLEL_FOR(task, d->n * blocks * strips, 0.4 * (double)d->n * (double)(windows + image), {
        const int64_t i = task / strips / blocks, row = task % strips * f->block_rows;
        const int64_t c = task / strips % blocks * f->block_channels;
        const strip s = find_strip(d, row, MIN(f->block_rows, d->h - row));
        if (!fold(f, MIN(f->block_channels, d->c - c), &s, col + i * windows + c * f->taps,
                  x + i * image + c * d->h * d->w))
            failed = 1;
    });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

static int fold_images(const nnf_conv *d, const real *col, real *x) {
    folding f = {
        .d = d,
        .taps = d->kh * d->kw,
        .above = (d->kh - 1) * d->dilation_h / d->stride_h,
        .before = round_up((d->kw - 1) * d->dilation_w / d->stride_w, VL),
    };
    f.width = MAX(d->ow + (d->kw - 1) * d->dilation_w / d->stride_w,
                  (d->w - 1 + d->pad_w) / d->stride_w + 1);
    f.lead = round_up(f.above * f.width, VL) - f.above * f.width;
    f.phase = nnf_alloc((size_t)f.taps * sizeof *f.phase);
    f.from = nnf_alloc((size_t)f.taps * sizeof *f.from);
    int status = NNF_NO_MEMORY;
    if (f.phase && f.from) {
        choose_blocks(&f);
        find_phases(&f);
        status = fold_strips(&f, col, x);
    }
    nnf_free(f.phase);
    nnf_free(f.from);
    return status;
}

int FN(col2im)(const nnf_conv *d, const real *col, real *x) {
    const int64_t windows = d->oh * d->ow, image = d->c * d->h * d->w;
    const int64_t row = d->c * d->kh * d->kw;
    const bool one_pixel = row == d->c && windows == d->h * d->w && d->pad_h == 0 && d->pad_w == 0;
    const double work = 0.4 * (double)d->n * (double)(windows * row + image);
    if (d->n * image == 0)
        return NNF_OK;
    if (windows < VL) {
        PARALLEL_FOR(i, d->n, work, add_windows(d, col + i * windows * row, x + i * image));
        return NNF_OK;
    }
    if (!one_pixel)
        return fold_images(d, col, x);
    atomic_int failed = 0;
    PARALLEL_FOR(i, d->n, work, {
        if (!turn(windows, d->c, col + i * image, x + i * image))
            failed = 1;
    });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
