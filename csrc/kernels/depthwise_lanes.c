/* depthwise_lanes.c: depthwise convolution of small planes and its gradients: x, dx (n, c, h, w),
 * weight, dweight (c, 1, kh, kw), y, dy (n, c, oh, ow).
 *
 * Short rows fill no vector, and cost more to find than to multiply. Here a vector is one pixel of
 * VL channels, a group: their planes are transposed in registers into frames (rows, columns, VL),
 * with zeros around them; weights are (groups, taps, VL). A task takes several images of a group.
 * Results and the gradient of x are summed in the same order as by depthwise.c.
 */
#include <stdatomic.h>

#include "activate.h"
#include "depthwise.h"
#include "vecdouble.h"

#if NNF_DTYPE_BITS == 32

enum {
    TOGETHER = 4,          /* pixels of results, to hide the latency of their sums */
    FRAME_BYTES = 24 << 10 /* at most: most of the L1 cache */
};

typedef struct {
    const nnf_conv *d;
    int64_t taps, in, out, groups, images; /* of a plane of x, of y; images of a task */
    depthwise_frame f;                     /* of x, or of dy for the gradient of x */
    int64_t *place;                        /* of a pixel in its frame */
    int64_t *window, *offset; /* (out), (taps): of a window in the frame of x, of a tap in it */
    real *weight;             /* NULL if there is none */
} problem;

static depthwise_frame x_frame(const nnf_conv *d) {
    const int64_t rows = (d->oh - 1) * d->stride_h + (d->kh - 1) * d->dilation_h + 1;
    const int64_t columns = (d->ow - 1) * d->stride_w + (d->kw - 1) * d->dilation_w + 1;
    return (depthwise_frame){.rows = MAX(rows, d->pad_h + d->h),
                             .segment = MAX(columns, d->pad_w + d->w),
                             .phases = 1,
                             .top = d->pad_h,
                             .left = d->pad_w};
}

static depthwise_frame dy_frame(const nnf_conv *d) {
    const int64_t top = (d->kh - 1) * d->dilation_h / d->stride_h;
    const int64_t left = (d->kw - 1) * d->dilation_w / d->stride_w;
    return (depthwise_frame){.rows = top + MAX(d->oh, (d->h - 1 + d->pad_h) / d->stride_h + 1),
                             .segment = left + MAX(d->ow, (d->w - 1 + d->pad_w) / d->stride_w + 1),
                             .phases = 1,
                             .top = top,
                             .left = left};
}

bool FN(depthwise_fits_lanes)(const nnf_conv *d) {
    const depthwise_frame x = x_frame(d), dy = dy_frame(d);
    const int64_t room = FRAME_BYTES / VBYTES;
    return d->k == d->c && d->c >= VL && !is_too_large(&x) && !is_too_large(&dy) &&
           size_of(&x) <= room && size_of(&dy) <= room;
}

static void free_problem(problem *q) {
    nnf_free(q->place);
    nnf_free(q->weight);
}

/* Tables for planes of `width` columns and `size` pixels in frames like f. */
static bool make_problem(const nnf_conv *d, const depthwise_frame *f, int64_t width, int64_t size,
                         const real *weight, problem *q) {
    const int64_t taps = d->kh * d->kw, in = d->h * d->w, out = d->oh * d->ow;
    *q = (problem){
        .d = d,
        .taps = taps,
        .in = in,
        .out = out,
        .groups = ceil_div(d->c, VL),
        .images = MAX(1, NNF_CHUNK / (VL * MAX(in, out))),
        .f = *f,
        .place = nnf_alloc((size_t)(size + out + taps) * sizeof *q->place),
    };
    q->weight = weight ? alloc_reals(q->groups * taps * VL) : NULL;
    if (!q->place || (weight && !q->weight)) {
        free_problem(q);
        return false;
    }
    q->window = q->place + size;
    q->offset = q->window + out;
    for (int64_t i = 0; i < size; i++)
        q->place[i] = (f->top + i / width) * f->segment + f->left + i % width;
    for (int64_t i = 0; i < out; i++)
        q->window[i] = i / d->ow * d->stride_h * f->segment + i % d->ow * d->stride_w;
    input_taps(d, f, q->offset);
    for (int64_t c = 0; weight && c < q->groups * VL; c++)
        for (int64_t t = 0; t < taps; t++)
            q->weight[(c / VL * taps + t) * VL + c % VL] = c < d->c ? weight[c * taps + t] : 0;
    return true;
}

