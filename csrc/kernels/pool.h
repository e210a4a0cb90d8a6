/* pool.h: what pooling forward and backward share: planes as tasks, and stacks of planes. */
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

#endif
