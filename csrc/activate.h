/* activate.h: the activations cheap enough to be applied while a result is in registers. */
#ifndef NNF_ACTIVATE_H
#define NNF_ACTIVATE_H

#include "real.h"

/* act: NNF_LINEAR, NNF_RELU or NNF_LEAKY_RELU. */
VINLINE vec activate(vec x, nnf_activation act) {
    if (act == NNF_RELU)
        return vselect(x <= vzero(), vzero(), x);
    if (act == NNF_LEAKY_RELU)
        return vselect(x <= vzero(), x * vset1((real)NNF_LEAKY_SLOPE), x);
    return x;
}

/* What of an activation is applied in registers: all but the long ones. */
static inline nnf_activation activation_in_registers(int act) {
    return act == NNF_SIGMOID || act == NNF_TANH ? NNF_LINEAR : (nnf_activation)act;
}

/* The rest of it, y (n) in place: one more pass, over what is fresh in the cache. */
static inline int activation_pass(int act, int64_t n, real *y) {
    if (act == NNF_SIGMOID)
        return FN_OTHER(sigmoid)(n, y, y);
    if (act == NNF_TANH)
        return FN_OTHER(tanh)(n, y, y);
    return NNF_OK;
}

#endif
