/* pool.c: maximum and mean of windows, mean of planes:
 * x (n, c, h, w), y and index (n, c, oh, ow); a plane is one (h, w) or (oh, ow).
 *
 * A task owns some planes of what it writes. Windows of neighbouring columns are computed VL at a
 * time; the last such vector of a row may run over into the next rows of its plane, which are
 * written afterwards. What has no room for that is done window by window. */
#include "sum.h"

/* Planes a task handles, each of `size` elements: enough to be worth taking. */
static int64_t planes_per_task(int64_t size) { return MAX(1, NNF_CHUNK / MAX(size, 1)); }

/* PLANES(plane, p, ns, body): body for every plane, ns nanoseconds per input element. */
#define PLANES(plane, count, size, ns, ...)                                                        \
    do {                                                                                           \
        const int64_t planes_ = (count), group_ = planes_per_task(size);                           \
        PARALLEL_FOR(task_, ceil_div(planes_, group_), (ns) * (double)planes_ * (double)(size), {  \
            for (int64_t plane = task_ * group_; plane < MIN((task_ + 1) * group_, planes_);       \
                 plane++) {                                                                        \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        });                                                                                        \
    } while (0)

/* Columns lo .. hi of the output have their windows inside the image from left to right. */
static void inside_columns(const nnf_pool *p, int64_t *lo, int64_t *hi) {
    const int64_t room = p->w + p->pad_w - p->kw;
    *lo = MIN(ceil_div(p->pad_w, p->stride_w), p->ow);
    *hi = room < 0 ? *lo : MAX(*lo, MIN(room / p->stride_w + 1, p->ow));
}

/* The vectors of output row oh that may be computed: how many columns from lo on. */
static int64_t vector_columns(const nnf_pool *p, int64_t oh, int64_t bottom, int64_t lo,
                              int64_t hi) {
    const int64_t last_row = oh * p->stride_h - p->pad_h + bottom - 1;
    /* reading: (last_row, ow * stride - pad + kw - 1 + VL * stride) must be within the plane */
    const int64_t readable = p->h * p->w - last_row * p->w + p->pad_w - (p->kw - 1);
    const int64_t from_reads = readable < 0 ? 0 : readable / p->stride_w - VL;
    const int64_t from_writes = (p->oh - oh) * p->ow - VL;
    const int64_t last = MIN(from_reads, from_writes); /* the last column a vector may start at */
    return last < lo ? 0 : MIN(hi - lo, round_up(last - lo + 1, VL));
}

typedef struct {
    real *y;
    uint8_t *index8;
    int32_t *index32;
} max_result;

/* NaN is the greatest and the first of equals wins, as in NumPy's argmax. */
static void max_window(const nnf_pool *p, int64_t oh, int64_t ow, const real *x, max_result to) {
    const int64_t ih = oh * p->stride_h - p->pad_h, iw = ow * p->stride_w - p->pad_w;
    const int64_t top = MAX(0, -ih), bottom = MIN(p->kh, p->h - ih);
    const int64_t left = MAX(0, -iw), right = MIN(p->kw, p->w - iw);
    real best = x[(ih + top) * p->w + iw + left];
    int64_t at = top * p->kw + left;
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++) {
            const real value = x[(ih + i) * p->w + iw + j];
            if (!(value <= best) && best == best) {
                best = value;
                at = i * p->kw + j;
            }
        }
    to.y[oh * p->ow + ow] = best;
    if (to.index8)
        to.index8[oh * p->ow + ow] = (uint8_t)at;
    else
        to.index32[oh * p->ow + ow] = (int32_t)at;
}

/* VL neighbouring windows whose rows top .. bottom lie in the image; x is at the first one's first
 * pixel. */
VINLINE void max_vector(const real *x, int64_t width, int64_t top, int64_t bottom, int64_t kw,
                        int64_t stride, vec *best, ivec *at) {
    *best = vload_strided(x + top * width, stride);
    *at = viset1((ireal)(top * kw));
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = i == top; j < kw; j++) {
            const vec value = vload_strided(x + i * width + j, stride);
            const ivec better = ~(value <= *best) & (*best == *best);
            *best = vselect(better, value, *best);
            *at = (better & viset1((ireal)(i * kw + j))) | (~better & *at);
        }
}

