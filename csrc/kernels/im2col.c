/* im2col.c: images to the matrix of their windows and back:
 * x (n, c, h, w) and col (n * oh * ow, c * kh * kw), a window per row.
 *
 * A task owns a band of what it writes. Channels go in small blocks: what they touch of one row of
 * the image stays in the first-level cache while the windows pass over it. */
#include "real.h"

enum { CHANNEL_BLOCK = 8 };

/* im2col: the taps [first, last) of a window that lie inside an axis of `size`. */
static void taps_inside(int64_t start, int64_t step, int64_t count, int64_t size, int64_t *first,
                        int64_t *last) {
    *first = start < 0 ? MIN(count, ceil_div(-start, step)) : 0;
    *last = start < size ? MIN(count, ceil_div(size - start, step)) : 0;
    *last = MAX(*last, *first);
}

/* Copies kw taps. With `wide` also what follows them, up to a power of two: one move instead of
 * several; the next row of taps is written over it. */
VINLINE void copy_taps(real *to, const real *from, int64_t kw, bool wide) {
    const int64_t count = !wide ? kw : kw == 3 ? 4 : kw <= 8 && kw > 4 ? 8 : kw;
    memcpy(to, from, (size_t)count * sizeof(real));
}

/* Windows [begin, end) of an output row that lie inside the image from left to right, channels
 * c0 .. c1; tap rows [top, bottom) lie inside it, the others are zero. */
VINLINE void unfold_inside(const nnf_conv *d, int64_t begin, int64_t end, int64_t c0, int64_t c1,
                           int64_t top, int64_t bottom, const real *x, real *col, int64_t kh,
                           int64_t kw) {
    const int64_t plane = d->h * d->w, pitch = d->dilation_h * d->w, stride = d->stride_w;
    const int64_t taps = kh * kw, row = d->c * taps;
    const bool whole = bottom - top == kh;
    x += c0 * plane;
    for (int64_t ow = begin; ow < end; ow++) {
        const real *from = x + ow * stride;
        real *to = col + ow * row + c0 * taps;
        for (int64_t c = c0; c < c1; c++, from += plane, to += taps) {
            if (whole && c < c1 - 1) { /* another window follows: room to be wide */
                for (int64_t i = 0; i < kh; i++)
                    copy_taps(to + i * kw, from + i * pitch, kw, true);
                continue;
            }
            if (!whole)
                memset(to, 0, (size_t)taps * sizeof(real));
            for (int64_t i = top; i < bottom; i++)
                copy_taps(to + i * kw, from + i * pitch, kw, false);
        }
    }
}

/* Window ow, any taps of which may lie outside or apart. */
static void unfold_window(const nnf_conv *d, int64_t ow, int64_t c0, int64_t c1, int64_t top,
                          int64_t bottom, const real *x, real *col) {
    const int64_t kh = d->kh, kw = d->kw, plane = d->h * d->w;
    const int64_t pitch = d->dilation_h * d->w, step = d->dilation_w;
    int64_t left, right;
    taps_inside(ow * d->stride_w - d->pad_w, step, kw, d->w, &left, &right);
    x += c0 * plane + ow * d->stride_w;
    col += (ow * d->c + c0) * kh * kw;
    for (int64_t c = c0; c < c1; c++, x += plane)
        for (int64_t i = 0; i < kh; i++, col += kw) {
            const bool inside = i >= top && i < bottom;
            for (int64_t j = 0; j < kw; j++)
                col[j] = inside && j >= left && j < right ? x[i * pitch + j * step] : 0;
        }
}

/* Output row oh of image x (c, h, w) to col (ow, c * kh * kw). */
static void unfold_row(const nnf_conv *d, int64_t oh, const real *x, real *col) {
    const int64_t ih = oh * d->stride_h - d->pad_h;
    const int64_t room = d->w + d->pad_w - d->kw; /* the last column a whole window starts at */
    const bool simple = d->dilation_w == 1 && room >= 0;
    const int64_t lo = MIN(ceil_div(d->pad_w, d->stride_w), d->ow);
    const int64_t hi = simple ? MAX(lo, MIN(room / d->stride_w + 1, d->ow)) : lo;
    int64_t top, bottom;
    taps_inside(ih, d->dilation_h, d->kh, d->h, &top, &bottom);
    x += ih * d->w - d->pad_w;
    for (int64_t c0 = 0; c0 < d->c; c0 += CHANNEL_BLOCK) {
        const int64_t c1 = MIN(c0 + CHANNEL_BLOCK, d->c);
        for (int64_t ow = 0; ow < lo; ow++)
            unfold_window(d, ow, c0, c1, top, bottom, x, col);
#define INSIDE(kh, kw) unfold_inside(d, lo, hi, c0, c1, top, bottom, x, col, kh, kw)
        if (d->kh == 3 && d->kw == 3)
            INSIDE(3, 3);
        else if (d->kw == 3)
            INSIDE(d->kh, 3);
        else if (d->kw == 5)
            INSIDE(d->kh, 5);
        else
            INSIDE(d->kh, d->kw);
#undef INSIDE
        for (int64_t ow = hi; ow < d->ow; ow++)
            unfold_window(d, ow, c0, c1, top, bottom, x, col);
    }
}

/* Kernels of one pixel make col (pixels, c) the transpose of an image (c, pixels): `to` (rows,
 * columns) from `from` (columns, rows). */
