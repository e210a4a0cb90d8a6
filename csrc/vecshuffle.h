/* vecshuffle.h: numbers that change lanes: interleaving, every other number, sums and maxima of a
 * vector's lanes, transposition. Goes with vec.h. */
#ifndef NNF_VECSHUFFLE_H
#define NNF_VECSHUFFLE_H

#include "real.h"

/* Lanes by number, of a and b one after the other: vzip_low and vzip_high interleave the lower and
 * the upper halves; vnext leaves out the first of all lanes, vprevious begins with the last of a;
 * veven_mixed and vodd_mixed take every other lane, in the order that is cheapest to make, which
 * vunmix puts right (256-bit shuffles stay within 128 bits). */
#if defined(__clang__)
#define NNF_LANES(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define NNF_LANES(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#if VBYTES * 8 / NNF_DTYPE_BITS == 2
#define NNF_EVEN     0, 2
#define NNF_ODD      1, 3
#define NNF_LOW      0, 2
#define NNF_HIGH     1, 3
#define NNF_NEXT     1, 2
#define NNF_PREVIOUS 1, 2
#elif VBYTES == 16
#define NNF_EVEN     0, 2, 4, 6
#define NNF_ODD      1, 3, 5, 7
#define NNF_LOW      0, 4, 1, 5
#define NNF_HIGH     2, 6, 3, 7
#define NNF_NEXT     1, 2, 3, 4
#define NNF_PREVIOUS 3, 4, 5, 6
#elif VBYTES == 32 && NNF_DTYPE_BITS == 64
#define NNF_EVEN     0, 4, 2, 6
#define NNF_ODD      1, 5, 3, 7
#define NNF_UNMIX    0, 2, 1, 3
#define NNF_LOW      0, 4, 1, 5
#define NNF_HIGH     2, 6, 3, 7
#define NNF_NEXT     1, 2, 3, 4
#define NNF_PREVIOUS 3, 4, 5, 6
#elif VBYTES == 32
#define NNF_EVEN     0, 2, 8, 10, 4, 6, 12, 14
#define NNF_ODD      1, 3, 9, 11, 5, 7, 13, 15
#define NNF_UNMIX    0, 1, 4, 5, 2, 3, 6, 7
#define NNF_LOW      0, 8, 1, 9, 2, 10, 3, 11
#define NNF_HIGH     4, 12, 5, 13, 6, 14, 7, 15
#define NNF_NEXT     1, 2, 3, 4, 5, 6, 7, 8
#define NNF_PREVIOUS 7, 8, 9, 10, 11, 12, 13, 14
#elif NNF_DTYPE_BITS == 64
#define NNF_EVEN     0, 2, 4, 6, 8, 10, 12, 14
#define NNF_ODD      1, 3, 5, 7, 9, 11, 13, 15
#define NNF_LOW      0, 8, 1, 9, 2, 10, 3, 11
#define NNF_HIGH     4, 12, 5, 13, 6, 14, 7, 15
#define NNF_NEXT     1, 2, 3, 4, 5, 6, 7, 8
#define NNF_PREVIOUS 7, 8, 9, 10, 11, 12, 13, 14
#else
#define NNF_EVEN     0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define NNF_ODD      1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define NNF_LOW      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define NNF_HIGH     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define NNF_NEXT     1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define NNF_PREVIOUS 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
#endif
VINLINE vec vzip_low(vec a, vec b) { return NNF_LANES(a, b, NNF_LOW); }
VINLINE vec vzip_high(vec a, vec b) { return NNF_LANES(a, b, NNF_HIGH); }
/* Interleaves a and b into 2 VL reals, or as many as there is room for, one at least. */
VINLINE void vstore_zipped(real *p, vec a, vec b, int64_t room) {
    vstore_upto(p, vzip_low(a, b), room);
    if (room > VL)
        vstore_upto(p + VL, vzip_high(a, b), room - VL);
}
VINLINE vec vnext(vec a, vec b) { return NNF_LANES(a, b, NNF_NEXT); }
VINLINE vec vprevious(vec a, vec b) { return NNF_LANES(a, b, NNF_PREVIOUS); }
VINLINE vec veven_mixed(vec a, vec b) { return NNF_LANES(a, b, NNF_EVEN); }
VINLINE vec vodd_mixed(vec a, vec b) { return NNF_LANES(a, b, NNF_ODD); }
VINLINE vec vunmix(vec v) {
#ifdef NNF_UNMIX
    return NNF_LANES(v, v, NNF_UNMIX);
#else
    return v;
#endif
}