VINLINE void max_plane(const nnf_pool *p, const real *x, max_result to, int64_t kh, int64_t kw,
                       int64_t stride) {
    int64_t lo, hi;
    inside_columns(p, &lo, &hi);
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const int64_t ih = oh * p->stride_h - p->pad_h;
        const int64_t top = MAX(0, -ih), bottom = MIN(kh, p->h - ih);
        const int64_t stop = lo + vector_columns(p, oh, bottom, lo, hi);
        const real *row = x + ih * p->w - p->pad_w;
        for (int64_t ow = lo; ow < stop; ow += VL) {
            vec best;
            ivec at;
            if (bottom - top == kh) /* constant bounds, for a constant kh */
                max_vector(row + ow * stride, p->w, 0, kh, kw, stride, &best, &at);
            else
                max_vector(row + ow * stride, p->w, top, bottom, kw, stride, &best, &at);
            vstore(to.y + oh * p->ow + ow, best);
            if (to.index8)
                vstore_bytes(to.index8 + oh * p->ow + ow, at);
            else
                for (int i = 0; i < VL; i++)
                    to.index32[oh * p->ow + ow + i] = (int32_t)at[i];
        }
        for (int64_t ow = 0; ow < lo; ow++)
            max_window(p, oh, ow, x, to);
        for (int64_t ow = stop; ow < p->ow; ow++)
            max_window(p, oh, ow, x, to);
    }
}

static void max_pool_plane(const nnf_pool *p, const real *x, max_result to) {
    if (p->kh == 2 && p->kw == 2 && p->stride_w == 2)
        max_plane(p, x, to, 2, 2, 2);
    else if (p->kh == 3 && p->kw == 3 && p->stride_w == 2)
        max_plane(p, x, to, 3, 3, 2);
    else if (p->stride_w == 1)
        max_plane(p, x, to, p->kh, p->kw, 1);
    else
        max_plane(p, x, to, p->kh, p->kw, p->stride_w);
}

int FN(max_pool2d)(const nnf_pool *p, const real *x, real *y, uint8_t *index8, int32_t *index32) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow;
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    PLANES(plane, p->n * p->c, in, 0.3 + 0.3 * taps, {
        const max_result to = {y + plane * out, index8 ? index8 + plane * out : NULL,
                               index32 ? index32 + plane * out : NULL};
        max_pool_plane(p, x + plane * in, to);
    });
    return NNF_OK;
}

/* Backward. Pixels get the gradients of their windows in ascending order of the tap, as in the
 * twin: from the last window to the first. */

/* 2x2 windows side by side, every pixel in at most one: dy goes to the position in `index`, or to
 * all four (index NULL) divided by four. */
static void spread_quads(const nnf_pool *p, const real *dy, const uint8_t *index, real *dx) {
    for (int64_t ih = 0; ih < 2 * p->oh; ih++) {
        const real *from = dy + ih / 2 * p->ow;
        const uint8_t *at = index ? index + ih / 2 * p->ow : NULL;
        const ireal left = ih % 2 * 2;
        real *to = dx + ih * p->w;
        const int64_t from_reads = (p->oh - ih / 2) * p->ow - VL;
        const int64_t from_writes = ((p->h - ih) * p->w - 2 * VL) / 2;
        int64_t ow = 0;
        for (; ow < p->ow && ow <= MIN(from_reads, from_writes); ow += VL) {
            vec a = vload(from + ow) * (real)0.25, b = a;
            if (at) {
                const ivec position = vload_bytes(at + ow);
                a = (vec)((ivec)vload(from + ow) & (position == viset1(left)));
                b = (vec)((ivec)vload(from + ow) & (position == viset1(left + 1)));
            }
            vstore(to + 2 * ow, vzip_low(a, b));
            vstore(to + 2 * ow + VL, vzip_high(a, b));
        }
        for (; ow < p->ow; ow++) {
            to[2 * ow] = !at ? from[ow] / 4 : at[ow] == left ? from[ow] : 0;
            to[2 * ow + 1] = !at ? from[ow] / 4 : at[ow] == left + 1 ? from[ow] : 0;
        }
        for (int64_t iw = 2 * p->ow; iw < p->w; iw++)
            to[iw] = 0;
    }
    for (int64_t i = 2 * p->oh * p->w; i < p->h * p->w; i++)
        dx[i] = 0;
}

