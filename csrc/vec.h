/* vec.h: the vector vocabulary. `vec` holds VL reals in one register of the ISA being compiled.
 *
 * Arithmetic (+ - * /), comparisons and bit operations are the compiler's own on vector types; what
 * they cannot say is below. With vecdouble.h this is the only place for intrinsics. Tails use
 * vload_upto, vload_or and vstore_upto with the same arithmetic as the body, so that no result
 * depends on where in an array its element lies.
 */
#ifndef NNF_VEC_H
#define NNF_VEC_H

#if defined(__AVX512F__) || defined(__AVX__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX__)
#define VBYTES 32
#else
#define VBYTES 16
#endif

typedef real vec __attribute__((vector_size(VBYTES)));
typedef ireal ivec __attribute__((vector_size(VBYTES)));
typedef ureal uvec __attribute__((vector_size(VBYTES)));
/* The same in memory: any alignment. */
typedef real vec_mem __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));

enum { VL = VBYTES / sizeof(real) };

/* A loop over a constant number of vectors, unrolled so that they can be registers. */
#define NNF_EACH(i, n) _Pragma("GCC unroll 36") for (int i = 0; i < (n); i++)

#define VINLINE static inline __attribute__((always_inline, unused))

#if NNF_DTYPE_BITS == 32
#define NNF_X86_SUFFIX(op) op##_ps
#define NNF_ARM_SUFFIX(op) op##_f32
#define NNF_X86_MASK       __mmask16
#else
#define NNF_X86_SUFFIX(op) op##_pd
#define NNF_ARM_SUFFIX(op) op##_f64
#define NNF_X86_MASK       __mmask8
#endif
#if defined(__AVX512F__)
#define NNF_NATIVE(op) NNF_X86_SUFFIX(_mm512_##op)
#elif defined(__AVX__)
#define NNF_NATIVE(op) NNF_X86_SUFFIX(_mm256_##op)
#elif defined(__SSE2__)
#define NNF_NATIVE(op) NNF_X86_SUFFIX(_mm_##op)
#elif defined(__ARM_NEON)
#define NNF_NATIVE(op) NNF_ARM_SUFFIX(v##op##q)
#endif

VINLINE vec vload(const real *p) { return *(const vec_mem *)p; }
VINLINE void vstore(real *p, vec v) { *(vec_mem *)p = v; }
/* x - 0 keeps the sign of a zero, x + 0 would not. */
VINLINE vec vset1(real x) { return x - (vec){0}; }
VINLINE ivec viset1(ireal x) { return x - (ivec){0}; }
VINLINE vec vzero(void) { return (vec){0}; }

/* Half a vector: half the work on CPUs that take 512 bits in two turns. */
enum { HALVES_PAY = VBYTES == 64 };
typedef real hvec __attribute__((vector_size(VBYTES / 2)));
VINLINE hvec vload_half(const real *p) {
    typedef real mem __attribute__((vector_size(VBYTES / 2), aligned(sizeof(real))));
    return *(const mem *)p;
}
VINLINE void vstore_half(real *p, hvec v) { memcpy(p, &v, sizeof v); }
/* The other half is zeros. */
VINLINE vec vfrom_half(hvec low) {
    vec v = {0};
    memcpy(&v, &low, sizeof low);
    return v;
}

/* All bits set in the first n <= VL lanes. */
VINLINE ivec vfirst(int64_t n) {
    static const ireal ones_then_zeros[2 * VL] = {[0 ... VL - 1] = -1};
    typedef ireal ivec_mem __attribute__((vector_size(VBYTES), aligned(sizeof(real))));
    return *(const ivec_mem *)(ones_then_zeros + VL - n);
}

