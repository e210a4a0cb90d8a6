/* pool.c: maximum and mean of windows, mean of planes; the way back is in pool_backward.c.
 * x (n, c, h, w), y and index (n, c, oh, ow); a plane is one (h, w) or (oh, ow).
 *
 * A task owns some planes of what it writes. Windows of neighbouring columns are computed VL at a
 * time; the last such vector of a row may run over into the next rows of its plane, which are
 * written afterwards. What has no room for that is done window by window. */
#include "pool.h"

#include "sum.h"

/* Columns begin .. last of output row oh are those a vector may start at: its reads stay in the
 * plane of x and its writes in the plane of y. Rows [top, bottom) of the windows lie in the image.
 */
typedef struct {
    int64_t top, bottom, begin, last;
} span;

static span find_span(const nnf_pool *p, int64_t oh) {
    const int64_t ih = oh * p->stride_h - p->pad_h;
    span s = {MAX(0, -ih), MIN(p->kh, p->h - ih), 0, -1};
    if (p->w > 1 << 30) /* columns have to fit the integer lanes */
        return s;
    const int64_t first_row = (ih + s.top) * p->w, last_row = (ih + s.bottom - 1) * p->w;
    if (first_row < p->pad_w) /* the plane's first row: no reading to the left of it */
        s.begin = MIN(p->ow, ceil_div(p->pad_w, p->stride_w));
    /* a vector at ow reads up to element last_row + (ow + VL) * stride - pad + kw - 1 */
    const int64_t readable = p->h * p->w - last_row + p->pad_w - (p->kw - 1);
    const int64_t from_reads = readable < 0 ? -1 : readable / p->stride_w - VL;
    s.last = MIN(MIN(from_reads, (p->oh - oh) * p->ow - VL), p->ow - 1);
    return s;
}

/* Whether a vector's windows, those below ow >= p->ow aside, lie inside from left to right. */
VINLINE bool is_inside(const nnf_pool *p, int64_t ow, int64_t kw, int64_t stride) {
    const int64_t last = MIN(ow + VL, p->ow) - 1;
    return ow * stride >= p->pad_w && last * stride - p->pad_w + kw <= p->w;
}

/* VL reals, stride apart, in the order vunmix() undoes. */
VINLINE vec load_lanes(const real *p, int64_t stride) {
    return stride == 2 ? veven_mixed(vload(p), vload(p + VL)) : vload_strided(p, stride);
}
VINLINE vec order_lanes(vec v, int64_t stride) { return stride == 2 ? vunmix(v) : v; }

/* The column of each lane's window, the first one's being 0, in the order of load_lanes. */
VINLINE ivec lane_columns(int64_t stride) {
    ireal column[2 * VL];
    for (int i = 0; i < 2 * VL; i++)
        column[i] = (ireal)(stride == 2 ? i : i * stride);
    return (ivec)load_lanes((const real *)column, stride == 2 ? 2 : 1);
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

/* VL neighbouring windows, their rows [top, bottom) in the image; x is at the first one's first
 * pixel. If not inside, pixels of a lane out of [0, width) count as -inf: `column` is the lanes'
 * first pixel's. */
VINLINE void max_vector(bool inside, const real *x, int64_t width, ivec column, int64_t top,
                        int64_t bottom, int64_t kw, int64_t stride, vec *best, ivec *at) {
    const vec lowest = vset1((real)-INFINITY);
    const ivec left = column < 0;
    *best = inside ? load_lanes(x + top * width, stride) : lowest;
    *at = viset1((ireal)(top * kw)) - (inside ? viset1(0) : left & column);
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = inside && i == top; j < kw; j++) {
            vec value = load_lanes(x + i * width + j, stride);
            if (!inside) {
                const ivec pixel = column + viset1((ireal)j);
                value = vselect((pixel >= 0) & (pixel < viset1((ireal)width)), value, lowest);
            }
            const ivec better = ~(value <= *best) & (*best == *best);
            *best = vselect(better, value, *best);
            *at = (ivec)vselect(better, (vec)viset1((ireal)(i * kw + j)), (vec)*at);
        }
    *best = order_lanes(*best, stride);
    *at = (ivec)order_lanes((vec)*at, stride);
}

