/* depthwise.c: convolution with a kernel of its own for each channel (groups == c, m = k / c):
 * x, dx (n, c, h, w), weight (k, 1, kh, kw), y, dy (n, k, oh, ow).
 *
 * A task copies a plane into a frame of zeros and takes its columns apart by their remainder modulo
 * the stride (its "phases"). In the frame every result row is a sum of weights times contiguous
 * rows, wherever it lies and whatever the stride and dilation. */
#include "conv.h"

#include "activate.h"
#include "vecdouble.h"

/* A frame: row r holds row r - top of the plane; element i of phase f is its column
 * i * phases + f - left. */
typedef struct {
    int64_t rows, segment, phases, top, left;
} frame;

static int64_t pitch_of(const frame *f) { return f->segment * f->phases; }

static int64_t size_of(const frame *f) { return f->rows * pitch_of(f); }

static bool is_too_large(const frame *f) { return f->rows > 1 << 24 || pitch_of(f) > 1 << 24; }

VINLINE void copy_phase(int64_t count, int64_t step, const real *from, real *to) {
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i * step];
}

/* Copies plane (h, w) into the frame, whose margins are zero and stay so. */
static void fill_frame(const frame *f, int64_t h, int64_t w, const real *plane, real *to) {
    const int64_t first = MAX(0, -f->top), last = MIN(h, f->rows - f->top);
    for (int64_t phase = 0; phase < f->phases; phase++) {
        /* of this phase's elements, those whose column is in [0, w) */
        const int64_t offset = f->left - phase;
        const int64_t begin = offset > 0 ? ceil_div(offset, f->phases) : 0;
        const int64_t end = MIN(f->segment, ceil_div(MAX(0, w + offset), f->phases));
        for (int64_t row = first; row < last; row++) {
            const real *from = plane + row * w + begin * f->phases - offset;
            real *at = to + (row + f->top) * pitch_of(f) + phase * f->segment + begin;
            if (f->phases == 1 && end > begin)
                memcpy(at, from, (size_t)(end - begin) * sizeof(real));
            else if (f->phases == 2)
                copy_phase(end - begin, 2, from, at);
            else
                copy_phase(end - begin, f->phases, from, at);
        }
    }
}

/* out[i] = act(bias + sum over taps of weight[t] * from[offset[t] + i]), `vectors` vectors. */
VINLINE void sum_taps(int vectors, int64_t taps, const int64_t *offset, const real *weight,
                      const real *from, real bias, nnf_activation act, int64_t room, real *out) {
    vec sum[4];
    for (int v = 0; v < vectors; v++)
        sum[v] = vzero();
    for (int64_t t = 0; t < taps; t++) {
        const vec factor = vset1(weight[t]);
        for (int v = 0; v < vectors; v++)
            sum[v] = vfma(factor, vload(from + offset[t] + v * VL), sum[v]);
    }
    for (int v = 0; v < vectors; v++) {
        sum[v] = activate(sum[v] + vset1(bias), act);
        if (room >= (v + 1) * VL)
            vstore(out + v * VL, sum[v]);
        else
            vstore_part(out + v * VL, sum[v], room - v * VL);
    }
}

/* A result row of `count` elements; up to `room` may be written at out. */
static void sum_row(int64_t count, int64_t taps, const int64_t *offset, const real *weight,
                    const real *from, real bias, nnf_activation act, int64_t room, real *out) {
    int64_t i = 0;
    for (; i + 3 * VL < count; i += 4 * VL)
        sum_taps(4, taps, offset, weight, from + i, bias, act, room - i, out + i);
    if (i + VL < count) {
        sum_taps(2, taps, offset, weight, from + i, bias, act, room - i, out + i);
        i += 2 * VL;
    }
    if (i < count)
        sum_taps(1, taps, offset, weight, from + i, bias, act, room - i, out + i);
}