/* The first n <= VL elements; the other lanes read as zero and are not written. */
VINLINE vec vload_part(const real *p, int64_t n) {
#if defined(__AVX512F__)
    return (vec)NNF_NATIVE(maskz_loadu)((NNF_X86_MASK)((1u << n) - 1), p);
#elif defined(__AVX__)
    return (vec)NNF_NATIVE(maskload)(p, (__m256i)vfirst(n));
#else
    vec v = {0};
    for (int64_t i = 0; i < n; i++)
        v[i] = p[i];
    return v;
#endif
}
VINLINE void vstore_part(real *p, vec v, int64_t n) {
#if defined(__AVX512F__)
    NNF_NATIVE(mask_storeu)(p, (NNF_X86_MASK)((1u << n) - 1), v);
#else
    real lane[VL];
    vstore(lane, v);
    for (int64_t size = VL; size > 0; size /= 2)
        if (n & size) {
            /* A move of constant size; without the bound GCC fears for a negative n. */
            const int64_t done = n & (2 * VL - 1) & -2 * size;
            memcpy(p + done, lane + done, (size_t)size * sizeof *p);
        }
#endif
}

/* Past the caches (elementwise.h says when); p is aligned to VBYTES. vstream_end() comes before
 * another thread may look. */
VINLINE void vstream(real *p, vec v) {
#if defined(NNF_NATIVE) && !defined(__ARM_NEON)
    NNF_NATIVE(stream)(p, v);
#else
    vstore(p, v);
#endif
}
VINLINE void vstream_end(void) {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

VINLINE vec vfma(vec a, vec b, vec c) { return a * b + c; }
VINLINE vec vselect(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }
/* v, and the compiler forgets where it comes from. So that a gradient of which a mask selects is
 * loaded at once: GCC would load the lanes selected, and so not before the mask is known, one wait
 * for memory after the other. */
VINLINE vec vopaque(vec v) {
#if defined(__AVX512F__)
    __asm__("" : "+v"(v));
#elif defined(__SSE2__)
    __asm__("" : "+x"(v));
#endif
    return v;
}
/* Whether any lane is set. */
VINLINE bool vany(ivec mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX__)
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#elif defined(__SSE2__)
    return _mm_movemask_epi8((__m128i)mask) != 0;
#else
    ireal all = 0;
    for (int i = 0; i < VL; i++)
        all |= mask[i];
    return all != 0;
#endif
}
/* The first n elements, n of any size; lanes beyond them read as zero, or hold `fill`. */
VINLINE vec vload_upto(const real *p, int64_t n) { return n >= VL ? vload(p) : vload_part(p, n); }
/* The same of any n, also of none or less. */
VINLINE vec vload_within(const real *p, int64_t n) { return n > 0 ? vload_upto(p, n) : vzero(); }
VINLINE vec vload_or(const real *p, int64_t n, vec fill) {
    return n >= VL ? vload(p) : vselect(vfirst(n), vload_part(p, n), fill);
}
VINLINE void vstore_upto(real *p, vec v, int64_t n) {
    if (n >= VL)
        vstore(p, v);
    else
        vstore_part(p, v, n);
}
VINLINE vec vabs(vec a) { return (vec)((ivec)a & ~(ivec)vset1((real)-0.0)); }
VINLINE vec vcopysign(vec magnitude, vec sign) {
    const ivec bit = (ivec)vset1((real)-0.0);
    return (vec)(((ivec)magnitude & ~bit) | ((ivec)sign & bit));
}

/* vmax(a, b) and vmin(a, b) give b where either is NaN (as x86 does), so vmax(floor, x) keeps x's
 * NaN. vsqrt is correctly rounded. */
#if defined(NNF_NATIVE) && !defined(__ARM_NEON)
VINLINE vec vmax(vec a, vec b) { return (vec)NNF_NATIVE(max)(a, b); }
VINLINE vec vmin(vec a, vec b) { return (vec)NNF_NATIVE(min)(a, b); }
#else
VINLINE vec vmax(vec a, vec b) { return vselect(a > b, a, b); }
VINLINE vec vmin(vec a, vec b) { return vselect(a < b, a, b); }
#endif
#if defined(NNF_NATIVE)
VINLINE vec vsqrt(vec a) { return (vec)NNF_NATIVE(sqrt)(a); }
#else
VINLINE vec vsqrt(vec a) {
    for (int i = 0; i < VL; i++)
        a[i] = (real)sqrt((double)a[i]);
    return a;
}
#endif

