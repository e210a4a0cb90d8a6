/* rng.h: counter-based random numbers, Philox 4x32-10 (Salmon et al., SC 2011).
 *
 * A block of four 32-bit words is a pure function of a 128-bit counter and a 64-bit key, so that
 * element i of a mask is the same whichever thread computes it. Here the counter is (block, offset)
 * and the key the seed.
 */
#ifndef NNF_RNG_H
#define NNF_RNG_H

#include "real.h"

enum {
    PHILOX_CHAINS = 4, /* independent vectors: the rounds of one are a chain of latencies */
    PHILOX_BYTES = PHILOX_CHAINS * VBYTES, /* that one step makes */
};

/* The bytes of the blocks from `first` on, sixteen each. */
static inline void philox_step(uint64_t first, uint64_t seed, uint64_t offset,
                               uint8_t byte[PHILOX_BYTES]) {
    u64vec state[PHILOX_CHAINS], multiplier, key, weyl;
    /* Words 0 and 1 of a block share a 64-bit lane, words 2 and 3 the next. */
    for (int i = 0; i < VBYTES / 8; i++) {
        const bool odd = i % 2;
        multiplier[i] = odd ? 0xCD9E8D57u : 0xD2511F53u;
        weyl[i] = odd ? 0xBB67AE85u : 0x9E3779B9u; /* sqrt(3) - 1, golden ratio */
        key[i] = odd ? seed >> 32 : (uint32_t)seed;
        for (int chain = 0; chain < PHILOX_CHAINS; chain++)
            state[chain][i] = odd ? offset : first + (uint64_t)(chain * (VBYTES / 16) + i / 2);
    }
    for (int round = 0; round < 10; round++) {
        for (int chain = 0; chain < PHILOX_CHAINS; chain++) {
            const u64vec product = vreverse32(vmul_low32(state[chain], multiplier));
            state[chain] = product ^ (state[chain] >> 32) ^ key;
        }
        key = (u64vec)((u32vec)key + (u32vec)weyl);
    }
    memcpy(byte, state, sizeof state);
}

/* Word 0 of one block. */
static inline uint32_t philox_word(uint64_t block, uint64_t seed, uint64_t offset) {
    uint32_t word[4] = {(uint32_t)block, block >> 32, (uint32_t)offset, offset >> 32};
    uint32_t key[2] = {(uint32_t)seed, seed >> 32};
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)word[0] * 0xD2511F53u, b = (uint64_t)word[2] * 0xCD9E8D57u;
        word[0] = (uint32_t)(b >> 32) ^ word[1] ^ key[0];
        word[1] = (uint32_t)b;
        word[2] = (uint32_t)(a >> 32) ^ word[3] ^ key[1];
        word[3] = (uint32_t)a;
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return word[0];
}

#endif
