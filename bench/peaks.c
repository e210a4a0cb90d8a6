/* peaks.c: the most a core of this machine does, of multiply-adds and of memory traffic.
 *
 * Compiled by peaks.py for the machine at hand, once per dtype, and run on several threads there.
 */
#include "real.h"

/* Chains that do not wait for each other: two units of a latency of four or five cycles are busy,
 * and sixteen registers hold them all. */
enum { CHAINS = 12 };

int64_t flops_of_a_round(void) { return 2 * CHAINS * VL; }

/* The sum is returned so that it has to be computed. */
double multiply_adds(int64_t rounds) {
    const vec factor = vset1((real)0.999), term = vset1((real)0.001);
    vec chain[CHAINS];
    NNF_EACH (i, CHAINS)
        chain[i] = vset1((real)i);
    for (int64_t round = 0; round < rounds; round++) {
        NNF_EACH (i, CHAINS)
            chain[i] = chain[i] * factor + term;
    }
    real sum = 0;
    NNF_EACH (i, CHAINS)
        sum += chain[i][0];
    return (double)sum;
}

/* x (n), each number read and written once. */
void scale(real *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        x[i] *= (real)0.999;
}