static bool are_quads(const nnf_pool *p) {
    return p->kh == 2 && p->kw == 2 && p->stride_h == 2 && p->stride_w == 2 && !p->pad_h &&
           !p->pad_w;
}

/* Indices of one plane: whether one is no position in the window. */
static bool bad_indices(const nnf_pool *p, const uint8_t *index8, const int32_t *index32) {
    const int64_t size = p->oh * p->ow, taps = p->kh * p->kw;
    uint32_t largest = 0; /* a negative index is a large one */
    if (index8)
        for (int64_t i = 0; i < size; i++)
            largest = MAX(largest, index8[i]);
    else
        for (int64_t i = 0; i < size; i++)
            largest = MAX(largest, (uint32_t)index32[i]);
    return size > 0 && largest >= taps;
}

static void scatter_plane(const nnf_pool *p, const int64_t *offset, const real *dy,
                          const uint8_t *index8, const int32_t *index32, real *dx) {
    int64_t lo, hi;
    inside_columns(p, &lo, &hi);
    memset(dx, 0, (size_t)(p->h * p->w) * sizeof(real));
    for (int64_t oh = p->oh - 1; oh >= 0; oh--) {
        const int64_t ih = oh * p->stride_h - p->pad_h;
        const bool inside = ih >= 0 && ih + p->kh <= p->h;
        for (int64_t ow = p->ow - 1; ow >= 0; ow--) {
            const int64_t iw = ow * p->stride_w - p->pad_w, i = oh * p->ow + ow;
            const int64_t at = index8 ? index8[i] : index32[i];
            if (inside && ow >= lo && ow < hi) {
                dx[ih * p->w + iw + offset[at]] += dy[i];
                continue;
            }
            const int64_t row = ih + at / p->kw, column = iw + at % p->kw;
            if (row >= 0 && row < p->h && column >= 0 && column < p->w)
                dx[row * p->w + column] += dy[i];
        }
    }
}

int FN(max_pool2d_backward)(const nnf_pool *p, const real *dy, const uint8_t *index8,
                            const int32_t *index32, real *dx) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow, taps = p->kh * p->kw;
    int64_t *offset = nnf_alloc((size_t)taps * sizeof *offset);
    if (!offset)
        return NNF_NO_MEMORY;
    for (int64_t i = 0; i < taps; i++)
        offset[i] = i / p->kw * p->w + i % p->kw;
    int status = NNF_OK;
    PLANES(plane, p->n * p->c, in, 0.5, {
        const uint8_t *at8 = index8 ? index8 + plane * out : NULL;
        const int32_t *at32 = index32 ? index32 + plane * out : NULL;
        if (bad_indices(p, at8, at32))
            __atomic_store_n(&status, NNF_BAD_INDEX, __ATOMIC_RELAXED);
        else if (are_quads(p))
            spread_quads(p, dy + plane * out, at8, dx + plane * in);
        else
            scatter_plane(p, offset, dy + plane * out, at8, at32, dx + plane * in);
    });
    nnf_free(offset);
    return status;
}

/* Mean of windows: the sum of the pixels inside over `count` values or, if that is 0, their
 * number. */
static void avg_window(const nnf_pool *p, int64_t count, int64_t oh, int64_t ow, const real *x,
                       real *y) {
    const int64_t ih = oh * p->stride_h - p->pad_h, iw = ow * p->stride_w - p->pad_w;
    const int64_t top = MAX(0, -ih), bottom = MIN(p->kh, p->h - ih);
    const int64_t left = MAX(0, -iw), right = MIN(p->kw, p->w - iw);
    real sum = 0;
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++)
            sum += x[(ih + i) * p->w + iw + j];
    y[oh * p->ow + ow] = sum / (real)(count ? count : (bottom - top) * (right - left));
}