/* What a task works on: images [first, last) of a group. */
typedef struct {
    int64_t group, channel, lanes, first, last;
} block;

static block find_block(const problem *q, int64_t task) {
    const int64_t group = task % q->groups, first = task / q->groups * q->images;
    return (block){group, group * VL, MIN(VL, q->d->c - group * VL), first,
                   MIN(first + q->images, q->d->n)};
}

static int64_t tasks_of(const problem *q) { return ceil_div(q->d->n, q->images) * q->groups; }

static double work_of(const problem *q) {
    return 0.03 * (double)(q->d->n * q->d->c) * (double)(q->out * q->taps + q->in);
}

/* Transposes planes (lanes, size) to pixels of a frame, or to the first of `to`. */
static void load_planes(int64_t lanes, int64_t size, const real *planes, int64_t ahead,
                        const int64_t *place, real *to) {
    for (int64_t i = 0; i < size; i += VL) {
        const int64_t count = MIN(VL, size - i);
        vec square[VL];
        NNF_EACH (k, VL)
            __builtin_prefetch(planes + k * size + i + ahead, 0, 2);
        if (lanes == VL && count == VL)
            NNF_EACH (k, VL)
                square[k] = vload(planes + k * size + i);
        else
            for (int64_t k = 0; k < VL; k++)
                square[k] = k < lanes ? vload_upto(planes + k * size + i, count) : vzero();
        vtranspose(square);
        if (count == VL)
            NNF_EACH (k, VL)
                vstore(to + (place ? place[i + k] : i + k) * VL, square[k]);
        else
            for (int64_t k = 0; k < count; k++)
                vstore(to + (place ? place[i + k] : i + k) * VL, square[k]);
    }
}

/* And back from pixels (size, VL), of which a few are read too much. */
static void store_planes(int64_t lanes, int64_t size, const real *pixels, real *planes) {
    for (int64_t i = 0; i < size; i += VL) {
        vec square[VL];
        NNF_EACH (k, VL)
            square[k] = vload(pixels + (i + k) * VL);
        vtranspose(square);
        if (lanes == VL && size - i >= VL)
            NNF_EACH (k, VL)
                vstore(planes + k * size + i, square[k]);
        else
            for (int64_t k = 0; k < lanes; k++)
                vstore_upto(planes + k * size + i, square[k], size - i);
    }
}

/* A frame of zeros and, after it, pixels (size, VL) and a few more. Sums may read beyond the frame
 * where nothing is made of them. */
static real *new_frame(const problem *q, int64_t size) {
    return new_frames(&q->f, VL, (size + VL) * VL);
}

/* Sums of weight[index[t]] * from[offset[t]], pixels of VL lanes. */
VINLINE void sum_pixels(int64_t taps, const int64_t *index, const int64_t *offset,
                        const real *weight, const real *const from[TOGETHER], vec sum[TOGETHER]) {
    NNF_EACH (v, TOGETHER)
        sum[v] = vzero();
    for (int64_t t = 0; t < taps; t++) {
        const vec factor = vload(weight + (index ? index[t] : t) * VL);
        NNF_EACH (v, TOGETHER)
            sum[v] = vfma(factor, vload(from[v] + offset[t] * VL), sum[v]);
    }
}

/* The values of the block's channels, or `none` if there are no values. */
static vec channel_values(const block *b, const real *values, real none) {
    return values ? vload_upto(values + b->channel, b->lanes) : vset1(none);
}

