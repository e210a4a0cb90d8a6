/* winograd_transform.h: the linear maps of Winograd's F(4x4, 3x3) and F(2x2, 5x5) (Lavin & Gray,
 * CVPR 2016), both interpolating at 0, 1, -1, 2, -2 and infinity, and of 3x3 taps at stride 2. Each
 * is applied to the columns, then to the rows; every entry of a matrix is a vector of VL channels.
 *
 * image tile (6, 6) -> (6, 6); weights (3, 3) or (5, 5) -> (6, 6); products (6, 6) -> outputs (4,
 * 4) or (2, 2); and the transposes of the last two for the weight gradient: (4, 4) or (2, 2) -> (6,
 * 6) and (6, 6) -> (3, 3) or (5, 5).
 *
 * At stride 2 (even and odd pixels apart: Huang et al., "DWM: a decomposable Winograd method for
 * convolution acceleration", AAAI 2020) taps 0 and 2 meet even pixels, an F(4, 2) at 0, 1, -1, 2
 * and infinity, and tap 1 meets the four odd ones, as they are: 5 + 4 points, of which the kernels
 * need 5 + 1.
 */
#ifndef NNF_WINOGRAD_TRANSFORM_H
#define NNF_WINOGRAD_TRANSFORM_H

#include "real.h"

/* A loop over the vectors of a tile, unrolled where it counts: the wheel is to stay small. */
#if NNF_DTYPE_BITS == 64 || (defined(__SSE2__) && !defined(__AVX2__))
#define EACH_OF_TILE(i, n) for (int i = 0; i < (n); i++)
#else
#define EACH_OF_TILE(i, n) NNF_EACH (i, n)
#endif

/* out[e * entry] = v[e] for 36 entries, one after the other: 36 distances would be kept on the
 * stack. */
VINLINE void store_entries(const vec *v, int64_t entry, real *out) {
    EACH_OF_TILE (e, 36) {
        vstore(out, v[e]);
        out += entry;
        __asm__("" : "+r"(out));
    }
}

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

/* F(4, 2): five pixels to its five points, these to four outputs, and the transpose of that. */
VINLINE void two_taps_1d(const vec *in, int s, vec *out) {
    const vec a = in[3 * s] - in[2 * s], b = 2 * in[s];
    out[0] = a - in[2 * s] + (2 * in[0] - in[s]);
    out[1] = a - b;
    out[2] = a + b - 2 * in[2 * s];
    out[3] = in[3 * s] - in[s];
    out[4] = b - in[2 * s] - 2 * in[3 * s] + in[4 * s];
}

VINLINE void two_taps_output_1d(const vec *in, vec *out, int t) {
    const vec a = in[1] + in[2], b = in[1] - in[2];
    out[0] = in[0] + a + in[3];
    out[t] = b + 2 * in[3];
    out[2 * t] = a + 4 * in[3];
    out[3 * t] = b + 8 * in[3] + in[4];
}

VINLINE void by2_image_1d(const vec *in, vec *out) {
    two_taps_1d(in, 2, out);
    NNF_EACH (k, 4)
        out[5 + k] = in[2 * k + 1];
}

VINLINE void by2_output_1d(const vec *in, vec *out) {
    two_taps_output_1d(in, out, 1);
    NNF_EACH (k, 4)
        out[k] += in[5 + k];
}

VINLINE void by2_output_transposed_1d(const vec *in, vec *out) {
    const vec a = in[0] + in[2], b = in[1] + in[3];
    out[0] = in[0];
    out[1] = a + b;
    out[2] = a - b;
    out[3] = in[0] + 4 * in[2] + (2 * in[1] + 8 * in[3]);
    out[4] = in[3];
    NNF_EACH (k, 4)
        out[5 + k] = in[k];
}

VINLINE void from2_image_1d(const vec *in, vec *out) {
    two_taps_1d(in, 1, out);
    NNF_EACH (k, 4)
        out[5 + k] = in[k];
}

VINLINE void from2_output_1d(const vec *in, vec *out) {
    two_taps_output_1d(in, out + 1, 2);
    NNF_EACH (k, 4)
        out[2 * k] = in[5 + k];
}

VINLINE void by2_weight_1d(const vec *in, int s, vec *out, int t) {
    const vec half = vset1((real)1 / 2), sixth = vset1((real)1 / 6);
    out[0] = in[0] * half;
    out[t] = -(in[0] + in[2 * s]) * half;
    out[2 * t] = (in[2 * s] - in[0]) * sixth;
    out[3 * t] = (in[0] + 2 * in[2 * s]) * sixth;
    out[4 * t] = in[2 * s];
    out[5 * t] = in[s];
}

VINLINE void by2_weight_transposed_1d(const vec *in, int s, vec *out, int t) {
    const vec half = vset1((real)1 / 2), sixth = vset1((real)1 / 6);
    const vec a = in[3 * s] * sixth, b = in[2 * s] * sixth;
    out[0] = (in[0] - in[s]) * half + (a - b);
    out[t] = in[5 * s];
    out[2 * t] = in[4 * s] - in[s] * half + (2 * a + b);
}

/* Both dimensions of a square map from n x n to m x m. */
#define WINOGRAD_2D(name, n, m)                                                                    \
    VINLINE void name##_2d(const vec *in, vec *out) {                                              \
        vec half[m * n];                                                                           \
        EACH_OF_TILE (j, n)                                                                        \
            name##_1d(in + j, n, half + j, n);                                                     \
        EACH_OF_TILE (i, m)                                                                        \
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
WINOGRAD_2D(by2_weight, 3, 6)
WINOGRAD_2D(by2_weight_transposed, 6, 3)
#undef WINOGRAD_2D

/* The same for maps of up to 9 points, more than fit registers: in loops, from one function and to
 * another, load(i, j) and store(i, j, v). */
#define WINOGRAD_LOOPS(name, n, m, load, store)                                                    \
    do {                                                                                           \
        vec half_[(m) * (n)];                                                                      \
        for (int j_ = 0; j_ < (n); j_++) {                                                         \
            vec in_[n], out_[m];                                                                   \
            NNF_EACH (i_, n)                                                                       \
                in_[i_] = load(i_, j_);                                                            \
            name##_1d(in_, out_);                                                                  \
            NNF_EACH (i_, m)                                                                       \
                half_[i_ * (n) + j_] = out_[i_];                                                   \
        }                                                                                          \
        for (int i_ = 0; i_ < (m); i_++) {                                                         \
            vec out_[m];                                                                           \
            name##_1d(half_ + i_ * (n), out_);                                                     \
            NNF_EACH (j_, m)                                                                       \
                store(i_, j_, out_[j_]);                                                           \
        }                                                                                          \
    } while (0)

#endif
