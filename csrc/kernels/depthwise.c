/* depthwise.c: convolution with a kernel of its own for each channel (groups == c, m = k / c), and
 * its input gradient: x, dx (n, c, h, w), weight (k, 1, kh, kw), y, dy (n, k, oh, ow).
 *
 * A task owns some planes; results are sums over taps of contiguous rows of a frame. The last
 * vector of a row of results may run over into the next row, which is written afterwards.
 */
#include <stdatomic.h>

#include "activate.h"
#include "depthwise.h"

enum { TOGETHER = 4 }; /* vectors of results, to hide the latency of their sums */

/* Taps of a plane of results: sums of weight[t] * from[offset[t]]. */
typedef struct {
    int64_t taps;
    const int64_t *offset;
    const real *weight;
} tap_list;

VINLINE void sum_vectors(int vectors, int64_t taps, const tap_list *t, const real *const *from,
                         vec *sum) {
    for (int v = 0; v < vectors; v++)
        sum[v] = vzero();
    for (int64_t k = 0; k < taps; k++) {
        const vec factor = vset1(t->weight[k]);
        const int64_t offset = t->offset[k];
        for (int v = 0; v < vectors; v++)
            sum[v] = vfma(factor, vload(from[v] + offset), sum[v]);
    }
}

static vec sum_vector(const tap_list *t, const real *from) {
    vec sum;
    sum_vectors(1, t->taps, t, &from, &sum);
    return sum;
}

typedef struct {
    real scale, bias;
    nnf_activation act;
} plane_finish;

/* out (rows, count), from rows `step` apart; nothing is written from `end` on. */
static void sum_plane(const tap_list *t, int64_t rows, int64_t count, const real *from,
                      int64_t step, const plane_finish *f, real *out, const real *end) {
    const vec scale = vset1(f->scale), bias = vset1(f->bias);
    const real *source[TOGETHER];
    real *to[TOGETHER];
    const int64_t per_row = ceil_div(count, VL), total = rows * per_row;
    for (int64_t done = 0, row = 0, i = 0; done < total; done += TOGETHER) {
        const int64_t vectors = MIN(TOGETHER, total - done);
        for (int64_t v = 0; v < TOGETHER; v++) {
            source[v] = v < vectors ? from + row * step + i : source[0];
            to[v] = out + row * count + i;
            i += VL;
            if (i >= count) {
                i = 0;
                row++;
            }
        }
        vec sum[TOGETHER];
        if (t->taps == 9)
            sum_vectors(TOGETHER, 9, t, source, sum);
        else
            sum_vectors(TOGETHER, t->taps, t, source, sum);
        for (int64_t v = 0; v < vectors; v++)
            vstore_upto(to[v], activate(sum[v] * scale + bias, f->act), end - to[v]);
    }
}

int FN(depthwise_forward)(const nnf_conv *d, const real *x, const real *weight,
                          const conv_finish *f, real *y) {
    if (FN(depthwise_fits_rows)(d))
        return FN(depthwise_rows_forward)(d, x, weight, f, y);
#if NNF_DTYPE_BITS == 32
    if (FN(depthwise_fits_lanes)(d))
        return FN(depthwise_lanes_forward)(d, x, weight, f, y);
#endif
    const int64_t m = d->k / d->c, taps = d->kh * d->kw, out = d->oh * d->ow;
    const int64_t planes = d->n * d->c, group = MAX(1, NNF_CHUNK / (m * out));
    const depthwise_frame frame = input_frame(d);
    int64_t *offset = nnf_alloc((size_t)taps * sizeof *offset);
    if (!offset || is_too_large(&frame)) {
        nnf_free(offset);
        return NNF_NO_MEMORY;
    }
    input_taps(d, &frame, offset);
    atomic_int status = NNF_OK;
    PARALLEL_FOR(task, ceil_div(planes, group), 0.05 * (double)(planes * m * out * (taps + 3)), {
        real *in = new_frames(&frame, 1, 0);
        if (!in)
            status = NNF_NO_MEMORY;
        for (int64_t p = task * group; in && p < MIN((task + 1) * group, planes); p++) {
            fill_frame(&frame, d->h, d->w, x + p * d->h * d->w, d->h * d->w, in);
            for (int64_t i = 0; i < m; i++) {
                const int64_t k = p % d->c * m + i;
                const tap_list list = {taps, offset, weight + k * taps};
                const plane_finish finish = {f->scale ? f->scale[k] : 1, f->bias ? f->bias[k] : 0,
                                             f->act};
                real *plane = y + (p * m + i) * out;
                sum_plane(&list, d->oh, d->ow, in, d->stride_h * pitch_of(&frame), &finish, plane,
                          plane + out);
            }
        }
        nnf_free(in);
    });
    nnf_free(offset);
    return status;
}

static const plane_finish as_it_is = {1, 0, NNF_LINEAR};

static tap_list class_taps(const depthwise_classes *by, const real *weight, int64_t class) {
    const int64_t start = by->start[class];
    return (tap_list){by->start[class + 1] - start, by->offset + start, weight + start};
}