/* VL bytes as integer lanes and back (the lanes are at most 255). GCC converts them one by one
 * where no intrinsic is given. */
typedef uint8_t bvec __attribute__((vector_size(VBYTES * 8 / NNF_DTYPE_BITS)));
#if defined(__SSE2__)
VINLINE __m128i nnf_load_word(const uint8_t *p) {
    int word;
    memcpy(&word, p, sizeof word);
    return _mm_cvtsi32_si128(word);
}
#endif
VINLINE ivec vload_bytes(const uint8_t *p) {
#if defined(__AVX512F__) && NNF_DTYPE_BITS == 32
    return (ivec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX512F__)
    return (ivec)_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)p));
#elif defined(__AVX2__) && NNF_DTYPE_BITS == 32
    return (ivec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#elif defined(__AVX2__)
    return (ivec)_mm256_cvtepu8_epi64(nnf_load_word(p));
#elif defined(__SSE2__) && NNF_DTYPE_BITS == 32
    const __m128i words = _mm_unpacklo_epi8(nnf_load_word(p), _mm_setzero_si128());
    return (ivec)_mm_unpacklo_epi16(words, _mm_setzero_si128());
#else
    bvec bytes;
    memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(bytes, ivec);
#endif
}
VINLINE void vstore_bytes(uint8_t *p, ivec v) {
#if defined(__AVX512F__) && NNF_DTYPE_BITS == 32
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(__AVX512F__)
    _mm_storel_epi64((__m128i *)p, _mm512_cvtepi64_epi8((__m512i)v));
#elif defined(__AVX2__) && NNF_DTYPE_BITS == 32
    const __m256i wide = (__m256i)v;
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
#elif defined(__SSE2__) && NNF_DTYPE_BITS == 32
    const __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
    const int word = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(p, &word, sizeof word);
#else
    const bvec bytes = __builtin_convertvector(v, bvec);
    memcpy(p, &bytes, sizeof bytes);
#endif
}

/* For random numbers: integers of fixed width, the product of the low halves of 64-bit lanes, and
 * the four 32-bit integers of each 128 bits in reverse order. */
typedef uint64_t u64vec __attribute__((vector_size(VBYTES)));
typedef uint32_t u32vec __attribute__((vector_size(VBYTES)));
#if defined(__AVX512F__)
VINLINE u64vec vmul_low32(u64vec a, u64vec b) {
    return (u64vec)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}
VINLINE u64vec vreverse32(u64vec a) { return (u64vec)_mm512_shuffle_epi32((__m512i)a, 0x1B); }
#elif defined(__AVX2__)
VINLINE u64vec vmul_low32(u64vec a, u64vec b) {
    return (u64vec)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
VINLINE u64vec vreverse32(u64vec a) { return (u64vec)_mm256_shuffle_epi32((__m256i)a, 0x1B); }
#elif defined(__SSE2__)
VINLINE u64vec vmul_low32(u64vec a, u64vec b) {
    return (u64vec)_mm_mul_epu32((__m128i)a, (__m128i)b);
}
VINLINE u64vec vreverse32(u64vec a) { return (u64vec)_mm_shuffle_epi32((__m128i)a, 0x1B); }
#else
VINLINE u64vec vmul_low32(u64vec a, u64vec b) { return (a & UINT32_MAX) * (b & UINT32_MAX); }
VINLINE u64vec vreverse32(u64vec a) {
    u64vec r;
    for (int i = 0; i < VBYTES / 8; i++)
        r[i] = a[i ^ 1] << 32 | a[i ^ 1] >> 32;
    return r;
}
#endif

#endif
