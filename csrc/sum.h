/* sum.h: long sums, in double and pairwise over blocks: the error grows with the logarithm of the
 * length, and the order of additions depends on the length alone. */
#ifndef NNF_SUM_H
#define NNF_SUM_H

#include "real.h"
#include "vecdouble.h"

enum { SUM_BLOCK = 8 * 4 * DVL };

/* The sum of n <= SUM_BLOCK reals. */
VINLINE double sum_block(int64_t n, const real *x) {
    dvec sum[4] = {{0}};
    int64_t i = 0;
    for (; i + 4 * DVL <= n; i += 4 * DVL)
        for (int j = 0; j < 4; j++)
            sum[j] += vload_wide(x + i + j * DVL);
    for (; i + DVL <= n; i += DVL)
        sum[0] += vload_wide(x + i);
    double rest = 0;
    for (; i < n; i++)
        rest += (double)x[i];
    return dsum((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

/* noinline: the compiler would unroll the recursion into kilobytes. */
__attribute__((unused, noinline)) static double sum_of(int64_t n, const real *x) {
    if (n <= SUM_BLOCK)
        return sum_block(n, x);
    const int64_t half = round_up(n / 2, SUM_BLOCK);
    return sum_of(half, x) + sum_of(n - half, x + half);
}

#endif