/* y (out, VL) of the windows of a frame. */
static void convolve(const problem *q, const real *frame, const real *weight, vec scale, vec bias,
                     nnf_activation act, real *y) {
    for (int64_t i = 0; i < q->out; i += TOGETHER) {
        const real *from[TOGETHER];
        vec sum[TOGETHER];
        NNF_EACH (v, TOGETHER)
            from[v] = frame + q->window[MIN(i + v, q->out - 1)] * VL;
        if (q->taps == 9)
            sum_pixels(9, NULL, q->offset, weight, from, sum);
        else
            sum_pixels(q->taps, NULL, q->offset, weight, from, sum);
        NNF_EACH (v, TOGETHER)
            vstore(y + (i + v) * VL, activate(sum[v] * scale + bias, act));
    }
}

int FN(depthwise_lanes_forward)(const nnf_conv *d, const real *x, const real *weight,
                                const conv_finish *f, real *y) {
    const depthwise_frame frame = x_frame(d);
    problem q;
    if (!make_problem(d, &frame, d->w, d->h * d->w, weight, &q))
        return NNF_NO_MEMORY;
    atomic_int failed = 0;
    PARALLEL_FOR(task, tasks_of(&q), work_of(&q), {
        const block b = find_block(&q, task);
        const vec scale = channel_values(&b, f->scale, 1), bias = channel_values(&b, f->bias, 0);
        real *const in = new_frame(&q, q.out), *const pixels = in + size_of(&q.f) * VL;
        if (!in)
            failed = 1;
        for (int64_t n = b.first; in && n < b.last; n++) {
            const int64_t plane = n * d->c + b.channel;
            load_planes(b.lanes, q.in, x + plane * q.in, d->c * q.in, q.place, in);
            convolve(&q, in, q.weight + b.group * q.taps * VL, scale, bias, f->act, pixels);
            store_planes(b.lanes, q.out, pixels, y + plane * q.out);
        }
        nnf_free(in);
    });
    free_problem(&q);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* A row of dx (w, VL) whose pixels are of the classes from row_class on. */
static void gradient_row(const nnf_conv *d, const depthwise_classes *by, int64_t row_class,
                         const real *row, const real *weight, real *dx) {
    for (int64_t phase = 0; phase < d->stride_w; phase++) {
        const int64_t start = by->start[row_class + phase];
        const int64_t taps = by->start[row_class + phase + 1] - start;
        const int64_t behind = d->pad_w - phase; /* pixels iw = place * stride - behind */
        int64_t place = behind > 0 ? ceil_div(behind, d->stride_w) : 0;
        for (int64_t iw; (iw = place * d->stride_w - behind) < d->w; place += TOGETHER) {
            const real *from[TOGETHER];
            vec sum[TOGETHER];
            NNF_EACH (v, TOGETHER)
                from[v] = row + (place + v) * VL;
            sum_pixels(taps, by->index + start, by->offset + start, weight, from, sum);
            for (int v = 0; v < TOGETHER && iw < d->w; v++, iw += d->stride_w)
                vstore(dx + iw * VL, sum[v]);
        }
    }
}

int FN(depthwise_lanes_backward_input)(const nnf_conv *d, const real *dy, const real *weight,
                                       real *dx) {
    depthwise_classes by = {.f = dy_frame(d)};
    problem q;
    if (!find_classes(d, &by))
        return NNF_NO_MEMORY;
    if (!make_problem(d, &by.f, d->ow, d->oh * d->ow, weight, &q)) {
        nnf_free(by.start);
        return NNF_NO_MEMORY;
    }
    atomic_int failed = 0;
    PARALLEL_FOR(task, tasks_of(&q), work_of(&q), {
        const block b = find_block(&q, task);
        real *const frame = new_frame(&q, q.in), *const pixels = frame + size_of(&q.f) * VL;
        if (!frame)
            failed = 1;
        for (int64_t n = b.first; frame && n < b.last; n++) {
            const int64_t plane = n * d->c + b.channel;
            load_planes(b.lanes, q.out, dy + plane * q.out, d->c * q.out, q.place, frame);
            for (int64_t ih = 0; ih < d->h; ih++) {
                const int64_t u = ih + d->pad_h;
                gradient_row(d, &by, u % d->stride_h * d->stride_w,
                             frame + u / d->stride_h * by.f.segment * VL,
                             q.weight + b.group * q.taps * VL, pixels + ih * d->w * VL);
            }
            store_planes(b.lanes, q.in, pixels, dx + plane * q.in);
        }
        nnf_free(frame);
    });
    free_problem(&q);
    nnf_free(by.start);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

/* total[t] (VL) += the products of dy (out, VL) and what tap t sees of the frame of x. */
VINLINE void add_products(int taps, const problem *q, const int64_t *offset, const real *frame,
                          const real *dy, double *total) {
    for (int64_t first = 0; first < q->out; first += SHORT_SUM) {
        vec sum[9];
        for (int t = 0; t < taps; t++)
            sum[t] = vzero();
        for (int64_t i = first; i < MIN(first + SHORT_SUM, q->out); i++) {
            const vec factor = vload(dy + i * VL);
            const real *const from = frame + q->window[i] * VL;
            for (int t = 0; t < taps; t++)
                sum[t] = vfma(factor, vload(from + offset[t] * VL), sum[t]);
        }
        for (int t = 0; t < taps; t++)
            vadd_wide(total + t * VL, sum[t]);
    }
}

static void add_image(const problem *q, const real *frame, const real *dy, bool bias,
                      double *total) {
    int64_t t = 0;
    for (; t + 9 <= q->taps; t += 9)
        add_products(9, q, q->offset + t, frame, dy, total + t * VL);
    for (; t + 5 <= q->taps; t += 5)
        add_products(5, q, q->offset + t, frame, dy, total + t * VL);
    for (; t < q->taps; t++)
        add_products(1, q, q->offset + t, frame, dy, total + t * VL);
    for (int64_t first = 0; bias && first < q->out; first += SHORT_SUM) {
        vec sum = vzero();
        for (int64_t i = first; i < MIN(first + SHORT_SUM, q->out); i++)
            sum += vload(dy + i * VL);
        vadd_wide(total + q->taps * VL, sum);
    }
}

/* Adds up the totals (tasks, taps + 1, VL), the last of them the bias's, in the order of images. */
static void finish_gradient(const problem *q, const double *totals, real *dweight, real *dbias) {
    const int64_t own = (q->taps + 1) * VL, blocks = tasks_of(q) / q->groups;
    for (int64_t c = 0; c < q->d->c; c++)
        for (int64_t t = 0; t <= q->taps; t++) {
            double sum = 0;
            for (int64_t i = 0; i < blocks; i++)
                sum += totals[(i * q->groups + c / VL) * own + t * VL + c % VL];
            if (t < q->taps)
                dweight[c * q->taps + t] = (real)sum;
            else if (dbias)
                dbias[c] = (real)sum;
        }
}

int FN(depthwise_lanes_backward_weight)(const nnf_conv *d, const real *dy, const real *x,
                                        real *dweight, real *dbias) {
    const depthwise_frame frame = x_frame(d);
    problem q;
    if (!make_problem(d, &frame, d->w, d->h * d->w, NULL, &q))
        return NNF_NO_MEMORY;
    const int64_t own = (q.taps + 1) * VL;
    double *const totals = nnf_alloc((size_t)(tasks_of(&q) * own) * sizeof *totals);
    atomic_int failed = !totals;
    if (totals) {
        PARALLEL_FOR(task, tasks_of(&q), work_of(&q), {
            const block b = find_block(&q, task);
            double *const total = totals + task * own;
            real *const in = new_frame(&q, q.out), *const pixels = in + size_of(&q.f) * VL;
            if (!in)
                failed = 1;
            memset(total, 0, (size_t)own * sizeof *total);
            for (int64_t n = b.first; in && n < b.last; n++) {
                const int64_t plane = n * d->c + b.channel;
                load_planes(b.lanes, q.in, x + plane * q.in, d->c * q.in, q.place, in);
                load_planes(b.lanes, q.out, dy + plane * q.out, d->c * q.out, NULL, pixels);
                add_image(&q, in, pixels, dbias, total);
            }
            nnf_free(in);
        });
        finish_gradient(&q, totals, dweight, dbias);
    }
    nnf_free(totals);
    free_problem(&q);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}

#endif