VINLINE void avg_plane(const nnf_pool *p, int64_t count, const real *x, real *y, int64_t stride) {
    int64_t lo, hi;
    inside_columns(p, &lo, &hi);
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const int64_t ih = oh * p->stride_h - p->pad_h;
        const int64_t top = MAX(0, -ih), bottom = MIN(p->kh, p->h - ih);
        const int64_t stop = lo + vector_columns(p, oh, bottom, lo, hi);
        const vec divisor = vset1((real)(count ? count : (bottom - top) * p->kw));
        for (int64_t ow = lo; ow < stop; ow += VL) {
            const real *window = x + ih * p->w + ow * stride - p->pad_w;
            vec sum = vzero();
            for (int64_t i = top; i < bottom; i++)
                for (int64_t j = 0; j < p->kw; j++)
                    sum += vload_strided(window + i * p->w + j, stride);
            vstore(y + oh * p->ow + ow, sum / divisor);
        }
        for (int64_t ow = 0; ow < lo; ow++)
            avg_window(p, count, oh, ow, x, y);
        for (int64_t ow = stop; ow < p->ow; ow++)
            avg_window(p, count, oh, ow, x, y);
    }
}

int FN(avg_pool2d)(const nnf_pool *p, int count_include_pad, const real *x, real *y) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow;
    const int64_t count = count_include_pad ? p->kh * p->kw : 0;
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    PLANES(plane, p->n * p->c, in, 0.2 + 0.2 * taps, {
        if (p->stride_w == 1)
            avg_plane(p, count, x + plane * in, y + plane * out, 1);
        else if (p->stride_w == 2)
            avg_plane(p, count, x + plane * in, y + plane * out, 2);
        else
            avg_plane(p, count, x + plane * in, y + plane * out, p->stride_w);
    });
    return NNF_OK;
}

static void spread_plane(const nnf_pool *p, int64_t count, const real *dy, real *dx) {
    memset(dx, 0, (size_t)(p->h * p->w) * sizeof(real));
    for (int64_t oh = p->oh - 1; oh >= 0; oh--) {
        const int64_t ih = oh * p->stride_h - p->pad_h;
        const int64_t top = MAX(0, -ih), bottom = MIN(p->kh, p->h - ih);
        for (int64_t ow = p->ow - 1; ow >= 0; ow--) {
            const int64_t iw = ow * p->stride_w - p->pad_w;
            const int64_t left = MAX(0, -iw), right = MIN(p->kw, p->w - iw);
            const int64_t values = count ? count : (bottom - top) * (right - left);
            const real share = dy[oh * p->ow + ow] / (real)values;
            for (int64_t i = top; i < bottom; i++)
                for (int64_t j = left; j < right; j++)
                    dx[(ih + i) * p->w + iw + j] += share;
        }
    }
}

int FN(avg_pool2d_backward)(const nnf_pool *p, int count_include_pad, const real *dy, real *dx) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow;
    const int64_t count = count_include_pad ? p->kh * p->kw : 0;
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    PLANES(plane, p->n * p->c, in, 0.3 + 0.5 * taps, {
        if (are_quads(p))
            spread_quads(p, dy + plane * out, NULL, dx + plane * in);
        else
            spread_plane(p, count, dy + plane * out, dx + plane * in);
    });
    return NNF_OK;
}

int FN(global_avg_pool2d)(int64_t planes, int64_t size, const real *x, real *y) {
    PLANES(plane, planes, size, 0.2,
           { y[plane] = (real)(sum_of(size, x + plane * size) / (double)size); });
    return NNF_OK;
}

int FN(global_avg_pool2d_backward)(int64_t planes, int64_t size, const real *dy, real *dx) {
    PLANES(plane, planes, size, 0.2, {
        const real share = dy[plane] / (real)size;
        for (int64_t i = 0; i < size; i++)
            dx[plane * size + i] = share;
    });
    return NNF_OK;
}
