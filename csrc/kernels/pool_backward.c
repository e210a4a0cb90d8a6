/* pool_backward.c: gradients of pooling: dy and index (n, c, oh, ow), dx (n, c, h, w).
 *
 * A task owns some planes of dx. Every pixel gets the gradients of its windows in ascending order
 * of the tap, as in the twin. */
#include "pool.h"

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

/* Whether an index of one plane is no position in the window. */
static bool bad_indices(const nnf_pool *p, const uint8_t *index8, const int32_t *index32) {
    const int64_t out = p->oh * p->ow;
    uint8_t most8 = 0;
    uint32_t most32 = 0; /* negative ones are the greatest */
    for (int64_t i = 0; index8 && i < out; i++)
        most8 = MAX(most8, index8[i]);
    for (int64_t i = 0; index32 && i < out; i++)
        most32 = MAX(most32, (uint32_t)index32[i]);
    return MAX(most8, most32) >= p->kh * p->kw;
}

/* Small windows, whether they overlap or not: a row of dx is what each tap that meets it gives,
 * VL windows at a time. Padded column u of the row is element u / stride of phase u % stride in
 * `sum` (stride, length); tap j of window ow is at ow * stride + j. */
typedef struct {
    int64_t length;
    real *sum, *share;
} row_sums;

static int64_t row_length(const nnf_pool *p) {
    const int64_t windows = p->ow + (p->kw - 1) / p->stride_w;
    return MAX(windows, (p->w - 1 + p->pad_w) / p->stride_w + 1) + VL;
}

/* sum[i] += dy[i] where index[i] is `tap` (everywhere without index); `room` >= n bytes of index
 * may be read. */
VINLINE void add_tap(int64_t n, int64_t room, const real *dy, const uint8_t *index, int64_t tap,
                     real *sum) {
    const ivec wanted = viset1((ireal)tap);
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        const ivec chosen = index ? vload_bytes(index + i) == wanted : ~viset1(0);
        vstore(sum + i, vload(sum + i) + (vec)(chosen & (ivec)vload(dy + i)));
    }
    if (i < n && (!index || i + VL <= room)) {
        const ivec chosen = index ? vload_bytes(index + i) == wanted : ~viset1(0);
        vstore(sum + i, vload(sum + i) + (vec)(chosen & (ivec)vload_part(dy + i, n - i)));
        return;
    }
    for (; i < n; i++)
        sum[i] += index[i] == tap ? dy[i] : 0;
}

/* Each dy over the number of pixels its window averages. */
static void share_row(const nnf_pool *p, int64_t count, int64_t oh, const real *dy, real *share) {
    const int64_t ih = oh * p->stride_h - p->pad_h;
    const int64_t rows = MIN(p->kh, p->h - ih) - MAX(0, -ih);
    if (count) {
        for (int64_t ow = 0; ow < p->ow; ow++)
            share[ow] = dy[ow] / (real)count;
        return;
    }
    for (int64_t ow = 0; ow < p->ow; ow++) {
        const int64_t iw = ow * p->stride_w - p->pad_w;
        const int64_t columns = MIN(p->kw, p->w - iw) - MAX(0, -iw);
        share[ow] = dy[ow] / (real)(rows * columns);
    }
}

/* dx[iw] of a row, from padded column iw + pad. */
static void write_row(const nnf_pool *p, const row_sums *from, real *dx) {
    if (p->stride_w == 1) {
        memcpy(dx, from->sum + p->pad_w, (size_t)p->w * sizeof(real));
        return;
    }
    int64_t iw = 0, phase = p->pad_w % p->stride_w;
    const real *sum = from->sum + p->pad_w / p->stride_w;
    while (iw < p->w) {
        if (p->stride_w == 2 && phase == 0)
            for (; iw + 2 * VL <= p->w; iw += 2 * VL, sum += VL) {
                const vec even = vload(sum), odd = vload(sum + from->length);
                vstore(dx + iw, vzip_low(even, odd));
                vstore(dx + iw + VL, vzip_high(even, odd));
            }
        if (iw < p->w)
            dx[iw++] = sum[phase * from->length];
        if (++phase == p->stride_w) {
            phase = 0;
            sum++;
        }
    }
}

