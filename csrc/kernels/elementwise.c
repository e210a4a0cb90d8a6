/* elementwise.c: arithmetic on arrays of one shape, all over n elements: a, b, y (n). */
#include "elementwise.h"

#include "activate.h"

int FN(add)(int64_t n, const real *a, const real *b, int act, real *y) {
    const nnf_activation in_registers = activation_in_registers(act);
    if (in_registers == NNF_RELU)
        MAP(n, 0.15, 2, y, activate(LOAD(a) + LOAD(b), NNF_RELU));
    else
        MAP(n, 0.15, 2, y, activate(LOAD(a) + LOAD(b), in_registers));
    return activation_pass(act, n, y);
}