VINLINE void max_plane(const nnf_pool *p, const real *x, max_result to, int64_t kh, int64_t kw,
                       int64_t stride) {
    const ivec columns = lane_columns(stride);
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const span s = find_span(p, oh);
        const real *row = x + (oh * p->stride_h - p->pad_h) * p->w - p->pad_w;
        int64_t ow = s.begin;
        for (; ow <= s.last; ow += VL) {
            const ivec column = columns + viset1((ireal)(ow * stride - p->pad_w));
            vec best;
            ivec at;
            if (!is_inside(p, ow, kw, stride))
                max_vector(false, row + ow * stride, p->w, column, s.top, s.bottom, kw, stride,
                           &best, &at);
            else if (s.bottom - s.top < kh)
                max_vector(true, row + ow * stride, p->w, column, s.top, s.bottom, kw, stride,
                           &best, &at);
            else /* constant bounds, for a constant kh */
                max_vector(true, row + ow * stride, p->w, column, 0, kh, kw, stride, &best, &at);
            vstore(to.y + oh * p->ow + ow, best);
            if (to.index8)
                vstore_bytes(to.index8 + oh * p->ow + ow, at);
            else
                for (int i = 0; i < VL; i++)
                    to.index32[oh * p->ow + ow + i] = (int32_t)at[i];
        }
        for (; ow < p->ow; ow++)
            max_window(p, oh, ow, x, to);
        for (ow = 0; ow < s.begin; ow++)
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

/* Sums of VL neighbouring windows, as max_vector; pixels out of the image count as zero. */
VINLINE vec sum_vector(bool inside, const real *x, int64_t width, ivec column, int64_t rows,
                       int64_t kw, int64_t stride) {
    vec sum = vzero();
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < kw; j++) {
            const vec value = load_lanes(x + i * width + j, stride);
            const ivec pixel = column + viset1((ireal)j);
            const ivec valid = (pixel >= 0) & (pixel < viset1((ireal)width));
            sum += inside ? value : (vec)(valid & (ivec)value);
        }
    return order_lanes(sum, stride);
}

VINLINE void avg_plane(const nnf_pool *p, int64_t count, const real *x, real *y, int64_t kw,
                       int64_t stride) {
    const ivec columns = lane_columns(stride);
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const span s = find_span(p, oh);
        const int64_t rows = s.bottom - s.top;
        const vec divisor = vset1((real)(count ? count : rows * kw));
        const real *row = x + (oh * p->stride_h - p->pad_h + s.top) * p->w - p->pad_w;
        int64_t ow = 0;
        while (ow < p->ow) {
            const bool inside = is_inside(p, ow, kw, stride);
            if (ow < s.begin || ow > s.last || (!inside && !count)) {
                avg_window(p, count, oh, ow++, x, y);
                continue;
            }
            const ivec column = columns + viset1((ireal)(ow * stride - p->pad_w));
            const real *from = row + ow * stride;
            const vec sum = inside ? sum_vector(true, from, p->w, column, rows, kw, stride)
                                   : sum_vector(false, from, p->w, column, rows, kw, stride);
            vstore(y + oh * p->ow + ow, sum / divisor);
            ow += VL;
        }
    }
}

int FN(avg_pool2d)(const nnf_pool *p, int count_include_pad, const real *x, real *y) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow;
    const int64_t count = count_include_pad ? p->kh * p->kw : 0;
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    PLANES(plane, p->n * p->c, in, 0.2 + 0.2 * taps, {
        if (p->stride_w == 1)
            avg_plane(p, count, x + plane * in, y + plane * out, p->kw, 1);
        else if (p->stride_w == 2)
            avg_plane(p, count, x + plane * in, y + plane * out, p->kw, 2);
        else
            avg_plane(p, count, x + plane * in, y + plane * out, p->kw, p->stride_w);
    });
    return NNF_OK;
}

int FN(global_avg_pool2d)(int64_t planes, int64_t size, const real *x, real *y) {
    PLANES(plane, planes, size, 0.2,
           { y[plane] = (real)(sum_of(size, x + plane * size) / (double)size); });
    return NNF_OK;
}
