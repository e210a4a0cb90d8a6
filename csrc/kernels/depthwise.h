/* depthwise.h: planes in frames of zeros, shared by the depthwise*.c.
 *
 * A plane (h, w) is copied into a frame (rows, phases, segment): its columns are taken apart by
 * their remainder modulo the stride. There every row of results is a sum of weights times
 * contiguous rows, wherever it lies and whatever the stride and dilation.
 */
#ifndef NNF_DEPTHWISE_H
#define NNF_DEPTHWISE_H

#include "conv.h"

/* The same for 3 x 3 kernels and a padding of 1 (depthwise_rows.c). */
bool FN(depthwise_fits_rows)(const nnf_conv *d);
int FN(depthwise_rows_forward)(const nnf_conv *d, const real *x, const real *weight,
                               const conv_finish *f, real *y);
int FN(depthwise_rows_backward_input)(const nnf_conv *d, const real *dy, const real *weight,
                                      real *dx);
int FN(depthwise_rows_backward_weight)(const nnf_conv *d, const real *dy, const real *x,
                                       real *dweight, real *dbias);

/* The gradient of the bias of output channel k. */
real FN(depthwise_bias)(const nnf_conv *d, int64_t k, const real *dy);

#if NNF_DTYPE_BITS == 32 /* vectors of doubles have few lanes */
/* The same for small planes and channels enough, VL channels at a time (depthwise_lanes.c). */
bool FN(depthwise_fits_lanes)(const nnf_conv *d);
int FN(depthwise_lanes_forward)(const nnf_conv *d, const real *x, const real *weight,
                                const conv_finish *f, real *y);
int FN(depthwise_lanes_backward_input)(const nnf_conv *d, const real *dy, const real *weight,
                                       real *dx);
int FN(depthwise_lanes_backward_weight)(const nnf_conv *d, const real *dy, const real *x,
                                        real *dweight, real *dbias);
#endif

enum { SHORT_SUM = 256 }; /* additions to a lane of a weight's gradient, then a double takes it */

/* Row r holds row r - top of the plane; element i of phase f is its column i * phases + f - left.
 */
typedef struct {
    int64_t rows, segment, phases, top, left;
} depthwise_frame;

static inline int64_t pitch_of(const depthwise_frame *f) { return f->segment * f->phases; }

static inline int64_t size_of(const depthwise_frame *f) { return f->rows * pitch_of(f); }

static inline bool is_too_large(const depthwise_frame *f) {
    return (double)f->rows * (double)pitch_of(f) > LARGEST_FRAME;
}

/* What a phase needs so that whole vectors can be copied: all of a row, rounded up. */
static inline int64_t copied_segment(int64_t w, int64_t phases, int64_t left) {
    return left / phases + 1 + round_up(ceil_div(w, phases), VL);
}

/* The frame of x, and where in it the taps of the first window are. */
static inline depthwise_frame input_frame(const nnf_conv *d) {
    const int64_t read = (d->kw - 1) * d->dilation_w / d->stride_w + round_up(d->ow, VL);
    return (depthwise_frame){.rows = (d->oh - 1) * d->stride_h + (d->kh - 1) * d->dilation_h + 1,
                             .segment = MAX(read, copied_segment(d->w, d->stride_w, d->pad_w)),
                             .phases = d->stride_w,
                             .top = d->pad_h,
                             .left = d->pad_w};
}

static inline void input_taps(const nnf_conv *d, const depthwise_frame *f, int64_t *offset) {
    for (int64_t i = 0; i < d->kh; i++)
        for (int64_t j = 0; j < d->kw; j++) {
            const int64_t column = j * d->dilation_w;
            *offset++ = i * d->dilation_h * pitch_of(f) + column % f->phases * f->segment +
                        column / f->phases;
        }
}

/* Input gradient: pixel u (counted from the padding's first) meets the taps whose place has its
 * remainder modulo the stride: classes of pixels, each with its own taps in the frames of the m
 * planes of dy. */
