/* pool.h: what the files of pooling share: planes as tasks, stacks of planes, maxima. */
#ifndef NNF_POOL_H
#define NNF_POOL_H

#include "real.h"

/* Runs body for every plane of `size` elements, `ns` nanoseconds each; a task is a few planes. */
#define PLANES(plane, count, size, ns, ...)                                                        \
    do {                                                                                           \
        const int64_t planes_ = (count), group_ = MAX(1, NNF_CHUNK / MAX((size), 1));              \
        PARALLEL_FOR(task_, ceil_div(planes_, group_), (ns) * (double)planes_ * (double)(size), {  \
            for (int64_t plane = task_ * group_; plane < MIN((task_ + 1) * group_, planes_);       \
                 plane++) {                                                                        \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        });                                                                                        \
    } while (0)

/* Planes one below the other are one plane, if no window meets two of them: then the last row of
 * one is not the end of what a vector may run over into. */
static inline bool stacks(const nnf_pool *p) {
    return p->kh <= p->stride_h && p->pad_h == 0 && p->h == p->oh * p->stride_h;
}

static inline nnf_pool stack_of(const nnf_pool *p, int64_t planes) {
    nnf_pool s = *p;
    s.h *= planes;
    s.oh *= planes;
    return s;
}

/* Planes in a stack of about a chunk. */
static inline int64_t stack_height(const nnf_pool *p) {
    return stacks(p) ? MAX(1, NNF_CHUNK / MAX(p->h * p->w, 1)) : 1;
}

/* 2 x 2 windows side by side, every pixel in at most one. */
static inline bool are_quads(const nnf_pool *p) {
    return p->kh == 2 && p->kw == 2 && p->stride_h == 2 && p->stride_w == 2 && !p->pad_h &&
           !p->pad_w;
}

/* With a ReLU, maxima that are not above `least` = 0 are cut off: nothing of the window gets their
 * gradient, which is said by the position after its last, `none`. Without one, `least` is NaN. */
typedef struct {
    real *y;
    uint8_t *index8;
    int32_t *index32;
    real least;
    int32_t none;
} max_result;

/* VL maxima and their positions, or as many as there is room for, from element i of the result on.
 */
VINLINE void store_maxima(vec best, ivec at, const max_result *to, int64_t i, int64_t room) {
    const ivec cut = best <= vset1(to->least);
    vstore_upto(to->y + i, vselect(cut, vzero(), best), room);
    at = (ivec)vselect(cut, (vec)viset1((ireal)to->none), (vec)at);
    if (to->index8 && room >= VL)
        vstore_bytes(to->index8 + i, at);
    else if (to->index8)
        for (int64_t l = 0; l < room; l++)
            to->index8[i + l] = (uint8_t)at[l];
    else
        for (int64_t l = 0; l < MIN(VL, room); l++)
            to->index32[i + l] = (int32_t)at[l];
}

/* pool_quads.c: maxima of quads with 8-bit positions. Whether there is no NaN and not infinities of
 * both signs: else they have to be done otherwise. */
bool FN(max_quads)(const nnf_pool *p, const real *x, const max_result *to);
void FN(mean_quads)(const nnf_pool *p, const real *x, real *y);
/* Gradients of quads: dy goes to the position in `index`, or a quarter of it to all four (NULL). */
void FN(spread_quads)(const nnf_pool *p, const real *dy, const uint8_t *index, real *dx);

#endif