/* VL elements of every stride-th real from p; reads up to p + VL * stride. */
VINLINE vec vload_strided(const real *p, int64_t stride) {
    if (stride == 1)
        return vload(p);
    if (stride == 2)
        return vunmix(veven_mixed(vload(p), vload(p + VL)));
    vec v = vzero();
    for (int i = 0; i < VL; i++)
        v[i] = p[i * stride];
    return v;
}

/* Horizontal reductions, in all lanes or as a number, always in the same pairwise order: each round
 * of interleaving with itself brings lane i next to lane i + VL / 2. */
VINLINE vec vsum_lanes(vec v) {
    for (int round = 1; round < VL; round *= 2)
        v = vzip_low(v, v) + vzip_high(v, v);
    return v;
}
VINLINE real vsum(vec v) { return vsum_lanes(v)[0]; }
/* NaN in any lane may be lost. */
VINLINE vec vmax_lanes(vec v) {
    for (int round = 1; round < VL; round *= 2)
        v = vmax(vzip_low(v, v), vzip_high(v, v));
    return v;
}

/* Transposes VL vectors in place: first squares within 128 bits, by interleaving numbers and pairs
 * of floats, then the 128-bit parts of vectors. Shuffles of a whole AVX-512 vector, which could do
 * it in as many steps, take more than twice the time. */
typedef double pair_vec __attribute__((vector_size(VBYTES)));
typedef int64_t pair_index __attribute__((vector_size(VBYTES)));
#if defined(__clang__)
#define NNF_PAIRS(a, b, ...)                                                                       \
    ((vec)__builtin_shufflevector((pair_vec)(a), (pair_vec)(b), __VA_ARGS__))
#else
#define NNF_PAIRS(a, b, ...)                                                                       \
    ((vec)__builtin_shuffle((pair_vec)(a), (pair_vec)(b), (pair_index){__VA_ARGS__}))