static void sum_plane(const nnf_pool *p, const row_sums *to, int64_t count, const real *dy,
                      const uint8_t *index, real *dx) {
    for (int64_t ih = 0; ih < p->h; ih++) {
        const int64_t u = ih + p->pad_h;
        memset(to->sum, 0, (size_t)(p->stride_w * to->length) * sizeof(real));
        for (int64_t i = u % p->stride_h; i < p->kh && i <= u; i += p->stride_h) {
            const int64_t oh = (u - i) / p->stride_h;
            if (oh >= p->oh)
                continue;
            const real *from = dy + oh * p->ow;
            if (!index)
                share_row(p, count, oh, from, to->share);
            for (int64_t first = 0; first < p->kw; first += p->stride_w)
                for (int64_t j = first; j < MIN(first + p->stride_w, p->kw); j++) {
                    real *sum = to->sum + (j - first) * to->length + first / p->stride_w;
                    if (index)
                        add_tap(p->ow, (p->oh - oh) * p->ow, from, index + oh * p->ow,
                                i * p->kw + j, sum);
                    else
                        add_tap(p->ow, 0, to->share, NULL, 0, sum);
                }
        }
        write_row(p, to, dx + ih * p->w);
    }
}

/* Any window: each dy goes where its index says. */
static void scatter_plane(const nnf_pool *p, const real *dy, const uint8_t *index8,
                          const int32_t *index32, real *dx) {
    memset(dx, 0, (size_t)(p->h * p->w) * sizeof(real));
    for (int64_t oh = p->oh - 1; oh >= 0; oh--)
        for (int64_t ow = p->ow - 1; ow >= 0; ow--) {
            const int64_t at = index8 ? index8[oh * p->ow + ow] : index32[oh * p->ow + ow];
            const int64_t row = oh * p->stride_h - p->pad_h + at / p->kw;
            const int64_t column = ow * p->stride_w - p->pad_w + at % p->kw;
            if (row >= 0 && row < p->h && column >= 0 && column < p->w)
                dx[row * p->w + column] += dy[oh * p->ow + ow];
        }
}

/* Above this number of taps a pixel meets, finding the few that chose it costs more than going to
 * where each dy belongs. */
enum { MANY_TAPS = 8 };

/* The gradient of one plane of maxima (with an index) or of means over `count` pixels. */
static int backward_plane(const nnf_pool *p, int64_t count, const row_sums *scratch, const real *dy,
                          const uint8_t *index8, const int32_t *index32, real *dx) {
    if ((index8 || index32) && bad_indices(p, index8, index32))
        return NNF_BAD_INDEX;
    if (are_quads(p))
        spread_quads(p, dy, index8, dx);
    else if (scratch)
        sum_plane(p, scratch, count, dy, index8, dx);
    else
        scatter_plane(p, dy, index8, index32, dx);
    return NNF_OK;
}

static int backward(const nnf_pool *p, int64_t count, const real *dy, const uint8_t *index8,
                    const int32_t *index32, real *dx) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow, planes = p->n * p->c;
    const int64_t group = MAX(1, NNF_CHUNK / in), length = row_length(p);
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    const bool sums = !index32 && !are_quads(p) && (!index8 || taps <= MANY_TAPS);
    int status = NNF_OK;
    PARALLEL_FOR(task, ceil_div(planes, group), (0.3 + 0.2 * taps) * (double)(planes * in), {
        real *scratch = sums ? alloc_reals(p->stride_w * length + p->ow + VL) : NULL;
        const row_sums rows = {length, scratch, scratch ? scratch + p->stride_w * length : NULL};
        int result = sums && !scratch ? NNF_NO_MEMORY : NNF_OK;
        for (int64_t i = task * group; i < MIN((task + 1) * group, planes) && !result; i++)
            result = backward_plane(p, count, sums ? &rows : NULL, dy + i * out,
                                    index8 ? index8 + i * out : NULL,
                                    index32 ? index32 + i * out : NULL, dx + i * in);
        if (result)
            __atomic_store_n(&status, result, __ATOMIC_RELAXED);
        nnf_free(scratch);
    });
    return status;
}

int FN(max_pool2d_backward)(const nnf_pool *p, const real *dy, const uint8_t *index8,
                            const int32_t *index32, real *dx) {
    return backward(p, 0, dy, index8, index32, dx);
}

int FN(avg_pool2d_backward)(const nnf_pool *p, int count_include_pad, const real *dy, real *dx) {
    return backward(p, count_include_pad ? p->kh * p->kw : 0, dy, NULL, NULL, dx);
}

int FN(global_avg_pool2d_backward)(int64_t planes, int64_t size, const real *dy, real *dx) {
    PLANES(plane, planes, size, 0.2, {
        const real share = dy[plane] / (real)size;
        for (int64_t i = 0; i < size; i++)
            dx[plane * size + i] = share;
    });
    return NNF_OK;
}
