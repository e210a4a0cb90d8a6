/* elementwise.c: arithmetic on arrays of one shape, all over n elements: a, b, y (n). */
#include "activate.h"

static void add_range(int64_t begin, int64_t end, const real *a, const real *b, nnf_activation act,
                      real *y) {
    for (int64_t i = begin; i < end; i += VL) {
        const vec sum = vload_or(a + i, end - i, vzero()) + vload_or(b + i, end - i, vzero());
        vstore_upto(y + i, activate(sum, act), end - i);
    }
}

int FN(add)(int64_t n, const real *a, const real *b, int act, real *y) {
    const nnf_activation in_registers = activation_in_registers(act);
    PARALLEL_RANGE(begin, end, n, 0.3, add_range(begin, end, a, b, in_registers, y));
    return activation_pass(act, n, y);
}