static void transpose(int64_t rows, int64_t columns, const real *from, int64_t from_pitch, real *to,
                      int64_t to_pitch) {
    int64_t i = 0;
    for (; columns >= VL && i + VL <= rows; i += VL)
        for (int64_t j = 0; j < columns; j += VL) {
            const int64_t first = MIN(j, columns - VL); /* the last block overlaps its neighbour */
            vec block[VL];
            for (int k = 0; k < VL; k++)
                block[k] = vload(from + (first + k) * from_pitch + i);
            vtranspose(block);
            for (int k = 0; k < VL; k++)
                vstore(to + (i + k) * to_pitch + first, block[k]);
        }
    for (; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * to_pitch + j] = from[j * from_pitch + i];
}

static bool is_transpose(const nnf_conv *d) {
    return d->kh == 1 && d->kw == 1 && d->stride_h == 1 && d->stride_w == 1 && d->pad_h == 0 &&
           d->pad_w == 0;
}

int FN(im2col)(const nnf_conv *d, const real *x, real *col) {
    const int64_t rows = d->n * d->oh, row = d->ow * d->c * d->kh * d->kw, plane = d->h * d->w;
    const int64_t image = d->c * plane;
    PARALLEL_FOR(i, rows, 0.5 * (double)rows * (double)row, {
        const real *from = x + i / d->oh * image;
        if (is_transpose(d))
            transpose(d->w, d->c, from + i % d->oh * d->w, plane, col + i * row, d->c);
        else
            unfold_row(d, i % d->oh, from, col + i * row);
    });
    return NNF_OK;
}

/* col2im: the windows that meet one pixel of an axis. Tap t of them is number first + t * step of
 * its window, and the window `window - t * back`. */
typedef struct {
    int64_t first, window, count;
} meeting;

typedef struct {
    int64_t step, back;
} progression;

static progression find_progression(int64_t stride, int64_t dilation) {
    int64_t a = stride, b = dilation;
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return (progression){stride / a, dilation / a};
}

static meeting find_meeting(int64_t pixel, int64_t kernel, int64_t stride, int64_t pad,
                            int64_t dilation, int64_t windows, progression p) {
    for (int64_t tap = 0; tap < kernel; tap++) {
        const int64_t start = pixel + pad - tap * dilation;
        if (start < 0)
            break;
        if (start % stride == 0 && start / stride < windows) {
            const int64_t window = start / stride;
            const int64_t count = MIN((kernel - 1 - tap) / p.step, window / p.back) + 1;
            return (meeting){tap, window, count};
        }
    }
    return (meeting){0, 0, 0};
}

VINLINE real gather(const real *p, int64_t rows, int64_t row_step, int64_t columns,
                    int64_t column_step) {
    real sum = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            sum += p[i * row_step + j * column_step];
    return sum;
}

/* Channels c0 .. c1 of image x (c, h, w) from col (oh * ow, c * kh * kw). Each pixel's sum runs
 * over its taps in ascending order, as the twin's does. */
static void fold_block(const nnf_conv *d, const meeting *columns, int64_t c0, int64_t c1,
                       const real *col, real *x) {
    const int64_t taps = d->kh * d->kw, row = d->c * taps, plane = d->h * d->w, width = d->w;
    const progression down = find_progression(d->stride_h, d->dilation_h);
    const progression across = find_progression(d->stride_w, d->dilation_w);
    const int64_t row_step = down.step * d->kw - down.back * d->ow * row;
    const int64_t column_step = across.step - across.back * row;
    for (int64_t ih = 0; ih < d->h; ih++) {
        const meeting v =
            find_meeting(ih, d->kh, d->stride_h, d->pad_h, d->dilation_h, d->oh, down);
        for (int64_t iw = 0; iw < width; iw++) {
            const meeting u = columns[iw];
            const real *p = col + (v.window * d->ow + u.window) * row + v.first * d->kw + u.first;
            real *to = x + ih * width + iw;
#define GATHER(n)                                                                                  \
    for (int64_t c = c0; c < c1; c++)                                                              \
        to[c * plane] = gather(p + c * taps, v.count, row_step, n, column_step);
            switch (u.count) {
            case 1:
                GATHER(1);
                break;
            case 3:
                GATHER(3);
                break;
            default:
                GATHER(u.count);
            }
#undef GATHER
        }
    }
}

int FN(col2im)(const nnf_conv *d, const real *col, real *x) {
    const int64_t plane = d->h * d->w, image = d->c * plane;
    if (is_transpose(d)) {
        PARALLEL_FOR(i, d->n, 0.7 * (double)(d->n * image),
                     transpose(d->c, plane, col + i * image, d->c, x + i * image, plane));
        return NNF_OK;
    }
    const int64_t blocks = ceil_div(d->c, CHANNEL_BLOCK);
    const int64_t size = d->oh * d->ow * d->c * d->kh * d->kw;
    const progression across = find_progression(d->stride_w, d->dilation_w);
    meeting *columns = nnf_alloc((size_t)d->w * sizeof *columns);
    if (!columns)
        return NNF_NO_MEMORY;
    for (int64_t iw = 0; iw < d->w; iw++)
        columns[iw] = find_meeting(iw, d->kw, d->stride_w, d->pad_w, d->dilation_w, d->ow, across);
    PARALLEL_FOR(task, d->n * blocks, 0.7 * (double)d->n * (double)(size + image), {
        const int64_t c0 = task % blocks * CHANNEL_BLOCK, i = task / blocks;
        fold_block(d, columns, c0, MIN(c0 + CHANNEL_BLOCK, d->c), col + i * size, x + i * image);
    });
    nnf_free(columns);
    return NNF_OK;
}
