/* pool_backward.c: gradients of pooling: dy and index (n, c, oh, ow), dx (n, c, h, w).
 *
 * A task owns some planes of dx. Every pixel gets the gradients of its windows in ascending order
 * of the tap, as in the twin. */
#include <stdatomic.h>

#include "pool.h"

/* Whether an index of one plane is neither a position in the window nor the one after its last, to
 * which no gradient goes. */
static bool bad_indices(const nnf_pool *p, const uint8_t *index8, const int32_t *index32) {
    const int64_t out = p->oh * p->ow;
    uint8_t most8 = 0;
    uint32_t most32 = 0; /* negative ones are the greatest */
    for (int64_t i = 0; index8 && i < out; i++)
        most8 = MAX(most8, index8[i]);
    for (int64_t i = 0; index32 && i < out; i++)
        most32 = MAX(most32, (uint32_t)index32[i]);
    return MAX(most8, most32) > p->kh * p->kw;
}

/* Small windows, whether they overlap or not: VL pixels, a stride apart, at a time gather what the
 * taps that meet them give. The gradients of a plane, and the positions they belong to, stand in a
 * frame of zeros: window (oh, ow) is element (oh + top, ow + left) of (rows, pitch). */
typedef struct {
    int64_t rows, pitch, top, left;
    real *value;
    uint8_t *position; /* NULL: all of the window */
} frame;

static frame make_frame(const nnf_pool *p) {
    frame f = {.top = (p->kh - 1) / p->stride_h, .left = (p->kw - 1) / p->stride_w};
    f.rows = f.top + MAX(p->oh, (p->h - 1 + p->pad_h) / p->stride_h + 1);
    f.pitch = f.left + MAX(p->ow, (p->w - 1 + p->pad_w) / p->stride_w + 1) + 2 * VL;
    return f;
}

/* Each dy over the number of pixels its window averages, `count` or those in the image. */
static void share_row(const nnf_pool *p, int64_t count, int64_t oh, const real *dy, real *share) {
    const int64_t ih = oh * p->stride_h - p->pad_h;
    const int64_t rows = MIN(p->kh, p->h - ih) - MAX(0, -ih);
    for (int64_t ow = 0; count && ow < p->ow; ow++)
        share[ow] = dy[ow] / (real)count;
    for (int64_t ow = 0; !count && ow < p->ow; ow++) {
        const int64_t iw = ow * p->stride_w - p->pad_w;
        const int64_t columns = MIN(p->kw, p->w - iw) - MAX(0, -iw);
        share[ow] = dy[ow] / (real)(rows * columns);
    }
}

static void fill_frame(const nnf_pool *p, int64_t count, const real *dy, const uint8_t *index,
                       const frame *f) {
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const int64_t to = (oh + f->top) * f->pitch + f->left;
        if (!index) {
            share_row(p, count, oh, dy + oh * p->ow, f->value + to);
            continue;
        }
        memcpy(f->value + to, dy + oh * p->ow, (size_t)p->ow * sizeof(real));
        memcpy(f->position + to, index + oh * p->ow, (size_t)p->ow);
    }
}

/* The gradients of VL pixels: taps (first_i, phase), a stride apart, from element `at` of the
 * frame. */
VINLINE vec gather_taps(const nnf_pool *p, const frame *f, int64_t first_i, int64_t phase,
                        int64_t at, int64_t kw, int64_t stride, bool maxima) {
    vec sum = vzero();
    for (int64_t i = first_i; i < p->kh; i += p->stride_h, at -= f->pitch)
        for (int64_t j = phase; j < kw; j += stride) {
            const int64_t element = at - j / stride;
            vec value = vload(f->value + element);
            if (maxima) {
                const ivec position = vload_bytes(f->position + element);
                value = (vec)((position == viset1((ireal)(i * kw + j))) & (ivec)value);
            }
            sum += value;
        }
    return sum;
}

