/* vecmath.h: exp, exp2, log, tanh and the logistic function on vec, branch-free.
 *
 * The largest error found is stated beside each, float32 / float64, in units in the last place
 * against long double, over 2^24 arguments each: dense where the function varies, random bits
 * elsewhere, denormals included; with FMA and without. At 0, +-infinity and NaN all are exact; they
 * overflow to infinity and underflow gradually. tests/test_vecmath.py holds them to it.
 */
#ifndef NNF_VECMATH_H
#define NNF_VECMATH_H

#include "real.h"

#if NNF_DTYPE_BITS == 32
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define ROUNDER       12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, in the low bits */
#define EXP_LOW       -104.0f     /* e^x rounds to 0 from here down */
#define EXP_HIGH      89.0f       /* and to infinity from here up */
#define WEIGHT_LOW    -86.5f      /* down to here e^x is a normal number, its last step too */
#define LN2_HIGH      0.69287109375f /* few enough bits that any exponent times it is exact */
#define LN2_LOW       2.7608680994530941723e-4f
#define TANH_ONE      20.0f /* tanh(x) rounds to 1 from half of it */
#define LOG_SCALE     24
#define EXP2_BIAS     64
#define EXP2_UNBIAS   0x1p-64f
/* (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2, and (2 atanh(s) - 2 s) / s^3 in s^2 for
 * s <= (sqrt(2) - 1) / (sqrt(2) + 1): interpolated at Chebyshev nodes, lowest power first.
 * 2^f for |f| <= 1/2: minimax among those that are 1 at 0. */
static const real exp_poly[] = {
    0.5f,
    1.6666576845993976311e-1f,
    4.1666554437685938899e-2f,
    8.3632029715758549465e-3f,
    1.3926213466332443037e-3f,
};
static const real log_poly[] = {
    6.666668509542907815e-1f,
    3.9988757716603567328e-1f,
    2.9580985930009207416e-1f,
};
static const real exp2_poly[] = {
    1.0f, 6.9314697736e-1f, 2.4022241761e-1f, 5.5507340008e-2f, 9.6715339032e-3f, 1.3264699875e-3f,
};
#else
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ROUNDER       6755399441055744.0
#define EXP_LOW       -746.0
#define EXP_HIGH      710.0
#define WEIGHT_LOW    -708.0
#define LN2_HIGH      0x1.62e42feep-1
#define LN2_LOW       1.908214929270587816144266e-10
#define TANH_ONE      40.0
#define LOG_SCALE     54
#define EXP2_BIAS     512
#define EXP2_UNBIAS   0x1p-512
static const real exp_poly[] = {
    5.0000000000000010262e-1, 1.6666666666666667456e-1, 4.1666666666623991516e-2,
    8.3333333333300513464e-3, 1.3888888917281793308e-3, 1.9841269863105968748e-4,
    2.4801521190217727651e-5, 2.7557268378684192873e-6, 2.7620138719973995569e-7,
    2.5100424157005066788e-8,
};
static const real log_poly[] = {
    6.6666666666666697077e-1, 3.9999999999898890513e-1, 2.8571428626253837631e-1,
    2.2222211089379493382e-1, 1.818289243253703153e-1,  1.5331611722050652378e-1,
    1.461780715346282875e-1,
};
static const real exp2_poly[] = {
    1.0,
    6.9314718055994532584e-1,
    2.4022650695910131379e-1,
    5.5504108664820080234e-2,
    9.6181291075940654554e-3,
    1.3333558146775175182e-3,
    1.5403530457188168823e-4,
    1.5252733492752850758e-5,
    1.3215435241282444612e-6,
    1.0178199663547073281e-7,
    7.0737907708418673914e-9,
    4.4347668422255122074e-10,
};
#endif

/* Horner's rule on even and odd powers apart, which halves the chain of dependent operations;
 * `count` is a constant, so the loop unrolls. */
VINLINE vec vpoly(vec x, const real *coefficient, int count) {
    const vec square = x * x;
    vec odd = vset1(coefficient[count - 1]), even = vset1(coefficient[count - 2]);
    for (int i = count - 3; i >= 0; i--) {
        const vec next = vfma(odd, square, vset1(coefficient[i]));
        odd = even;
        even = next;
    }
    return vfma(odd, x, even);
}
#define VPOLY(x, table) vpoly(x, table, (int)(sizeof table / sizeof *table))

/* Horner's rule as it is: one operation less, for loops whose bottleneck is their number. */
VINLINE vec vhorner(vec x, const real *coefficient, int count) {
    vec y = vset1(coefficient[count - 1]);
    for (int i = count - 2; i >= 0; i--)
        y = vfma(y, x, vset1(coefficient[i]));
    return y;
}
#define VHORNER(x, table) vhorner(x, table, (int)(sizeof table / sizeof *table))

/* 2^n for integral n in the range of normal numbers, given n + ROUNDER. */
VINLINE vec vpow2(vec rounded) {
    const ivec n = (ivec)rounded - (ivec)vset1(ROUNDER);
    return (vec)((n + EXPONENT_BIAS) << MANTISSA_BITS);
}

