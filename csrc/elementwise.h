/* elementwise.h: maps over arrays of n elements, VL at a time, by several threads.
 *
 *     MAP(n, 0.15, 2, y, LOAD(x) + LOAD(z));
 *
 * writes y[i] = x[i] + z[i]; the others say that an element takes 0.15 ns and that two
 * arrays are read. The last, incomplete vector goes through the same operations as the others. A
 * result that outgrows the cache is written past it (stream.h); y may be one of the arguments.
 */
#ifndef NNF_ELEMENTWISE_H
#define NNF_ELEMENTWISE_H

#include "real.h"
#include "stream.h"

/* Whether to stream a result of n reals, made of `reads` arrays as long: it has to start at a whole
 * vector. */
static inline bool streams(int64_t n, int64_t reads, const real *y) {
    const size_t bytes = (size_t)(n * (reads + 1)) * sizeof(real);
    return (uintptr_t)y % VBYTES == 0 && nnf_outgrows_cache(bytes);
}

VINLINE void vput(real *p, vec v, bool streamed) {
    if (streamed)
        vstream(p, v);
    else
        vstore(p, v);
}

/* Inside of a MAP: the elements of x that belong to those being written. */
#define LOAD(x) vload_upto((x) + i_, left_)

/* The elements [begin, end) of a MAP: for short rows, whose cache lines are still on their way. */
#define MAP_ROW(begin, end, y, ...)                                                                \
    do {                                                                                           \
        int64_t i_ = (begin);                                                                      \
        for (const int64_t left_ = VL; i_ + VL <= (end); i_ += VL)                                 \
            vstore((y) + i_, (__VA_ARGS__));                                                       \
        if (i_ < (end)) {                                                                          \
            const int64_t left_ = (end) - i_;                                                      \
            vstore_part((y) + i_, (__VA_ARGS__), left_);                                           \
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

#define MAP(n, ns, reads, y, ...)                                                                  \
    do {                                                                                           \
        const bool streamed_ = streams((n), (reads), (y));                                         \
        PARALLEL_RANGE(begin_, end_, (n), (ns), {                                                  \
            MAP_RANGE(begin_, end_, (y), streamed_, __VA_ARGS__);                                  \
            if (streamed_)                                                                         \
                vstream_end();                                                                     \
        });                                                                                        \
    } while (0)

#endif
