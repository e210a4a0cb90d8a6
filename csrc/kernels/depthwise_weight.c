/* depthwise_weight.c: weight gradient of a convolution with a kernel of its own for each channel:
 * x (n, c, h, w), dy (n, k, oh, ow), dweight (k, 1, kh, kw), dbias (k) or NULL, m = k / c.
 *
 * A task owns a channel: each tap's gradient is the product of dy with a shifted x, summed over all
 * images. Sums stay in vectors for a while, then go to a total in double.
 */
#include <stdatomic.h>

#include "depthwise.h"
#include "sum.h"

/* sum[t] += dy[i] * x[offset[t] + i] over rows of `count` elements, for `taps` taps. What lies
 * `ahead` in dy is fetched. */
VINLINE void dot_taps(int taps, int64_t rows, int64_t count, const int64_t *offset, const real *dy,
                      int64_t ahead, const real *x, int64_t x_pitch, vec *total) {
    vec sum[9];
    NNF_EACH (t, taps)
        sum[t] = total[t];
    for (int64_t row = 0; row < rows; row++, dy += count, x += x_pitch) {
        int64_t i = 0;
        for (; i + VL <= count; i += VL) {
            const vec factor = vload(dy + i);
            __builtin_prefetch(dy + ahead + i, 0, 2);
            NNF_EACH (t, taps)
                sum[t] = vfma(factor, vload(x + offset[t] + i), sum[t]);
        }
        if (i < count) { /* beyond the row x may hold anything, infinity too */
            const ivec valid = vfirst(count - i);
            const vec factor = vload_part(dy + i, count - i);
            NNF_EACH (t, taps) {
                const vec value = (vec)(valid & (ivec)vload(x + offset[t] + i));
                sum[t] = vfma(factor, value, sum[t]);
            }
        }
    }
    NNF_EACH (t, taps)
        total[t] = sum[t];
}

static void dot_rows(int64_t taps, int64_t rows, int64_t count, const int64_t *offset,
                     const real *dy, int64_t ahead, const real *x, int64_t x_pitch, vec *sum) {
    int64_t t = 0;
    for (; t + 9 <= taps; t += 9)
        dot_taps(9, rows, count, offset + t, dy, ahead, x, x_pitch, sum + t);
    for (; t + 5 <= taps; t += 5)
        dot_taps(5, rows, count, offset + t, dy, ahead, x, x_pitch, sum + t);
    for (; t < taps; t++)
        dot_taps(1, rows, count, offset + t, dy, ahead, x, x_pitch, sum + t);
}

/* Moves the sums (taps) to the totals. */
static void flush(int64_t taps, vec *sum, double *total) {
    for (int64_t t = 0; t < taps; t++) {
        total[t] += (double)vsum(sum[t]);
        sum[t] = vzero();
    }
}

real FN(depthwise_bias)(const nnf_conv *d, int64_t k, const real *dy) {
    return (real)sum_of_channel(d->n, d->k, d->oh * d->ow, k, dy);
}

/* dweight (m, taps) of channel c; `in` is the frame of x. */
static void channel_gradient(const nnf_conv *d, const depthwise_frame *f, const int64_t *offset,
                             int64_t c, const real *dy, const real *x, real *in, vec *sum,
                             double *total, real *dweight) {
    const int64_t m = d->k / d->c, taps = d->kh * d->kw, step = d->stride_h * pitch_of(f);
    const int64_t per_row = ceil_div(d->ow, VL), band = MAX(1, SHORT_SUM / per_row);
    for (int64_t t = 0; t < m * taps; t++) {
        sum[t] = vzero();
        total[t] = 0;
    }
    int64_t added = 0;
    for (int64_t n = 0; n < d->n; n++) {
        fill_frame(f, d->h, d->w, x + (n * d->c + c) * d->h * d->w, d->c * d->h * d->w, in);
        for (int64_t oh = 0; oh < d->oh; oh += band) {
            const int64_t rows = MIN(band, d->oh - oh);
            if (added + rows * per_row > SHORT_SUM) {
                flush(m * taps, sum, total);
                added = 0;
            }
            added += rows * per_row;
            for (int64_t i = 0; i < m; i++)
                dot_rows(taps, rows, d->ow, offset,
                         dy + ((n * d->k + c * m + i) * d->oh + oh) * d->ow, d->k * d->oh * d->ow,
                         in + oh * step, step, sum + i * taps);
        }
    }
    flush(m * taps, sum, total);
    for (int64_t t = 0; t < m * taps; t++)
        dweight[t] = (real)total[t];
}

int FN(depthwise_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight,
                                  real *dbias) {
    if (FN(depthwise_fits_rows)(d))
        return FN(depthwise_rows_backward_weight)(d, dy, x, dweight, dbias);
#if NNF_DTYPE_BITS == 32
    if (FN(depthwise_fits_lanes)(d))
        return FN(depthwise_lanes_backward_weight)(d, dy, x, dweight, dbias);
#endif
    const int64_t m = d->k / d->c, taps = d->kh * d->kw, own = m * taps;
    const depthwise_frame f = input_frame(d);
    int64_t *offset = nnf_alloc((size_t)taps * sizeof *offset);
    atomic_int status = offset && !is_too_large(&f) ? NNF_OK : NNF_NO_MEMORY;
    if (status == NNF_OK) {
        input_taps(d, &f, offset);
        PARALLEL_FOR(c, d->c, 0.05 * (double)(d->n * d->k * d->oh * d->ow * (taps + 3)), {
            real *in = new_frames(&f, 1, 0);
            vec *sum = nnf_alloc((size_t)own * sizeof *sum);
            double *total = nnf_alloc((size_t)own * sizeof *total);
            if (in && sum && total)
                channel_gradient(d, &f, offset, c, dy, x, in, sum, total, dweight + c * own);
            else
                status = NNF_NO_MEMORY;
            for (int64_t k = c * m; dbias && k < (c + 1) * m; k++)
                dbias[k] = FN(depthwise_bias)(d, k, dy);
            nnf_free(in);
            nnf_free(sum);
            nnf_free(total);
        });
    }
    nnf_free(offset);
    return status;
}
