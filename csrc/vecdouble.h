/* vecdouble.h: vectors of doubles whatever `real` is, for sums that float cannot carry. Goes with
 * vec.h. */
#ifndef NNF_VECDOUBLE_H
#define NNF_VECDOUBLE_H

#include "real.h"

typedef double dvec __attribute__((vector_size(VBYTES)));
enum { DVL = VBYTES / sizeof(double) };

/* DVL reals, and as doubles. GCC converts wide vectors piece by piece where no intrinsic is given.
 */
typedef real half_vec __attribute__((vector_size(DVL * sizeof(real))));
VINLINE dvec vdouble(half_vec v) {
#if defined(__AVX512F__) && NNF_DTYPE_BITS == 32
    return (dvec)_mm512_cvtps_pd((__m256)v);
#elif defined(__AVX__) && NNF_DTYPE_BITS == 32
    return (dvec)_mm256_cvtps_pd((__m128)v);
#else
    return __builtin_convertvector(v, dvec);
#endif
}

/* The lanes of v as doubles; of floats, those of the upper half added to those of the lower. */
VINLINE dvec vwiden(vec v) {
#if NNF_DTYPE_BITS == 64
    return v;
#else
    half_vec part[2];
    memcpy(part, &v, sizeof v);
    return vdouble(part[0]) + vdouble(part[1]);
#endif
}

VINLINE dvec dload(const double *p) {
    dvec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Adds the lanes of v to p[0 .. VL). */
VINLINE void vadd_wide(double *p, vec v) {
    half_vec part[VL / DVL];
    memcpy(part, &v, sizeof v);
    for (int i = 0; i < VL / DVL; i++) {
        const dvec sum = dload(p + i * DVL) + vdouble(part[i]);
        memcpy(p + i * DVL, &sum, sizeof sum);
    }
}

/* Zero where v is infinite or not a number. */
VINLINE dvec dfinite_or_zero(dvec v) {
    typedef int64_t lanes __attribute__((vector_size(VBYTES)));
    return (dvec)((v - v == 0) & (lanes)v);
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
