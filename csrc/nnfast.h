/* nnfast.h: the C API. One function nnf_NAME per line of kernels.def, for arrays of either dtype.
 *
 * Arrays are C-contiguous, scalars are double, sizes are int64_t. Every kernel returns NNF_OK or
 * NNF_NO_MEMORY, or NNF_BAD_INDEX where an array of positions holds one out of range; all else
 * about arguments is the caller's responsibility (the binding checks them).
 */
#ifndef NNFAST_H
#define NNFAST_H

#include <stddef.h>
#include <stdint.h>

enum { NNF_OK = 0, NNF_NO_MEMORY = -1, NNF_BAD_INDEX = -2 };

typedef enum { NNF_F32, NNF_F64 } nnf_dtype;

typedef enum {
    NNF_LINEAR, /* identity */
    NNF_RELU,
    NNF_LEAKY_RELU, /* slope NNF_LEAKY_SLOPE */
    NNF_SIGMOID,
    NNF_TANH,
} nnf_activation;

#define NNF_LEAKY_SLOPE 0.01

/* What a loss returns of its samples' values; the mean is weighted. */
typedef enum { NNF_NONE, NNF_SUM, NNF_MEAN } nnf_reduction;

/* Which algorithm computes a convolution. AUTO is the first that pays (kernels/conv.c). */
typedef enum {
    NNF_CONV_AUTO,
    NNF_CONV_DEPTHWISE, /* groups == c */
    NNF_CONV_WINOGRAD,  /* 3 x 3 or 5 x 5, dilation 1, stride 1 or, of 3 x 3 at padding 1, 2 */
    NNF_CONV_FOLD,      /* groups == 1: as GEMM, but the input gradient */
    NNF_CONV_GEMM,
} nnf_conv_algo;

/* x (n, c, h, w), weight (k, c / groups, kh, kw), y (n, k, oh, ow) */
typedef struct {
    int64_t n, c, h, w;
    int64_t k, kh, kw;
    int64_t oh, ow;
    int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int64_t groups;
} nnf_conv;

/* x (n, c, h, w), y (n, c, oh, ow), window (kh, kw) */
typedef struct {
    int64_t n, c, h, w;
    int64_t kh, kw;
    int64_t oh, ow;
    int64_t stride_h, stride_w, pad_h, pad_w;
} nnf_pool;

/* What an optimizer updates together: n elements of a parameter, its gradient, the state. */
typedef struct {
    int64_t n;
    void *param;
    const void *grad;
    void *state[2];
    int64_t begin; /* the kernel's own: elements of the tensors before this one, in whole lines */
} nnf_tensor;

/* A recurrent layer in one direction: x (steps, batch, inputs), y (steps, batch, hidden). */
typedef struct {
    int64_t steps, batch, inputs, hidden;
    int reverse; /* from the last time to the first */
} nnf_recurrent;

/* q (n, tq, heads, d), k (n, tk, heads, d), v (n, tk, heads, dv), their rows ldq, ldk and ldv reals
 * apart and their batches tq or tk rows: they may be parts of one array. A mask is broadcast to
 * (n, heads, tq, tk) by strides, 0 where it has one element for all. */
typedef struct {
    int64_t n, heads, tq, tk, d, dv;
    int64_t ldq, ldk, ldv;
    int causal; /* query i sees the keys up to i */
    double scale;
    int64_t mask_n, mask_head, mask_q, mask_k;
} nnf_attention_dims;

/* The kernels: `real *` of the list is `void *` here, the dtype comes first. */
#define real                       void
#define KERNEL(name, params, args) int nnf_##name(nnf_dtype dtype, NNF_STRIP params);
#define NNF_STRIP(...)             __VA_ARGS__
#include "kernels.def"
#undef KERNEL
#undef real

/* ISA: names as in NNFAST_ISA, the compiled-in ones from lowest to highest. */
const char *nnf_isa(void);
int nnf_isa_count(void);
const char *nnf_isa_name(int index);

/* Threads used by the next kernel; 1 <= n. */
void nnf_set_threads(int n);
int nnf_get_threads(void);
int nnf_has_openmp(void);

/* Memory: 64-byte aligned blocks from a pool; freed blocks are kept up to a limit. */
void *nnf_alloc(size_t size);
void nnf_free(void *block);
size_t nnf_block_size(const void *block);
typedef struct {
    size_t in_use, cached, limit, peak;
} nnf_memory_info;
nnf_memory_info nnf_memory(void);
void nnf_trim(void);

#endif