#endif
#if VBYTES == 16
#define NNF_NUMBERS_LOW  0, 4, 1, 5
#define NNF_NUMBERS_HIGH 2, 6, 3, 7
#define NNF_PAIRS_LOW    0, 2
#define NNF_PAIRS_HIGH   1, 3
#define NNF_HALVES_LOW   0, 2
#define NNF_HALVES_HIGH  1, 3
#elif VBYTES == 32
#define NNF_NUMBERS_LOW  0, 8, 1, 9, 4, 12, 5, 13
#define NNF_NUMBERS_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define NNF_PAIRS_LOW    0, 4, 2, 6
#define NNF_PAIRS_HIGH   1, 5, 3, 7
#define NNF_PARTS_EVEN   0, 1, 4, 5
#define NNF_PARTS_ODD    2, 3, 6, 7
#define NNF_HALVES_LOW   0, 1, 4, 5
#define NNF_HALVES_HIGH  2, 3, 6, 7
#else
#define NNF_NUMBERS_LOW  0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define NNF_NUMBERS_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define NNF_PAIRS_LOW    0, 8, 2, 10, 4, 12, 6, 14
#define NNF_PAIRS_HIGH   1, 9, 3, 11, 5, 13, 7, 15
#define NNF_PARTS_EVEN   0, 1, 4, 5, 8, 9, 12, 13
#define NNF_PARTS_ODD    2, 3, 6, 7, 10, 11, 14, 15
#define NNF_HALVES_LOW   0, 1, 2, 3, 8, 9, 10, 11
#define NNF_HALVES_HIGH  4, 5, 6, 7, 12, 13, 14, 15
#endif
VINLINE void vtranspose_pairs(vec a, vec b, vec *low, vec *high) {
    *low = NNF_PAIRS(a, b, NNF_PAIRS_LOW);
    *high = NNF_PAIRS(a, b, NNF_PAIRS_HIGH);
}
#if VBYTES > 16
VINLINE void vtranspose_parts(vec a, vec b, vec *even, vec *odd) {
    *even = NNF_PAIRS(a, b, NNF_PARTS_EVEN);
    *odd = NNF_PAIRS(a, b, NNF_PARTS_ODD);
}
#endif
VINLINE void vtranspose(vec v[VL]) {
    enum { PARTS = VBYTES / 16, SIDE = VL / PARTS };
    NNF_EACH (i, VL)
        v[i] = vopaque(v[i]); /* or there is a copy of all this for each number of zeros */
    NNF_EACH (part, PARTS) {
        vec *const s = v + part * SIDE; /* its squares */
#if NNF_DTYPE_BITS == 32
        const vec a = NNF_LANES(s[0], s[1], NNF_NUMBERS_LOW);
        const vec b = NNF_LANES(s[0], s[1], NNF_NUMBERS_HIGH);
        const vec c = NNF_LANES(s[2], s[3], NNF_NUMBERS_LOW);
        const vec d = NNF_LANES(s[2], s[3], NNF_NUMBERS_HIGH);
        vtranspose_pairs(a, c, &s[0], &s[1]);
        vtranspose_pairs(b, d, &s[2], &s[3]);
#else
        vtranspose_pairs(s[0], s[1], &s[0], &s[1]);
#endif
    }
#if VBYTES == 32
    NNF_EACH (k, SIDE)
        vtranspose_parts(v[k], v[k + SIDE], &v[k], &v[k + SIDE]);
#elif VBYTES == 64
    NNF_EACH (k, SIDE) {
        vec *const row = v + k; /* SIDE apart */
        vec even[2], odd[2];
        vtranspose_parts(row[0], row[SIDE], &even[0], &odd[0]);
        vtranspose_parts(row[2 * SIDE], row[3 * SIDE], &even[1], &odd[1]);
        vtranspose_parts(even[0], even[1], &row[0], &row[2 * SIDE]);
        vtranspose_parts(odd[0], odd[1], &row[SIDE], &row[3 * SIDE]);
    }
#endif
}

/* The lower, or the upper, halves of a and b. */
VINLINE vec vlow_halves(vec a, vec b) { return NNF_PAIRS(a, b, NNF_HALVES_LOW); }
VINLINE vec vhigh_halves(vec a, vec b) { return NNF_PAIRS(a, b, NNF_HALVES_HIGH); }

/* The first n <= VL of the vectors to rows that are `pitch` reals apart. */
VINLINE void vstore_rows(const vec v[VL], int64_t n, int64_t pitch, real *rows) {
    if (n == VL)
        NNF_EACH (i, VL)
            vstore(rows + i * pitch, v[i]);
    else
        for (int64_t i = 0; i < n; i++)
            vstore(rows + i * pitch, v[i]);
}

/* Lane i of the result is the sum of the lanes of v[i]; v is overwritten. As vtranspose does it,
 * but what comes from the same vector is added with each step. */
VINLINE vec vsum_each(vec v[VL]) {
    enum { PARTS = VBYTES / 16, SIDE = VL / PARTS };
    NNF_EACH (part, PARTS) {
        vec *const s = v + part * SIDE;
#if NNF_DTYPE_BITS == 32
        const vec a =
            NNF_LANES(s[0], s[1], NNF_NUMBERS_LOW) + NNF_LANES(s[0], s[1], NNF_NUMBERS_HIGH);
        const vec b =
            NNF_LANES(s[2], s[3], NNF_NUMBERS_LOW) + NNF_LANES(s[2], s[3], NNF_NUMBERS_HIGH);
#else
        const vec a = s[0], b = s[1];
#endif
        vec low, high;
        vtranspose_pairs(a, b, &low, &high);
        v[part] = low + high;
    }
#if VBYTES > 16
    NNF_EACH (round, VBYTES == 64 ? 2 : 1)
        NNF_EACH (i, PARTS / 2 >> round) {
            vec even, odd;
            vtranspose_parts(v[2 * i], v[2 * i + 1], &even, &odd);
            v[i] = even + odd;
        }
#endif
    return v[0];
}

#endif
