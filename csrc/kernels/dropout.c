/* dropout.c: zeroes elements at random and scales the rest by 1 / (1 - p): x, y, dx, dy (n).
 *
 * Element i stays iff word i of the random stream is at least p 2^32; the mask is made again in the
 * backward pass instead of being stored.
 */
#include "rng.h"

static void dropout_range(int64_t begin, int64_t end, uint32_t limit, real scale, uint64_t seed,
                          uint64_t offset, const real *x, real *y) {
    uint32_t word[PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += PHILOX_WORDS) {
        philox_step((uint64_t)i / 4, seed, offset, word);
        const int64_t n = MIN(PHILOX_WORDS, end - i);
        for (int64_t j = 0; j < n; j++)
            y[i + j] = word[j] > limit ? x[i + j] * scale : 0;
    }
}

int FN(dropout)(int64_t n, double p, uint64_t seed, uint64_t offset, const real *x, real *y) {
    if (p == 0) {
        PARALLEL_RANGE(begin, end, n, 0.2,
                       memcpy(y + begin, x + begin, (size_t)(end - begin) * sizeof *y));
        return NNF_OK;
    }
    const uint32_t limit = (uint32_t)(ceil(p * 0x1p32) - 1);
    const real scale = (real)(1 / (1 - p));
    PARALLEL_RANGE(begin, end, n, 1.0, dropout_range(begin, end, limit, scale, seed, offset, x, y));
    return NNF_OK;
}

int FN(dropout_backward)(int64_t n, double p, uint64_t seed, uint64_t offset, const real *dy,
                         real *dx) {
    return FN(dropout)(n, p, seed, offset, dy, dx);
}