/* x = n ln 2 + r with |r| <= ln(2) / 2: returns e^r - 1, and n + ROUNDER through *rounded. */
VINLINE vec vexp_reduced(vec x, vec *rounded) {
    *rounded = vfma(x, vset1((real)1.4426950408889634074), vset1(ROUNDER));
    const vec n = *rounded - ROUNDER;
    const vec r = (x - n * LN2_HIGH) - n * LN2_LOW;
    return vfma(r * r, VPOLY(r, exp_poly), r);
}

/* e^x; 1.08 / 1.11 ulp */
VINLINE vec vexp(vec x) {
    vec rounded;
    const vec p = vexp_reduced(vmin(vset1(EXP_HIGH), vmax(vset1(EXP_LOW), x)), &rounded);
    /* 2^n in two factors: n itself may lie outside the normal range. */
    const vec half = vfma(rounded - ROUNDER, vset1((real)0.5), vset1(ROUNDER));
    return (1 + p) * vpow2(half) * vpow2(rounded - (half - ROUNDER));
}

/* e^x for x < 88 (709), at two thirds of the cost; 0 instead of results that are denormal or nearly
 * so. For the weights of a softmax, whose largest is 1; 1.08 / 1.11 ulp */
VINLINE vec vexp_weight(vec x) {
    vec rounded;
    const vec p = vexp_reduced(x, &rounded), scale = vpow2(rounded);
    return (vec)((ivec)vfma(p, scale, scale) & ~(x < WEIGHT_LOW));
}

/* 2^(x y + EXP2_BIAS) for x y from -2.9 EXP2_BIAS to 0; 2.2 / 1.2 ulp, and 0.7 |x y| more without
 * FMA. What underflows without the bias stays a normal number with it: multiply by EXP2_UNBIAS
 * last. Half the operations of vexp, as 2^n is added to the exponent of a mere polynomial. */
VINLINE vec vexp2_biased(vec x, vec y) {
    const vec rounded = vfma(x, y, vset1(ROUNDER + EXP2_BIAS));
    const vec n = rounded - (ROUNDER + EXP2_BIAS);
    const uvec exponent = (uvec)rounded << MANTISSA_BITS;
    return (vec)((uvec)VHORNER(vfma(x, y, -n), exp2_poly) + exponent);
}

/* tanh x = (e^2|x| - 1) / (e^2|x| + 1) with the sign of x; 2.54 / 2.71 ulp */
VINLINE vec vtanh(vec x) {
    vec rounded;
    const vec p = vexp_reduced(vmin(vset1(TANH_ONE), 2 * vabs(x)), &rounded);
    const vec scale = vpow2(rounded);
    const vec expm1 = vfma(p, scale, scale - 1);
    return vcopysign(expm1 / (expm1 + 2), x);
}

/* 1 / (1 + e^-x); 2.49 / 2.30 ulp. Both sides of the fraction are scaled, so that e^-x fits. */
VINLINE vec vsigmoid(vec x) {
    vec rounded;
    const vec p = vexp_reduced(vmin(vset1(-EXP_LOW), vmax(vset1(-TANH_ONE), -x)), &rounded);
    const vec one = vpow2(vset1(ROUNDER - LOG_SCALE)), scale = vpow2(rounded - LOG_SCALE);
    return one / (one + vfma(p, scale, scale));
}

/* ln x; 0.86 / 0.88 ulp. x = 2^k m with sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f);
 * ln(1 + f) = 2 atanh(s) = f - (f^2 / 2 - s (f^2 / 2 + s^2 P(s^2))) */
VINLINE vec vlog(vec x) {
    const ivec small = x < (NNF_DTYPE_BITS == 32 ? (real)FLT_MIN : (real)DBL_MIN);
    const ivec bits = (ivec)vselect(small, x * (real)((ireal)1 << LOG_SCALE), x);
    const ivec sqrt_half = (ivec)vset1((real)0.70710678118654752440);
    const ivec one = (ivec)vset1(1);
    const uvec exponent = (uvec)(bits + (one - sqrt_half)) >> MANTISSA_BITS;
    const ivec k = (ivec)exponent - EXPONENT_BIAS;
    const vec m = (vec)(bits - (k << MANTISSA_BITS));
    const vec n = (vec)(k - (small & LOG_SCALE) + (ivec)vset1(ROUNDER)) - ROUNDER;
    const vec f = m - 1, s = f / (2 + f), z = s * s, half = (real)0.5 * f * f;
    const vec series = s * (half + z * VPOLY(z, log_poly)) + n * LN2_LOW;
    vec y = n * LN2_HIGH - ((half - series) - f);
    const vec infinity = vset1((real)INFINITY);
    y = vselect(x < infinity, y, x); /* infinity and NaN */
    y = vselect(x == 0, -infinity, y);
    return vselect(x < 0, vset1((real)NAN), y);
}

#endif