typedef struct {
    depthwise_frame f;
    int64_t *start;  /* (stride_h * stride_w + 1): a class's first tap */
    int64_t *offset; /* (m * kh * kw): of the tap, from row u / stride, element u / stride */
    int64_t *index;  /* (m * kh * kw): of its weight among the channel's */
} depthwise_classes;

/* Fills in the taps of all classes of the frames to->f; false if there is no memory, else the lists
 * go back by nnf_free(to->start). */
static inline bool find_classes(const nnf_conv *d, depthwise_classes *to) {
    const int64_t m = d->k / d->c, taps = d->kh * d->kw, starts = d->stride_h * d->stride_w + 1;
    if (starts > 1 << 24)
        return false;
    to->start = nnf_alloc((size_t)(starts + 2 * m * taps) * sizeof *to->start);
    if (!to->start)
        return false;
    to->offset = to->start + starts;
    to->index = to->offset + m * taps;
    int64_t count = 0;
    for (int64_t kind = 0; kind < d->stride_h * d->stride_w; kind++) {
        to->start[kind] = count;
        for (int64_t t = 0; t < m * taps; t++) {
            const int64_t row = t % taps / d->kw * d->dilation_h;
            const int64_t column = t % d->kw * d->dilation_w;
            if (row % d->stride_h != kind / d->stride_w ||
                column % d->stride_w != kind % d->stride_w)
                continue;
            to->index[count] = t;
            to->offset[count++] = t / taps * size_of(&to->f) +
                                  (to->f.top - row / d->stride_h) * to->f.segment + to->f.left -
                                  column / d->stride_w;
        }
    }
    to->start[d->stride_h * d->stride_w] = count;
    return true;
}

/* Scratch of a task: the zeroed frames of `planes` planes, and more reals after them. */
static inline real *new_frames(const depthwise_frame *f, int64_t planes, int64_t more) {
    real *frames = alloc_reals(planes * size_of(f) + more);
    if (frames)
        memset(frames, 0, (size_t)(planes * size_of(f)) * sizeof(real));
    return frames;
}

/* What lies `ahead` of a plane, the next one, is fetched: CPUs foresee nothing beyond a page. */
VINLINE void copy_row(int64_t w, const real *from, int64_t ahead, real *to) {
    for (int64_t i = 0; i < w; i += VL) {
        __builtin_prefetch(from + ahead + i, 0, 2);
        vstore(to + i, vload_upto(from + i, w - i));
    }
}

VINLINE void split_row(int64_t w, const real *from, int64_t ahead, real *even, real *odd) {
    for (int64_t i = 0; 2 * i < w; i += VL) {
        const int64_t left = w - 2 * i;
        __builtin_prefetch(from + ahead + 2 * i, 0, 2);
        const vec a = vload_upto(from + 2 * i, left);
        const vec b = vload_within(from + 2 * i + VL, left - VL);
        vstore(even + i, vunmix(veven_mixed(a, b)));
        vstore(odd + i, vunmix(vodd_mixed(a, b)));
    }
}

/* Copies plane (h, w) into the frame, whose margins are zero and stay so. */
static inline void fill_frame(const depthwise_frame *f, int64_t h, int64_t w, const real *plane,
                              int64_t ahead, real *to) {
    const int64_t first = MAX(0, -f->top), last = MIN(h, f->rows - f->top);
    for (int64_t row = first; row < last; row++) {
        const real *const from = plane + row * w;
        real *const at = to + (row + f->top) * pitch_of(f);
        if (f->phases == 1) {
            copy_row(w, from, ahead, at + f->left);
        } else if (f->phases == 2) {
            const int64_t odd = f->left % 2; /* then column 0 is of phase 1 */
            split_row(w, from, ahead, at + odd * f->segment + f->left / 2,
                      at + (1 - odd) * f->segment + (f->left + 1) / 2);
        } else {
            for (int64_t column = 0; column < w; column++) {
                const int64_t place = column + f->left;
                at[place % f->phases * f->segment + place / f->phases] = from[column];
            }
        }
    }
}

#endif
