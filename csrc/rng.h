/* rng.h: counter-based random numbers, Philox 4x32-10 (Salmon et al., SC 2011).
 *
 * A block of four 32-bit words is a pure function of a 128-bit counter and a 64-bit key, so that
 * element i of a mask is the same whichever thread computes it.
 */
#ifndef NNF_RNG_H
#define NNF_RNG_H

#include <stdint.h>

typedef struct {
    uint32_t word[4];
} philox_block;

/* Block `index` of the stream (seed, offset). */
static inline philox_block philox(uint64_t index, uint64_t seed, uint64_t offset) {
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)offset, c3 = (uint32_t)(offset >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    return (philox_block){{c0, c1, c2, c3}};
}

#endif
