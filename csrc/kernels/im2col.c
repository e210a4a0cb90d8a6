/* im2col.c: images to the matrix of their windows and back:
 * x (n, c, h, w) and col (n * oh * ow, c * kh * kw), a window per row.
 *
 * A task owns a band of what it writes. Channels go in small blocks: their input rows stay in the
 * first-level cache while the windows of one output row pass over them. */
#include "real.h"

enum { CHANNEL_BLOCK = 8 };

/* The taps of a window of `count`, first pixel `start`, that lie inside an axis of `size`. */
static void inside(int64_t start, int64_t step, int64_t count, int64_t size, int64_t *first,
                   int64_t *last) {
    *first = 0;
    *last = count;
    if (start >= 0 && start + (count - 1) * step < size)
        return; /* no division in the common case */
    *first = start < 0 ? MIN(count, ceil_div(-start, step)) : 0;
    *last = start < size ? MIN(count, ceil_div(size - start, step)) : 0;
    *last = MAX(*last, *first);
}

/* One window row of kw taps: a constant kw, inlined, becomes one or two moves. */
VINLINE void copy_taps(real *to, const real *from, int64_t kw, int64_t dilation) {
    if (dilation == 1)
        memcpy(to, from, (size_t)kw * sizeof(real));
    else
        for (int64_t j = 0; j < kw; j++)
            to[j] = from[j * dilation];
}

/* Output row oh of image x (c, h, w) to col (ow, c * kh * kw). */
VINLINE void unfold_row(const nnf_conv *d, int64_t oh, const real *x, real *col, int64_t kw,
                        int64_t dilation) {
    const int64_t taps = d->kh * kw, ih = oh * d->stride_h - d->pad_h;
    int64_t top, bottom;
    inside(ih, d->dilation_h, d->kh, d->h, &top, &bottom);
    for (int64_t c0 = 0; c0 < d->c; c0 += CHANNEL_BLOCK)
        for (int64_t ow = 0; ow < d->ow; ow++) {
            const int64_t iw = ow * d->stride_w - d->pad_w;
            int64_t left, right;
            inside(iw, dilation, kw, d->w, &left, &right);
            for (int64_t c = c0; c < MIN(c0 + CHANNEL_BLOCK, d->c); c++) {
                real *window = col + (ow * d->c + c) * taps;
                const real *from = x + (c * d->h + ih) * d->w + iw;
                if (bottom - top < d->kh || right - left < kw)
                    memset(window, 0, (size_t)taps * sizeof(real));
                if (right - left == kw)
                    for (int64_t i = top; i < bottom; i++)
                        copy_taps(window + i * kw, from + i * d->dilation_h * d->w, kw, dilation);
                else
                    for (int64_t i = top; i < bottom; i++)
                        for (int64_t j = left; j < right; j++)
                            window[i * kw + j] = from[i * d->dilation_h * d->w + j * dilation];
            }
        }
}

/* Adds the windows of output row oh, channels c0 .. c1, into x (c, h, w). The twin adds tap by tap,
 * first tap first; walking the windows backwards gives every pixel the same order. */
VINLINE void fold_row(const nnf_conv *d, int64_t oh, int64_t c0, int64_t c1, const real *col,
                      real *x, int64_t kw, int64_t dilation) {
    const int64_t taps = d->kh * kw, ih = oh * d->stride_h - d->pad_h;
    int64_t top, bottom;
    inside(ih, d->dilation_h, d->kh, d->h, &top, &bottom);
    for (int64_t ow = d->ow - 1; ow >= 0; ow--) {
        const int64_t iw = ow * d->stride_w - d->pad_w;
        int64_t left, right;
        inside(iw, dilation, kw, d->w, &left, &right);
        for (int64_t c = c0; c < c1; c++) {
            const real *window = col + (ow * d->c + c) * taps;
            real *to = x + (c * d->h + ih) * d->w + iw;
            if (right - left == kw)
                for (int64_t i = top; i < bottom; i++)
                    for (int64_t j = 0; j < kw; j++)
                        to[i * d->dilation_h * d->w + j * dilation] += window[i * kw + j];
            else
                for (int64_t i = top; i < bottom; i++)
                    for (int64_t j = left; j < right; j++)
                        to[i * d->dilation_h * d->w + j * dilation] += window[i * kw + j];
        }
    }
}

/* Calls f(..., kw, dilation) with the kernel width a constant where it is a usual one. */
#define USUAL_WIDTH(f, ...)                                                                        \
    do {                                                                                           \
        if (d->dilation_w != 1)                                                                    \
            f(__VA_ARGS__, d->kw, d->dilation_w);                                                  \
        else if (d->kw == 1)                                                                       \
            f(__VA_ARGS__, 1, 1);                                                                  \
        else if (d->kw == 2)                                                                       \
            f(__VA_ARGS__, 2, 1);                                                                  \
        else if (d->kw == 3)                                                                       \
            f(__VA_ARGS__, 3, 1);                                                                  \
        else if (d->kw == 5)                                                                       \
            f(__VA_ARGS__, 5, 1);                                                                  \
        else                                                                                       \
            f(__VA_ARGS__, d->kw, 1);                                                              \
    } while (0)

static void im2col_row(const nnf_conv *d, int64_t row, const real *x, real *col) {
    x += row / d->oh * d->c * d->h * d->w;
    col += row * d->ow * d->c * d->kh * d->kw;
    USUAL_WIDTH(unfold_row, d, row % d->oh, x, col);
}

int FN(im2col)(const nnf_conv *d, const real *x, real *col) {
    const int64_t rows = d->n * d->oh, size = rows * d->ow * d->c * d->kh * d->kw;
    PARALLEL_FOR(row, rows, 0.5 * (double)size, im2col_row(d, row, x, col));
    return NNF_OK;
}

static void col2im_block(const nnf_conv *d, int64_t image, int64_t c0, const real *col, real *x) {
    const int64_t c1 = MIN(c0 + CHANNEL_BLOCK, d->c), plane = d->h * d->w;
    const int64_t row = d->ow * d->c * d->kh * d->kw;
    x += image * d->c * plane;
    col += image * d->oh * row;
    memset(x + c0 * plane, 0, (size_t)((c1 - c0) * plane) * sizeof(real));
    for (int64_t oh = d->oh - 1; oh >= 0; oh--)
        USUAL_WIDTH(fold_row, d, oh, c0, c1, col + oh * row, x);
}

int FN(col2im)(const nnf_conv *d, const real *col, real *x) {
    const int64_t blocks = ceil_div(d->c, CHANNEL_BLOCK);
    const int64_t size = d->n * d->oh * d->ow * d->c * d->kh * d->kw;
    PARALLEL_FOR(task, d->n * blocks, 0.5 * (double)size + (double)(d->n * d->c * d->h * d->w),
                 col2im_block(d, task / blocks, task % blocks * CHANNEL_BLOCK, col, x));
    return NNF_OK;
}
