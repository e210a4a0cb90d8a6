/* pool.h: what pooling forward and backward share: planes as tasks. */
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

#endif