/* A row of dx at stride 2: even and odd columns are of different classes and alternate. */
static void gradient_row_by_twos(const nnf_conv *d, const depthwise_classes *by, const real *weight,
                                 int64_t row_class, const real *row, real *to, const real *end) {
    const tap_list even = class_taps(by, weight, row_class + d->pad_w % 2);
    const tap_list odd = class_taps(by, weight, row_class + (d->pad_w + 1) % 2);
    for (int64_t i = 0; 2 * i < d->w; i += VL) {
        const vec a = sum_vector(&even, row + d->pad_w / 2 + i);
        const vec b = sum_vector(&odd, row + (d->pad_w + 1) / 2 + i);
        real *const at = to + 2 * i;
        vstore_zipped(at, a, b, end - at);
    }
}

/* The same for any stride, by a scratch row. */
static void gradient_row(const nnf_conv *d, const depthwise_classes *by, const real *weight,
                         int64_t row_class, const real *row, real *scratch, real *to) {
    for (int64_t phase = 0; phase < d->stride_w; phase++) {
        const tap_list list = class_taps(by, weight, row_class + phase);
        const int64_t offset = d->pad_w - phase; /* pixels iw = q * stride - offset */
        const int64_t q = offset > 0 ? ceil_div(offset, d->stride_w) : 0;
        const int64_t count = ceil_div(MAX(0, d->w + offset), d->stride_w) - q;
        sum_plane(&list, 1, count, row + q, 0, &as_it_is, scratch, scratch + round_up(d->w, VL));
        for (int64_t i = 0; i < count; i++)
            to[(q + i) * d->stride_w - offset] = scratch[i];
    }
}

/* One plane of dx from the frames of dy; weight in the order of the classes. */
static void gradient_plane(const nnf_conv *d, const depthwise_classes *by, const real *frames,
                           const real *weight, real *scratch, real *dx) {
    const real *const end = dx + d->h * d->w;
    if (d->stride_h == 1 && d->stride_w == 1) {
        const tap_list list = class_taps(by, weight, 0);
        sum_plane(&list, d->h, d->w, frames + d->pad_h * by->f.segment + d->pad_w, by->f.segment,
                  &as_it_is, dx, end);
        return;
    }
    for (int64_t ih = 0; ih < d->h; ih++) {
        const int64_t u = ih + d->pad_h, row_class = u % d->stride_h * d->stride_w;
        const real *const row = frames + u / d->stride_h * by->f.segment;
        if (d->stride_w == 2)
            gradient_row_by_twos(d, by, weight, row_class, row, dx + ih * d->w, end);
        else
            gradient_row(d, by, weight, row_class, row, scratch, dx + ih * d->w);
    }
}

int FN(depthwise_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    if (FN(depthwise_fits_rows)(d))
        return FN(depthwise_rows_backward_input)(d, dy, weight, dx);
#if NNF_DTYPE_BITS == 32
    if (FN(depthwise_fits_lanes)(d))
        return FN(depthwise_lanes_backward_input)(d, dy, weight, dx);
#endif
    const int64_t m = d->k / d->c, taps = m * d->kh * d->kw, in = d->h * d->w, out = d->oh * d->ow;
    const int64_t planes = d->n * d->c, group = MAX(1, NNF_CHUNK / in);
    const int64_t top = (d->kh - 1) * d->dilation_h / d->stride_h;
    const int64_t left = (d->kw - 1) * d->dilation_w / d->stride_w;
    const int64_t read = left + (d->w - 1 + d->pad_w) / d->stride_w + 2 + VL;
    depthwise_classes by = {.f = {.rows = top + (d->h - 1 + d->pad_h) / d->stride_h + 1,
                                  .segment = MAX(read, copied_segment(d->ow, 1, left)),
                                  .phases = 1,
                                  .top = top,
                                  .left = left}};
    if (is_too_large(&by.f) || !find_classes(d, &by))
        return NNF_NO_MEMORY;
    atomic_int status = NNF_OK;
    PARALLEL_FOR(task, ceil_div(planes, group), 0.05 * (double)(planes * (in + m * out * taps)), {
        real *frames = new_frames(&by.f, m, taps + round_up(d->w, VL));
        real *ordered = frames + m * size_of(&by.f);
        if (!frames)
            status = NNF_NO_MEMORY;
        for (int64_t p = task * group; frames && p < MIN((task + 1) * group, planes); p++) {
            for (int64_t i = 0; i < m; i++)
                fill_frame(&by.f, d->oh, d->ow, dy + (p * m + i) * out, out,
                           frames + i * size_of(&by.f));
            for (int64_t t = 0; t < taps; t++)
                ordered[t] = weight[p % d->c * taps + by.index[t]];
            gradient_plane(d, &by, frames, ordered, ordered + taps, dx + p * in);
        }
        nnf_free(frames);
    });
    nnf_free(by.start);
    return status;
}
