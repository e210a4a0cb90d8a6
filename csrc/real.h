/* real.h: what every kernel file includes. Compiled once per ISA and dtype, it names the element
 * type `real`, mangles function names with FN(), and brings vec.h, vecshuffle.h and parallel.h.
 *
 * The build defines NNF_DTYPE_BITS (32 or 64), NNF_ISA (baseline, avx2, avx512) and NNF_OTHERS: the
 * ISA whose variants of all but matrix products go with these, another one where only products are
 * compiled. They are FN_OTHER().
 */
#ifndef NNF_REAL_H
#define NNF_REAL_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "nnfast.h"

#define NNF_CAT_(a, b, c) a##_##b##_##c
#define NNF_CAT(a, b, c)  NNF_CAT_(a, b, c)

#if NNF_DTYPE_BITS == 32
typedef float real;
typedef int32_t ireal; /* the integers of the same width */
typedef uint32_t ureal;
#define NNF_DTYPE_NAME f32
#else
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#define NNF_DTYPE_NAME f64
#endif

/* FN(relu) is relu_f32_avx2, and so on. */
#define FN(name)       NNF_CAT(name, NNF_DTYPE_NAME, NNF_ISA)
#define FN_OTHER(name) NNF_CAT(name, NNF_DTYPE_NAME, NNF_OTHERS)

#define KERNEL(name, params, args)  int FN_OTHER(name) params;
#define PRODUCT(name, params, args) int FN(name) params;
#include "kernels.def"
#undef KERNEL

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Reals of a cache line. */
enum { LINE = 64 / sizeof(real) };

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/* Scratch for `count` reals, or NULL; give it back with nnf_free. */
static inline real *alloc_reals(int64_t count) { return nnf_alloc((size_t)count * sizeof(real)); }

#include "vec.h"
#include "vecshuffle.h"
#include "parallel.h"

#endif