/* The frame of x, and where in it the taps of the first window are. */
static frame input_frame(const nnf_conv *d) {
    const int64_t reach = (d->kw - 1) * d->dilation_w;
    return (frame){.rows = (d->oh - 1) * d->stride_h + (d->kh - 1) * d->dilation_h + 1,
                   .segment = reach / d->stride_w + round_up(d->ow, VL),
                   .phases = d->stride_w,
                   .top = d->pad_h,
                   .left = d->pad_w};
}

static void input_taps(const nnf_conv *d, const frame *f, int64_t *offset) {
    for (int64_t i = 0; i < d->kh; i++)
        for (int64_t j = 0; j < d->kw; j++) {
            const int64_t column = j * d->dilation_w;
            *offset++ = i * d->dilation_h * pitch_of(f) + column % f->phases * f->segment +
                        column / f->phases;
        }
}

/* Scratch of a task: the zeroed frame of each of `planes` planes, and more reals after them. */
static real *new_frames(const frame *f, int64_t planes, int64_t more) {
    real *frames = alloc_reals(planes * size_of(f) + more);
    if (frames)
        memset(frames, 0, (size_t)(planes * size_of(f)) * sizeof(real));
    return frames;
}

int FN(depthwise_forward)(const nnf_conv *d, const real *x, const real *weight, const real *bias,
                          nnf_activation act, real *y) {
    const int64_t m = d->k / d->c, taps = d->kh * d->kw, out = d->oh * d->ow;
    const int64_t planes = d->n * d->c, group = MAX(1, NNF_CHUNK / (m * out));
    const frame f = input_frame(d);
    int64_t *offset = nnf_alloc((size_t)taps * sizeof *offset);
    if (!offset || is_too_large(&f)) {
        nnf_free(offset);
        return NNF_NO_MEMORY;
    }
    input_taps(d, &f, offset);
    int status = NNF_OK;
    PARALLEL_FOR(task, ceil_div(planes, group), 0.1 * (double)(planes * m * out * (taps + 3)), {
        real *in = new_frames(&f, 1, 0);
        if (!in)
            __atomic_store_n(&status, NNF_NO_MEMORY, __ATOMIC_RELAXED);
        for (int64_t p = task * group; in && p < MIN((task + 1) * group, planes); p++) {
            fill_frame(&f, d->h, d->w, x + p * d->h * d->w, in);
            for (int64_t i = 0; i < m; i++) {
                const int64_t k = p % d->c * m + i;
                real *plane = y + (p * m + i) * out;
                for (int64_t oh = 0; oh < d->oh; oh++)
                    sum_row(d->ow, taps, offset, weight + k * taps,
                            in + oh * d->stride_h * pitch_of(&f), bias ? bias[k] : 0, act,
                            out - oh * d->ow, plane + oh * d->ow);
            }
        }
        nnf_free(in);
    });
    nnf_free(offset);
    return status;
}

/* Input gradient: pixel u (counted from the padding's first) meets the taps whose place has its
 * remainder modulo the stride: classes of pixels, each with its own taps in the frames of the m
 * planes of dy. */
typedef struct {
    frame f;
    int64_t *start;  /* (stride_h * stride_w + 1): a class's first tap */
    int64_t *offset; /* (m * kh * kw): of the tap, from row u / stride, element u / stride */
    int64_t *index;  /* (m * kh * kw): of its weight among the channel's */
} classes;

static void find_classes(const nnf_conv *d, classes *to) {
    const int64_t m = d->k / d->c, taps = d->kh * d->kw;
    int64_t count = 0;
    for (int64_t class = 0; class < d->stride_h * d->stride_w; class++) {
        to->start[class] = count;
        for (int64_t t = 0; t < m * taps; t++) {
            const int64_t row = t % taps / d->kw * d->dilation_h;
            const int64_t column = t % d->kw * d->dilation_w;
            if (row % d->stride_h != class / d->stride_w ||
                column % d->stride_w != class % d->stride_w)
                continue;
            to->index[count] = t;
            to->offset[count++] = t / taps * size_of(&to->f) +
                                  (to->f.top - row / d->stride_h) * to->f.segment + to->f.left -
                                  column / d->stride_w;
        }
    }
    to->start[d->stride_h * d->stride_w] = count;
}

