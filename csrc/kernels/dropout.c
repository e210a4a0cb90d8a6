/* dropout.c: zeroes elements at random and scales the rest by 1 / (1 - p): x, y, dx, dy (n).
 *
 * Element i stays iff a random number of 32 bits is at least p 2^32. Its upper byte is byte i of
 * the random stream, which decides by itself 255 times of 256; the other three are then word 0 of
 * block LOW_BITS + i. So a mask costs a quarter of the numbers, and no precision. The backward pass
 * makes it again, which is cheaper than to read it. */
#include "elementwise.h"
#include "rng.h"

#define LOW_BITS ((uint64_t)1 << 63)

typedef struct {
    uint32_t limit; /* the greatest number that is dropped */
    uint64_t seed, offset;
} mask;

/* Whether one of eight bytes is this one: whether taking 1 from each borrows from a high bit. */
static bool has_byte(const uint8_t *eight, uint8_t byte) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t word;
    memcpy(&word, eight, sizeof word);
    word ^= ones * byte;
    return ((word - ones) & ~word & ones << 7) != 0;
}

/* Whether each of PHILOX_BYTES elements, from a whole block on, stays. */
static void make_mask(const mask *m, int64_t first, uint8_t keep[PHILOX_BYTES]) {
    uint8_t random[PHILOX_BYTES], tied = 0;
    const uint8_t high = (uint8_t)(m->limit >> 24);
    const uint32_t low = m->limit & 0xFFFFFF;
    philox_step((uint64_t)first / 16, m->seed, m->offset, random);
    for (int i = 0; i < PHILOX_BYTES; i++) {
        keep[i] = random[i] > high;
        tied |= random[i] == high;
    }
    if (!tied || low == 0xFFFFFF)
        return;
    for (int i = 0; i < PHILOX_BYTES; i += 8)
        if (has_byte(random + i, high))
            for (int j = i; j < i + 8; j++)
                if (random[j] == high) {
                    const uint64_t block = LOW_BITS + (uint64_t)(first + j);
                    keep[j] = philox_word(block, m->seed, m->offset) >> 8 > low;
                }
}

VINLINE vec drop(vec x, const uint8_t *keep, vec scale) {
    return (vec)((viset1(0) - vload_bytes(keep)) & (ivec)(x * scale));
}

static void dropout_range(int64_t begin, int64_t end, const mask *m, vec scale, bool streamed,
                          const real *x, real *y) {
    uint8_t keep[PHILOX_BYTES];
    for (; begin < end; begin += PHILOX_BYTES) {
        const real *from = x + begin;
        make_mask(m, begin, keep);
        MAP_RANGE(0, MIN(PHILOX_BYTES, end - begin), y + begin, streamed,
                  drop(LOAD(from), keep + i_, scale));
    }
    if (streamed)
        vstream_end();
}

int FN(dropout)(int64_t n, double p, uint64_t seed, uint64_t offset, const real *x, real *y) {
    if (p == 0) {
        MAP(n, 0.1, 1, y, LOAD(x));
        return NNF_OK;
    }
    const mask m = {(uint32_t)(ceil(p * 0x1p32) - 1), seed, offset};
    const vec scale = vset1((real)(1 / (1 - p)));
    const bool streamed = streams(n, 1, y);
    PARALLEL_RANGE(begin, end, n, 0.4, dropout_range(begin, end, &m, scale, streamed, x, y));
    return NNF_OK;
}

int FN(dropout_backward)(int64_t n, double p, uint64_t seed, uint64_t offset, const real *dy,
                         real *dx) {
    return FN(dropout)(n, p, seed, offset, dy, dx);
}
