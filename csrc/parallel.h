/* parallel.h: how kernels use threads. With threads.c the only user of OpenMP.
 *
 * PARALLEL_FOR(i, n, work, body) runs body for i = 0 .. n-1, by several threads when the estimated
 * serial time `work` (in nanoseconds) pays for waking them. The serial case branches before the
 * pragma: a false if() clause would cost half a microsecond. `n` and what an iteration does must
 * depend on the shapes alone, never on the thread count: that keeps results bit-identical.
 */
#ifndef NNF_PARALLEL_H
#define NNF_PARALLEL_H

#include <stdint.h>

/* Threads worth using for `items` independent items of `work` nanoseconds together. */
int nnf_team(int64_t items, double work);

#ifdef _OPENMP
#define NNF_PRAGMA(x) _Pragma(#x)
#define PARALLEL_FOR(i, n, work, ...)                                                              \
    do {                                                                                           \
        const int64_t count_ = (n);                                                                \
        const int team_ = nnf_team(count_, (work));                                                \
        if (team_ <= 1) {                                                                          \
            for (int64_t i = 0; i < count_; i++) {                                                 \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        } else {                                                                                   \
            NNF_PRAGMA(omp parallel for num_threads(team_) schedule(dynamic, 1))                   \
            for (int64_t i = 0; i < count_; i++) {                                                 \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)
#else
#define PARALLEL_FOR(i, n, work, ...)                                                              \
    do {                                                                                           \
        const int64_t count_ = (n);                                                                \
        (void)(work);                                                                              \
        for (int64_t i = 0; i < count_; i++) {                                                     \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)
#endif

/* Elementwise work: [0, n) in ranges of NNF_CHUNK elements (a multiple of every VL, 64 KiB of
 * float32), `work` nanoseconds per element. body sees int64_t begin, end. */
enum { NNF_CHUNK = 16384 };
#define PARALLEL_RANGE(begin, end, n, work, ...)                                                   \
    PARALLEL_FOR(chunk_, ((n) + NNF_CHUNK - 1) / NNF_CHUNK, (work) * (double)(n), {                \
        const int64_t begin = chunk_ * NNF_CHUNK;                                                  \
        const int64_t end = begin + NNF_CHUNK < (n) ? begin + NNF_CHUNK : (n);                     \
        __VA_ARGS__;                                                                               \
    })

#endif