/* One plane of dx from the frames of dy; weight in the order of the classes. */
static void gradient_plane(const nnf_conv *d, const classes *by, const real *frames,
                           const real *weight, real *scratch, real *dx) {
    for (int64_t ih = 0; ih < d->h; ih++) {
        const int64_t u = ih + d->pad_h;
        const real *row = frames + u / d->stride_h * by->f.segment;
        for (int64_t phase = 0; phase < d->stride_w; phase++) {
            const int64_t class = u % d->stride_h * d->stride_w + phase;
            const int64_t start = by->start[class], taps = by->start[class + 1] - start;
            const int64_t offset = d->pad_w - phase; /* pixels iw = q * stride - offset */
            const int64_t q = offset > 0 ? ceil_div(offset, d->stride_w) : 0;
            const int64_t count = ceil_div(MAX(0, d->w + offset), d->stride_w) - q;
            const bool direct = d->stride_w == 1;
            real *to = direct ? dx + ih * d->w : scratch;
            const int64_t room = direct ? (d->h - ih) * d->w : round_up(d->w, VL);
            sum_row(count, taps, by->offset + start, weight + start, row + q, 0, NNF_LINEAR, room,
                    to);
            for (int64_t i = 0; !direct && i < count; i++)
                dx[ih * d->w + (q + i) * d->stride_w - offset] = to[i];
        }
    }
}

int FN(depthwise_backward_input)(const nnf_conv *d, const real *dy, const real *weight, real *dx) {
    const int64_t m = d->k / d->c, taps = m * d->kh * d->kw, in = d->h * d->w, out = d->oh * d->ow;
    const int64_t planes = d->n * d->c, group = MAX(1, NNF_CHUNK / in);
    const int64_t top = (d->kh - 1) * d->dilation_h / d->stride_h;
    const int64_t left = (d->kw - 1) * d->dilation_w / d->stride_w;
    classes by = {.f = {.rows = top + (d->h - 1 + d->pad_h) / d->stride_h + 1,
                        .segment = left + (d->w - 1 + d->pad_w) / d->stride_w + 1 + VL,
                        .phases = 1,
                        .top = top,
                        .left = left}};
    const int64_t starts = d->stride_h * d->stride_w + 1;
    int64_t *lists = is_too_large(&by.f) || starts > 1 << 24
                         ? NULL
                         : nnf_alloc((size_t)(starts + 2 * taps) * sizeof *lists);
    if (!lists)
        return NNF_NO_MEMORY;
    by.start = lists;
    by.offset = lists + starts;
    by.index = by.offset + taps;
    find_classes(d, &by);
    int status = NNF_OK;
    PARALLEL_FOR(task, ceil_div(planes, group), 0.1 * (double)(planes * (in + m * out * taps)), {
        real *frames = new_frames(&by.f, m, taps + round_up(d->w, VL));
        real *ordered = frames + m * size_of(&by.f);
        if (!frames)
            __atomic_store_n(&status, NNF_NO_MEMORY, __ATOMIC_RELAXED);
        for (int64_t p = task * group; frames && p < MIN((task + 1) * group, planes); p++) {
            for (int64_t i = 0; i < m; i++)
                fill_frame(&by.f, d->oh, d->ow, dy + (p * m + i) * out,
                           frames + i * size_of(&by.f));
            for (int64_t t = 0; t < taps; t++)
                ordered[t] = weight[p % d->c * taps + by.index[t]];
            gradient_plane(d, &by, frames, ordered, ordered + taps, dx + p * in);
        }
        nnf_free(frames);
    });
    nnf_free(lists);
    return status;
}

