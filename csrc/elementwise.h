/* elementwise.h: maps over arrays of n elements, VL at a time, by several threads.
 *
 *     MAP(n, 0.1, y, LOAD(x) + LOAD(z));
 *
 * writes y[i] = x[i] + z[i]; the second argument is the time of an element in nanoseconds. The
 * last, incomplete vector goes through the same operations as the others. A result that outgrows
 * the cache is written past it (stream.h); y may be one of the arguments.
 */
#ifndef NNF_ELEMENTWISE_H
#define NNF_ELEMENTWISE_H

#include "real.h"
#include "stream.h"

/* Whether to stream a result of n reals: it has to start at a whole vector. */
static inline bool streams(int64_t n, const real *y) {
    return (uintptr_t)y % VBYTES == 0 && nnf_outgrows_cache((size_t)n * sizeof(real));
}

VINLINE void vput(real *p, vec v, bool streamed) {
    if (streamed)
        vstream(p, v);
    else
        vstore(p, v);
}

/* Inside of a MAP: the elements of x that belong to those being written. */
#define LOAD(x) vload_or((x) + i_, left_, vzero())

/* The elements [begin, end) of a MAP: for short rows, whose cache lines are still on their way. */
#define MAP_ROW(begin, end, y, ...)                                                                \
    do {                                                                                           \
        for (int64_t i_ = (begin); i_ < (end); i_ += VL) {                                         \
            const int64_t left_ = (end) - i_;                                                      \
            vstore_upto((y) + i_, (__VA_ARGS__), left_);                                           \
        }                                                                                          \
    } while (0)

/* The same for long ranges. Four vectors are computed before the first is stored: a load waits for
 * earlier stores to addresses that differ by nearly a multiple of 4096, as the data of large NumPy
 * arrays and of our results do. One by one, a sigmoid of such an array took twice as long. */
#define MAP_RANGE(begin, end, y, streamed, ...)                                                    \
    do {                                                                                           \
        int64_t at_ = (begin);                                                                     \
        for (const int64_t left_ = VL; at_ + 4 * VL <= (end); at_ += 4 * VL) {                     \
            vec v_[4];                                                                             \
            for (int64_t k_ = 0, i_ = at_; k_ < 4; k_++, i_ += VL)                                 \
                v_[k_] = (__VA_ARGS__);                                                            \
            for (int64_t k_ = 0; k_ < 4; k_++)                                                     \
                vput((y) + at_ + k_ * VL, v_[k_], (streamed));                                     \
        }                                                                                          \
        MAP_ROW(at_, (end), (y), __VA_ARGS__);                                                     \
    } while (0)

#define MAP(n, ns, y, ...)                                                                         \
    do {                                                                                           \
        const bool streamed_ = streams((n), (y));                                                  \
        PARALLEL_RANGE(begin_, end_, (n), (ns), {                                                  \
            MAP_RANGE(begin_, end_, (y), streamed_, __VA_ARGS__);                                  \
            if (streamed_)                                                                         \
                vstream_end();                                                                     \
        });                                                                                        \
    } while (0)

#endif