/* `odd` is pad_w % stride where the stride is at most 2. */
VINLINE void gather_plane(const nnf_pool *p, const frame *f, int64_t kw, int64_t stride,
                          int64_t odd, bool maxima, real *dx) {
    for (int64_t ih = 0; ih < p->h; ih++) {
        const int64_t u = ih + p->pad_h, i = u % p->stride_h;
        int64_t at = (u / p->stride_h + f->top) * f->pitch + p->pad_w / stride + f->left;
        for (int64_t iw = 0; iw < p->w; iw += VL * stride, at += VL) {
            const int64_t room = (p->h - ih) * p->w - iw; /* later rows are yet to be written */
            real *to = dx + ih * p->w + iw;
            if (stride == 1) {
                vstore_upto(to, gather_taps(p, f, i, 0, at, kw, 1, maxima), room);
            } else if (stride == 2) {
                const vec first = gather_taps(p, f, i, odd, at, kw, 2, maxima);
                const vec second = gather_taps(p, f, i, 1 - odd, at + odd, kw, 2, maxima);
                vstore_zipped(to, first, second, room);
            } else {
                for (int64_t k = 0; k < MIN(stride, p->w - iw); k++) {
                    const int64_t v = p->pad_w % stride + k;
                    const vec sum =
                        gather_taps(p, f, i, v % stride, at + v / stride, kw, stride, maxima);
                    for (int64_t l = 0; l < VL && iw + k + l * stride < p->w; l++)
                        to[k + l * stride] = sum[l];
                }
            }
        }
    }
}

static void gather_gradients(const nnf_pool *p, const frame *f, real *dx) {
    const bool maxima = f->position != NULL, odd = p->pad_w % 2;
    if (p->kw == 3 && p->stride_w == 2 && maxima && odd)
        gather_plane(p, f, 3, 2, 1, true, dx);
    else if (p->kw == 3 && p->stride_w == 2 && maxima)
        gather_plane(p, f, 3, 2, 0, true, dx);
    else if (p->stride_w == 2)
        gather_plane(p, f, p->kw, 2, odd, maxima, dx);
    else if (p->stride_w == 1)
        gather_plane(p, f, p->kw, 1, 0, maxima, dx);
    else
        gather_plane(p, f, p->kw, p->stride_w, 0, maxima, dx);
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
            if (at < p->kh * p->kw && row >= 0 && row < p->h && column >= 0 && column < p->w)
                dx[row * p->w + column] += dy[oh * p->ow + ow];
        }
}

/* Maxima of windows of more taps are scattered: to look for the few that chose a pixel costs more
 * (measured: 3x3 gathers 1.3 times faster, 4x4 breaks even, 6x6 scatters twice as fast). */
enum { GATHERED_TAPS = 12 };

/* The gradient of one plane of maxima (with an index) or of means over `count` pixels. */
static int backward_plane(const nnf_pool *p, int64_t count, const frame *f, const real *dy,
                          const uint8_t *index8, const int32_t *index32, real *dx) {
    if ((index8 || index32) && bad_indices(p, index8, index32))
        return NNF_BAD_INDEX;
    if (are_quads(p) && !index32) {
        FN(spread_quads)(p, dy, index8, dx);
    } else if (f) {
        fill_frame(p, count, dy, index8, f);
        gather_gradients(p, f, dx);
    } else {
        scatter_plane(p, dy, index8, index32, dx);
    }
    return NNF_OK;
}

static int backward(const nnf_pool *p, int64_t count, const real *dy, const uint8_t *index8,
                    const int32_t *index32, real *dx) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow, planes = p->n * p->c;
    const int64_t group = MAX(1, NNF_CHUNK / in);
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    const bool gathers = !index8 || (p->kh * p->kw <= GATHERED_TAPS && p->stride_w <= 2);
    const bool framed = !index32 && !are_quads(p) && gathers;
    const frame shape = make_frame(p);
    const size_t size = (size_t)(shape.rows * shape.pitch);
    atomic_int status = NNF_OK;
    PARALLEL_FOR(task, ceil_div(planes, group), (0.3 + 0.2 * taps) * (double)(planes * in), {
        frame f = shape;
        f.value = framed ? nnf_alloc(size * (sizeof(real) + 1)) : NULL;
        int result = framed && !f.value ? NNF_NO_MEMORY : NNF_OK;
        if (f.value) {
            memset(f.value, 0, size * (sizeof(real) + 1));
            f.position = index8 ? (uint8_t *)(f.value + size) : NULL;
        }
        const int64_t end = MIN((task + 1) * group, planes);
        const int64_t height = are_quads(p) && stacks(p) ? end - task * group : 1;
        const nnf_pool stack = stack_of(p, height);
        for (int64_t i = task * group; i < end && !result; i += height)
            result = backward_plane(&stack, count, framed ? &f : NULL, dy + i * out,
                                    index8 ? index8 + i * out : NULL,
                                    index32 ? index32 + i * out : NULL, dx + i * in);
        if (result)
            status = result;
        nnf_free(f.value);
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