/* total[t] += sum over a row of dy[i] * x[offset[t] + i], for `taps` taps. */
VINLINE void dot_taps(int taps, int64_t rows, int64_t count, const int64_t *offset, const real *dy,
                      const real *x, int64_t x_pitch, double *total) {
    vec sum[9];
    for (int t = 0; t < taps; t++)
        sum[t] = vzero();
    for (int64_t row = 0; row < rows; row++, dy += count, x += x_pitch) {
        int64_t i = 0;
        for (; i + VL <= count; i += VL) {
            const vec factor = vload(dy + i);
            for (int t = 0; t < taps; t++)
                sum[t] = vfma(factor, vload(x + offset[t] + i), sum[t]);
        }
        if (i < count) { /* beyond the row x may hold anything, infinity too */
            const ivec valid = vfirst(count - i);
            const vec factor = vload_part(dy + i, count - i);
            for (int t = 0; t < taps; t++) {
                const vec value = (vec)(valid & (ivec)vload(x + offset[t] + i));
                sum[t] = vfma(factor, value, sum[t]);
            }
        }
    }
    for (int t = 0; t < taps; t++)
        total[t] += (double)vsum(sum[t]);
}

/* Adds to total (kh * kw) what a plane of dy and the frame of its x give. Sums in `real` are kept
 * short, the rest is in double. */
static void gradient_kernel(const nnf_conv *d, const int64_t *offset, int64_t pitch, const real *dy,
                            const real *in, double *total) {
    const int64_t taps = d->kh * d->kw, band = MAX(1, 256 * VL / d->ow);
    for (int64_t oh = 0; oh < d->oh; oh += band, dy += band * d->ow, in += band * pitch) {
        const int64_t rows = MIN(band, d->oh - oh);
        int64_t t = 0;
        for (; t + 9 <= taps; t += 9)
            dot_taps(9, rows, d->ow, offset + t, dy, in, pitch, total + t);
        for (; t + 5 <= taps; t += 5)
            dot_taps(5, rows, d->ow, offset + t, dy, in, pitch, total + t);
        for (; t < taps; t++)
            dot_taps(1, rows, d->ow, offset + t, dy, in, pitch, total + t);
    }
}

int FN(depthwise_backward_weight)(const nnf_conv *d, const real *dy, const real *x, real *dweight) {
    const int64_t m = d->k / d->c, taps = d->kh * d->kw, out = d->oh * d->ow;
    const frame f = input_frame(d);
    int64_t *offset = nnf_alloc((size_t)taps * sizeof *offset);
    double *total = nnf_alloc((size_t)(d->k * taps) * sizeof *total);
    int status = offset && total && !is_too_large(&f) ? NNF_OK : NNF_NO_MEMORY;
    if (status == NNF_OK) {
        input_taps(d, &f, offset);
        memset(total, 0, (size_t)(d->k * taps) * sizeof *total);
        PARALLEL_FOR(c, d->c, 0.1 * (double)(d->n * d->k * out * (taps + 3)), {
            real *in = new_frames(&f, 1, 0);
            if (!in)
                __atomic_store_n(&status, NNF_NO_MEMORY, __ATOMIC_RELAXED);
            for (int64_t n = 0; in && n < d->n; n++) {
                fill_frame(&f, d->h, d->w, x + (n * d->c + c) * d->h * d->w, in);
                for (int64_t k = c * m; k < (c + 1) * m; k++)
                    gradient_kernel(d, offset, d->stride_h * pitch_of(&f),
                                    dy + (n * d->k + k) * out, in, total + k * taps);
            }
            nnf_free(in);
        });
        for (int64_t t = 0; t < d->k * taps; t++)
            dweight[t] = (real)total[t];
    }
    nnf_free(offset);
    nnf_free(total);
    return status;
}
