/* sum.h: long sums, fast and accurate. Blocks are added up in reals, a lane SUM_TERMS numbers and
 * then SUM_WAYS lanes by halves, so that none goes through more than 6 roundings; the blocks are
 * added up in double, pairwise. A sum of floats is within 3.5 eps of the sum of the magnitudes,
 * of any length; one of doubles loses half an eps more with each doubling of the blocks. The order
 * of additions depends on the length alone. */
#ifndef NNF_SUM_H
#define NNF_SUM_H

#include "real.h"
#include "vecdouble.h"

enum {
    SUM_WAYS = 8,
    SUM_TERMS = 4,
    SUM_BLOCK = SUM_WAYS * SUM_TERMS * VL,
    SUM_LEAF = (NNF_DTYPE_BITS == 32 ? 64 : 1) * SUM_BLOCK, /* a few blocks cost double nothing */
};

VINLINE vec add_ways(vec way[SUM_WAYS]) {
    for (int half = SUM_WAYS / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            way[j] += way[j + half];
    return way[0];
}

/* The sum of n <= SUM_BLOCK reals, spread over the lanes; of rows in lanes, the sum of each. */
VINLINE vec sum_lanes(int64_t n, const real *x) {
    vec way[SUM_WAYS];
    const int64_t first = n % (SUM_WAYS * VL);
    for (int j = 0; j < SUM_WAYS; j++)
        way[j] = first > j * VL ? vload_upto(x + j * VL, first - j * VL) : vzero();
    for (x += first, n -= first; n > 0; n -= SUM_WAYS * VL, x += SUM_WAYS * VL)
        for (int j = 0; j < SUM_WAYS; j++)
            way[j] += vload(x + j * VL);
    return add_ways(way);
}

/* The sum of `terms` numbers in each lane of each way. */
VINLINE dvec sum_ways(int64_t terms, const real *x) {
    vec way[SUM_WAYS];
    for (int j = 0; j < SUM_WAYS; j++)
        way[j] = vload(x + j * VL);
    for (int64_t t = 1; t < terms; t++)
        for (int j = 0; j < SUM_WAYS; j++)
            way[j] += vload(x + (t * SUM_WAYS + j) * VL);
    return vwiden(add_ways(way));
}

/* noinline: the compiler would unroll the recursion into kilobytes. */
__attribute__((unused, noinline)) static dvec sum_pairwise(int64_t n, const real *x) {
    if (n <= SUM_LEAF) {
        dvec sum = {0};
        for (; n >= SUM_BLOCK; n -= SUM_BLOCK, x += SUM_BLOCK)
            sum += sum_ways(SUM_TERMS, x); /* by itself, so that it is unrolled */
        const int64_t terms = n / (SUM_WAYS * VL);
        if (terms > 0)
            sum += sum_ways(terms, x);
        vec even = vzero(), odd = vzero(); /* what is left, less than a vector for each way */
        for (int64_t i = terms * SUM_WAYS * VL; i < n; i += 2 * VL) {
            even += vload_upto(x + i, n - i);
            if (n - i > VL)
                odd += vload_upto(x + i + VL, n - i - VL);
        }
        return sum + vwiden(even + odd);
    }
    const int64_t half = round_up(n / 2, SUM_LEAF);
    const dvec first = sum_pairwise(half, x);
    return first + sum_pairwise(n - half, x + half);
}

VINLINE double sum_of(int64_t n, const real *x) { return dsum(sum_pairwise(n, x)); }

/* The sum of a channel of x (n, channels, size). */
static inline double sum_of_channel(int64_t n, int64_t channels, int64_t size, int64_t channel,
                                    const real *x) {
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += sum_of(size, x + (i * channels + channel) * size);
    return total;
}

/* y (width), the sums of the columns of x (len, width), rows `pitch` apart, with the bits of
 * reduce_sum but by the calling thread alone (reduce.c). */
int FN_OTHER(sum_columns)(int64_t len, int64_t width, int64_t pitch, const real *x, real *y);

#endif
