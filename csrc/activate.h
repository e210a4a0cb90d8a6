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

#endif
