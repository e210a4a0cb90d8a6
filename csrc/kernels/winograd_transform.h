/* winograd_transform.h: the linear maps of Winograd's F(4x4, 3x3) and F(2x2, 5x5) (Lavin & Gray,
 * CVPR 2016), both interpolating at 0, 1, -1, 2, -2 and infinity. Each is applied to the columns,
 * then to the rows; every entry of a matrix is a vector of VL channels.
 *
 * image tile (6, 6) -> (6, 6); weights (3, 3) or (5, 5) -> (6, 6); products (6, 6) -> outputs (4,
 * 4) or (2, 2); and the transposes of the last two for the weight gradient: (4, 4) or (2, 2) -> (6,
 * 6) and (6, 6) -> (3, 3) or (5, 5).
 */
#ifndef NNF_WINOGRAD_TRANSFORM_H
#define NNF_WINOGRAD_TRANSFORM_H

#include "real.h"

/* One dimension each: `in` and `out` are entries `s` and `t` vectors apart. */
VINLINE void image_1d(const vec *in, int s, vec *out, int t) {
    const vec a = in[4 * s] - 4 * in[2 * s], b = in[3 * s] - 4 * in[s];
    const vec c = in[4 * s] - in[2 * s], d = 2 * (in[3 * s] - in[s]);
    out[0] = 4 * in[0] - 5 * in[2 * s] + in[4 * s];
    out[t] = a + b;
    out[2 * t] = a - b;
    out[3 * t] = c + d;
    out[4 * t] = c - d;
    out[5 * t] = 4 * in[s] - 5 * in[3 * s] + in[5 * s];
}

VINLINE void weight3_1d(const vec *in, int s, vec *out, int t) {
    const vec even = in[0] + in[2 * s], outer = in[0] + 4 * in[2 * s], inner = 2 * in[s];
    const vec sixth = vset1((real)1 / 6), twentyfourth = vset1((real)1 / 24);
    out[0] = in[0] * (real)0.25;
    out[t] = -(even + in[s]) * sixth;
    out[2 * t] = -(even - in[s]) * sixth;
    out[3 * t] = (outer + inner) * twentyfourth;
    out[4 * t] = (outer - inner) * twentyfourth;
    out[5 * t] = in[2 * s];
}

VINLINE void output4_1d(const vec *in, int s, vec *out, int t) {
    const vec a = in[s] + in[2 * s], b = in[s] - in[2 * s];
    const vec c = in[3 * s] + in[4 * s], d = in[3 * s] - in[4 * s];
    out[0] = in[0] + a + c;
    out[t] = b + 2 * d;
    out[2 * t] = a + 4 * c;
    out[3 * t] = b + 8 * d + in[5 * s];
}

VINLINE void output4_transposed_1d(const vec *in, int s, vec *out, int t) {
    const vec a = in[0] + in[2 * s], b = in[s] + in[3 * s];
    const vec c = in[0] + 4 * in[2 * s], d = 2 * in[s] + 8 * in[3 * s];
    out[0] = in[0];
    out[t] = a + b;
    out[2 * t] = a - b;
    out[3 * t] = c + d;
    out[4 * t] = c - d;
    out[5 * t] = in[3 * s];
}

VINLINE void weight3_transposed_1d(const vec *in, int s, vec *out, int t) {
    const vec sixth = vset1((real)1 / 6), twentyfourth = vset1((real)1 / 24);
    const vec a = (in[s] + in[2 * s]) * sixth, b = (in[s] - in[2 * s]) * sixth;
    const vec c = (in[3 * s] + in[4 * s]) * twentyfourth,
              d = (in[3 * s] - in[4 * s]) * twentyfourth;
    out[0] = in[0] * (real)0.25 - a + c;
    out[t] = 2 * d - b;
    out[2 * t] = 4 * c - a + in[5 * s];
}

VINLINE void weight5_1d(const vec *in, int s, vec *out, int t) {
    const vec even = in[0] + in[2 * s] + in[4 * s], odd = in[s] + in[3 * s];
    const vec outer = in[0] + 4 * in[2 * s] + 16 * in[4 * s], inner = 2 * in[s] + 8 * in[3 * s];
    const vec sixth = vset1((real)1 / 6), twentyfourth = vset1((real)1 / 24);
    out[0] = in[0] * (real)0.25;
    out[t] = -(even + odd) * sixth;
    out[2 * t] = -(even - odd) * sixth;
    out[3 * t] = (outer + inner) * twentyfourth;
    out[4 * t] = (outer - inner) * twentyfourth;
    out[5 * t] = in[4 * s];
}

VINLINE void output2_1d(const vec *in, int s, vec *out, int t) {
    out[0] = in[0] + (in[s] + in[2 * s]) + (in[3 * s] + in[4 * s]);
    out[t] = (in[s] - in[2 * s]) + 2 * (in[3 * s] - in[4 * s]) + in[5 * s];
}

VINLINE void output2_transposed_1d(const vec *in, int s, vec *out, int t) {
    const vec twice = 2 * in[s];
    out[0] = in[0];
    out[t] = in[0] + in[s];
    out[2 * t] = in[0] - in[s];
    out[3 * t] = in[0] + twice;
    out[4 * t] = in[0] - twice;
    out[5 * t] = in[s];
}

VINLINE void weight5_transposed_1d(const vec *in, int s, vec *out, int t) {
    const vec sixth = vset1((real)1 / 6), twentyfourth = vset1((real)1 / 24);
    const vec a = (in[s] + in[2 * s]) * sixth, b = (in[s] - in[2 * s]) * sixth;
    const vec c = (in[3 * s] + in[4 * s]) * twentyfourth,
              d = (in[3 * s] - in[4 * s]) * twentyfourth;
    out[0] = in[0] * (real)0.25 - a + c;
    out[t] = 2 * d - b;
    out[2 * t] = 4 * c - a;
    out[3 * t] = 8 * d - b;
    out[4 * t] = 16 * c - a + in[5 * s];
}

/* Both dimensions of a square map from n x n to m x m. */
#define WINOGRAD_2D(name, n, m)                                                                    \
    VINLINE void name##_2d(const vec *in, vec *out) {                                              \
        vec half[m * n];                                                                           \
        NNF_EACH (j, n)                                                                            \
            name##_1d(in + j, n, half + j, n);                                                     \
        NNF_EACH (i, m)                                                                            \
            name##_1d(half + i * n, 1, out + i * m, 1);                                            \
    }
WINOGRAD_2D(image, 6, 6)
WINOGRAD_2D(weight3, 3, 6)
WINOGRAD_2D(weight5, 5, 6)
WINOGRAD_2D(output4, 6, 4)
WINOGRAD_2D(output2, 6, 2)
WINOGRAD_2D(output4_transposed, 4, 6)
WINOGRAD_2D(output2_transposed, 2, 6)
WINOGRAD_2D(weight3_transposed, 6, 3)
WINOGRAD_2D(weight5_transposed, 6, 5)
#undef WINOGRAD_2D

#endif
