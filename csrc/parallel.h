/* parallel.h: how kernels use threads. With threads.c the only user of OpenMP.
 *
 * PARALLEL_FOR(i, n, work, body) runs body for i = 0 .. n-1, by several threads when the estimated
 * serial time `work` (in nanoseconds) pays for waking them; PARALLEL_FOR_BACK from the end of each
 * thread's share. The serial case branches before the pragma: a false if() clause would cost half a
 * microsecond. What is summed, and in which order, must depend on the shapes alone, never on the
 * thread count: that keeps results bit-identical.
 *
 * Each thread begins with a share of its own, the same part of the work every time: what one kernel
 * leaves in a core's cache, the next finds there. Who has done with it takes from the others.
 * (Items handed out to whoever comes cost up to twice the time where the cores have no common
 * cache.)
 */
#ifndef NNF_PARALLEL_H
#define NNF_PARALLEL_H

#include <stdatomic.h>
#include <stdint.h>

/* Threads worth using for `items` independent items of `work` nanoseconds together. */
int nnf_team(int64_t items, double work);

#ifdef _OPENMP
#include <omp.h>

#define NNF_PRAGMA(x) _Pragma(#x)

/* Items [begin, end), of which `taken` have been handed out; a cache line of its own. */
typedef struct {
    _Alignas(64) atomic_int_fast64_t taken;
    int64_t begin, end;
    struct nnf_workers *workers;
} nnf_share;
enum { NNF_SHARES = 64 };

/* Splits `items` into as many shares as threads. */
void nnf_split(nnf_share *shares, int count, int64_t items);
/* The next item of share *at or, when that is empty, of the ones after it; -1 if all `left` are. */
int64_t nnf_next(nnf_share *shares, int count, int *at, int *left, int back);

#define NNF_PARALLEL(i, n, work, back, ...)                                                        \
    do {                                                                                           \
        const int64_t count_ = (n);                                                                \
        const int team_ = nnf_team(count_, (work));                                                \
        if (team_ <= 1) {                                                                          \
            for (int64_t turn_ = 0; turn_ < count_; turn_++) {                                     \
                const int64_t i = (back) ? count_ - 1 - turn_ : turn_;                             \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        } else {                                                                                   \
            nnf_share shares_[NNF_SHARES];                                                         \
            const int many_ = team_ < NNF_SHARES ? team_ : NNF_SHARES;                             \
            nnf_split(shares_, many_, count_);                                                     \
            NNF_PRAGMA(omp parallel num_threads(team_)) {                                          \
                int share_ = omp_get_thread_num() % many_, unseen_ = many_;                        \
                for (int64_t i; (i = nnf_next(shares_, many_, &share_, &unseen_, (back))) >= 0;) { \
                    __VA_ARGS__;                                                                   \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)
#else
#define NNF_PARALLEL(i, n, work, back, ...)                                                        \
    do {                                                                                           \
        const int64_t count_ = (n);                                                                \
        (void)(work);                                                                              \
        for (int64_t turn_ = 0; turn_ < count_; turn_++) {                                         \
            const int64_t i = (back) ? count_ - 1 - turn_ : turn_;                                 \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)
#endif

#define PARALLEL_FOR(i, n, work, ...)      NNF_PARALLEL(i, n, work, 0, __VA_ARGS__)
#define PARALLEL_FOR_BACK(i, n, work, ...) NNF_PARALLEL(i, n, work, 1, __VA_ARGS__)

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
