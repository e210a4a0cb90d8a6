/* vecdouble.h: vectors of doubles whatever `real` is, for sums that float cannot carry. Goes with
 * vec.h. */
#ifndef NNF_VECDOUBLE_H
#define NNF_VECDOUBLE_H

#include "real.h"

typedef double dvec __attribute__((vector_size(VBYTES)));
enum { DVL = VBYTES / sizeof(double) };

/* DVL reals as doubles. */
VINLINE dvec vload_wide(const real *p) {
    typedef real narrow
        __attribute__((vector_size(DVL * sizeof(real)), aligned(sizeof(real)), may_alias));
    return __builtin_convertvector(*(const narrow *)p, dvec);
}

/* The sum of all lanes, in a fixed order. */
VINLINE double dsum(dvec v) {
    double lane[DVL];
    memcpy(lane, &v, sizeof v);
    for (int half = DVL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

#endif
