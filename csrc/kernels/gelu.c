/* gelu.c: the Gaussian error linear unit x Phi(x) and its gradient: x, y, dx, dy (n).
 *
 * With T(a) = 1 - Phi(a), the tail of the distribution beyond a = |x|,
 *
 *     y = max(x, 0) - a T(a),    dy/dx = T(a) + a T'(a) for x <= 0, 1 - (T(a) + a T'(a)) for x > 0
 *
 * for any symmetric distribution: the normal one, and that of the tanh form. Where x is negative
 * nothing cancels, as 1 + erf would, and the result keeps its digits down to the last of them.
 *
 * T(a) = e^(-a^2 / 2) N(a) / D(a), the polynomials being minimax on [0, NORMAL_END]. Float32 spends
 * its accuracy where the result is large: relative to T the error is 2^-25.4 at a = 0 and 2^-19.4
 * from a = 2.5 on. Largest errors found, float32 / float64: of y, in units in the last place,
 * 3.4 / 3.0 for x > 0, 35 + x^2 / 5 + x^2 for x < 0, 5 + 3.5 t there in the tanh form (t: below);
 * of dy/dx 1.2 epsilon. */
#include "vecmath.h"

/* END: from there on y = max(x, 0), and dy/dx is 0 or 1. Coefficients: lowest power first. */
#if NNF_DTYPE_BITS == 32
#define NORMAL_END 14.6f
#define TANH_END   11.0f
#define LOG2_E     1.4426950408889634074f
static const real tail_numerator[] = {
    13.625101651f * EXP2_UNBIAS,
    9.4011631172f * EXP2_UNBIAS,
    2.9854392128f * EXP2_UNBIAS,
    0.3988478007f * EXP2_UNBIAS,
};
static const real tail_denominator[] = {
    27.250203302f, 40.54478982f, 24.696510913f, 7.4746520845f, 1.0f,
};
#else
#define NORMAL_END 38.7
#define TANH_END   21.6
#define LOG2_E     1.4426950408889634074
static const real tail_numerator[] = {
    153011.57713728406732 * EXP2_UNBIAS, 235859.80767860873149 * EXP2_UNBIAS,
    179929.80136358452425 * EXP2_UNBIAS, 87197.666847669911719 * EXP2_UNBIAS,
    29287.86593062306821 * EXP2_UNBIAS,  7040.2873195066200629 * EXP2_UNBIAS,
    1210.8103281810093892 * EXP2_UNBIAS, 144.11712538449372096 * EXP2_UNBIAS,
    10.849446784811538521 * EXP2_UNBIAS, 0.39894228039975159415 * EXP2_UNBIAS,
};
static const real tail_denominator[] = {
    306023.15427456813746,
    715890.76540108808041,
    778046.21452478592283,
    518631.3965027993482,
    235507.11064637076343,
    76394.448965832652713,
    18006.631474358779436,
    3062.2469297094623093,
    362.24806142380085132,
    27.195530074072237687,
    1.0,
};
#endif
#define DENSITY_0 ((real)0.39894228040143267794) /* of the normal distribution: 1 / sqrt(2 pi) */
/* The tanh form: T = 1 / (1 + e^t), t = 2 sqrt(2 / pi) (a + 0.044715 a^3). */
#define TANH_1 ((real)1.5957691216057307118)
#define TANH_3 ((real)0.071354816272600248)

/* a T(a), by which y falls short of max(x, 0), and its derivative. */
typedef struct {
    vec value, slope;
} lost;

VINLINE lost normal_lost(vec a) {
    const vec e = vexp2_biased(a * a, vset1(-LOG2_E / 2));
    const vec ratio = VHORNER(a, tail_numerator) / VHORNER(a, tail_denominator);
    return (lost){(a * e) * ratio, e * (ratio - a * (DENSITY_0 * EXP2_UNBIAS))};
}

VINLINE lost tanh_lost(vec a) {
    const vec square = a * a;
    const vec e = vexp2_biased(a, vfma(square, vset1(-LOG2_E * TANH_3), vset1(-LOG2_E * TANH_1)));
    const vec head = 1 / vfma(e, vset1(EXP2_UNBIAS), vset1(1)); /* 1 - T */
    const vec ratio = head * EXP2_UNBIAS;
    const vec log_slope = vfma(square, vset1(3 * TANH_3), vset1(TANH_1)) * head;
    return (lost){(a * e) * ratio, e * (ratio * (1 - a * log_slope))};
}

VINLINE lost lost_at(bool tanh_form, vec x) {
    const vec a = vabs(x);
    return tanh_form ? tanh_lost(vmin(vset1(TANH_END), a))
                     : normal_lost(vmin(vset1(NORMAL_END), a));
}

VINLINE void forward(bool tanh_form, int64_t n, const real *x, real *y) {
    for (int64_t i = 0; i < n; i += VL) {
        const vec v = vload_upto(x + i, n - i);
        vstore_upto(y + i, vmax(vzero(), v) - lost_at(tanh_form, v).value, n - i);
    }
}

VINLINE void backward(bool tanh_form, int64_t n, const real *dy, const real *x, real *dx) {
    for (int64_t i = 0; i < n; i += VL) {
        const vec v = vload_upto(x + i, n - i), d = vload_upto(dy + i, n - i);
        const vec slope = lost_at(tanh_form, v).slope;
        vstore_upto(dx + i, d * vselect(v > 0, 1 - slope, slope), n - i);
    }
}

static void gelu_range(int64_t begin, int64_t end, bool tanh_form, const real *x, real *y) {
    if (tanh_form)
        forward(true, end - begin, x + begin, y + begin);
    else
        forward(false, end - begin, x + begin, y + begin);
}

int FN(gelu)(int64_t n, int tanh_form, const real *x, real *y) {
    PARALLEL_RANGE(begin, end, n, 0.5, gelu_range(begin, end, tanh_form, x, y));
    return NNF_OK;
}

static void gelu_backward_range(int64_t begin, int64_t end, bool tanh_form, const real *dy,
                                const real *x, real *dx) {
    if (tanh_form)
        backward(true, end - begin, dy + begin, x + begin, dx + begin);
    else
        backward(false, end - begin, dy + begin, x + begin, dx + begin);
}

int FN(gelu_backward)(int64_t n, int tanh_form, const real *dy, const real *x, real *dx) {
    PARALLEL_RANGE(begin, end, n, 0.6, gelu_backward_range(begin, end, tanh_form, dy, x, dx));
    return NNF_OK;
}
