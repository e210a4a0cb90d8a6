/* conv_fold.c: input gradient of a convolution with few input channels, such as the first layer's.
 *
 * dy (n, k, oh, ow), weight (k, c, kh, kw), dx (n, c, h, w).
 * As an implicit GEMM this product has as many rows as channels, so that most of a register tile
 * stays empty and every gathered pixel is used a few times only. Here the rows are channels x taps:
 * columns (c x taps, pixels) = weight^T dy for a block of pixels of one image, added to dx
 * while they are in the cache. Nothing of dy is gathered.
 */
#include <stdatomic.h>

#include "conv.h"
#include "gemm.h"

/* Adds columns (rows, NC) of output pixels [pixel, pixel + pixels) to dx (c, h, w). */
static void fold(const nnf_conv *d, int64_t rows, int64_t pixel, int64_t pixels,
                 const real *columns, real *dx) {
    const int64_t taps = d->kh * d->kw, stride = d->stride_w, end = pixel + pixels;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t down = r % taps / d->kw * d->dilation_h - d->pad_h;
        const int64_t right = r % d->kw * d->dilation_w - d->pad_w;
        /* the output columns whose tap lies inside the image */
        const int64_t inside = MAX(0, ceil_div(-right, stride));
        const int64_t outside = d->w > right ? ceil_div(d->w - right, stride) : 0;
        for (int64_t p = pixel; p < end; p += d->ow - p % d->ow) {
            const int64_t ih = p / d->ow * d->stride_h + down, row = p - p % d->ow;
            if (ih < 0 || ih >= d->h)
                continue;
            const int64_t first = MAX(p - row, inside), last = MIN(end - row, MIN(d->ow, outside));
            const real *const restrict from = columns + r * NC + row - pixel;
            real *const restrict to = dx + (r / taps * d->h + ih) * d->w + right;
            if (stride == 1)
                for (int64_t j = first; j < last; j++)
                    to[j] += from[j];
            else
                for (int64_t j = first; j < last; j++)
                    to[j * stride] += from[j];
        }
    }
}

/* dy, dx: of one image. */
static int fold_image(const nnf_conv *d, const real *weight, const real *dy, real *dx) {
    const int64_t size = d->oh * d->ow, rows = d->c * d->kh * d->kw;
    real *const b = alloc_reals(MIN(KC, d->k) * NC), *const columns = alloc_reals(rows * NC);
    const bool ready = b && columns;
    memset(dx, 0, (size_t)(d->c * d->h * d->w) * sizeof(real));
    for (int64_t pixel = 0; ready && pixel < size; pixel += NC) {
        const int64_t pixels = MIN(NC, size - pixel), vectors = ceil_div(pixels, VL);
        gemm_column out[NC / VL];
        for (int64_t v = 0; v < vectors; v++)
            out[v] = (gemm_column){.c = columns + v * VL, .width = VL};
        for (int64_t p = 0; p < d->k; p += KC) {
            const int64_t depth = MIN(KC, d->k - p);
            const gemm_finish finish = {.accumulate = p > 0, .act = NNF_LINEAR};
            const gemm_left a = {
                .a = weight + p * rows, .k = depth, .tile = MR, .row = 1, .depth = rows};
            const gemm_right right = {.b = b, .vector = depth * VL, .depth = VL};
            FN(gemm_pack)(pixels, depth, depth, VL, dy + p * size + pixel, 1, size, b);
            FN(gemm_block)(rows, &a, &right, vectors, out, NC, &finish);
        }
        fold(d, rows, pixel, pixels, columns, dx);
    }
    nnf_free(b);
    nnf_free(columns);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}

int FN(conv_fold_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t rows = d->c * d->kh * d->kw, size = d->k * d->oh * d->ow;
    atomic_int failed = 0;
    PARALLEL_FOR(i, d->n, 0.03 * (double)(d->n * size) * (double)rows, {
        if (fold_image(d, weight, dy + i * size, dx + i * d->c * d->h * d->w) != NNF_OK)
            failed = 1;
    });
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
