/* gemm_pack.c: packs dense matrices into panels.
 *
 * data (k, count) or (count, k): `count` items of depth k, contiguous along either;
 * packed (ceil(count / width), pitch, width), any width and pitch >= k: the last panel's missing
 * items are zeros, and what is beyond k is left as it is.
 */
#include "gemm.h"

/* Panels filled side by side: the same depth of each lies whole pages from the next, so in the same
 * set of the L1 cache, which holds 8 lines. */
enum { TOGETHER = 8 };
/* Depths that lie pages apart are not foreseen by the CPU: so many ahead are fetched; and, line by
 * line, the next vector of items where these lie apart. */
enum { AHEAD = 8 };

/* Deals `depths` depths of items out to the panels. */
VINLINE void deal(int depths, int64_t count, int64_t pitch, int64_t width, const real *from,
                  int64_t depth_stride, real *to) {
    int64_t i = 0;
    for (; i + width <= count; i += width)
        for (int p = 0; p < depths; p++) { /* of constant width: a move or two */
            __builtin_prefetch(from + (p + AHEAD) * depth_stride + i);
            if (width == VL)
                vstore(to + i * pitch + p * width, vload(from + p * depth_stride + i));
            else
                memcpy(to + i * pitch + p * width, from + p * depth_stride + i,
                       (size_t)width * sizeof *to);
        }
    for (int p = 0; i < count && p < depths; p++) {
        const real *const rest = from + p * depth_stride + i;
        real *const at = to + i * pitch + p * width;
        if (width == VL)
            vstore(at, vload_part(rest, count - i));
        else
            for (int64_t j = 0; j < width; j++)
                at[j] = i + j < count ? rest[j] : 0;
    }
}

/* Items are contiguous: one depth after the other is read in the order in which it lies; two where
 * a panel's are half a cache line, which is then written once. */
VINLINE void copy_panels(int64_t count, int64_t k, int64_t pitch, int64_t width, const real *data,
                         int64_t depth_stride, real *packed) {
    int64_t p = 0;
    for (; width == MR && p + 2 <= k; p += 2)
        deal(2, count, pitch, width, data + p * depth_stride, depth_stride, packed + p * width);
    for (; p < k; p++)
        deal(1, count, pitch, width, data + p * depth_stride, depth_stride, packed + p * width);
}

static void pack_copy(int64_t count, int64_t k, int64_t pitch, int64_t width, const real *data,
                      int64_t depth_stride, real *packed) {
    if (width == VL)
        copy_panels(count, k, pitch, VL, data, depth_stride, packed);
    else if (width == MR)
        copy_panels(count, k, pitch, MR, data, depth_stride, packed);
    else if (width == 1)
        copy_panels(count, k, pitch, 1, data, depth_stride, packed);
    else
        copy_panels(count, k, pitch, width, data, depth_stride, packed);
}

/* Depth is contiguous: VL x VL blocks are transposed in registers. A block narrower than VL spills
 * into the first items of the next depth. Those are written later, because depths ascend and blocks
 * of items descend; only the last depths, whose spill would leave the panel, are copied singly. */
VINLINE void transpose_block(int lanes, int64_t present, const real *from, int64_t item_stride,
                             int64_t width, real *to) {
    vec block[VL];
    NNF_EACH (i, VL)
        block[i] = i < lanes && i < present ? vload(from + i * item_stride) : vzero();
    vtranspose(block);
    vstore_rows(block, VL, width, to);
}

/* A whole vector of items: nothing spills. */
static void transpose_vectors(int64_t items, int64_t k, int64_t width, const real *data,
                              int64_t item_stride, bool last, real *packed) {
    for (int64_t p = 0; p < k; p += VL) {
        const int64_t depths = MIN(VL, k - p);
        vec block[VL];
        if (p % LINE == 0 && !last)
            for (int64_t i = 0; i < VL; i++)
                __builtin_prefetch(data + (VL + i) * item_stride + p, 0, 2);
        if (depths == VL && items >= VL)
            NNF_EACH (i, VL)
                block[i] = vload(data + i * item_stride + p);
        else
            for (int64_t i = 0; i < VL; i++)
                block[i] = i < items ? vload_upto(data + i * item_stride + p, depths) : vzero();
        vtranspose(block);
        vstore_rows(block, depths, width, packed + p * width);
    }
}

static void pack_transpose(int64_t items, int64_t k, int64_t width, const real *data,
                           int64_t item_stride, bool last, real *packed) {
    for (int64_t first = (width - 1) / VL * VL; first >= 0; first -= VL) {
        const int64_t lanes = MIN(VL, width - first);
        const int64_t present = MAX(0, MIN(lanes, items - first));
        const real *const from = data + first * item_stride;
        real *const to = packed + first;
        if (lanes == VL) {
            transpose_vectors(present, k, width, from, item_stride, last, to);
            continue;
        }
        int64_t p = 0;
        for (; p + VL < k; p += VL) /* the rest of an A panel: a constant */
            transpose_block(MR % VL, present, from + p, item_stride, width, to + p * width);
        for (; p < k; p++) {
            for (int64_t i = 0; i < lanes; i++)
                to[p * width + i] = i < present ? from[i * item_stride + p] : 0;
        }
    }
}

void FN(gemm_pack)(int64_t count, int64_t k, int64_t pitch, int64_t width, const real *data,
                   int64_t item_stride, int64_t depth_stride, real *packed) {
    const int64_t step = item_stride == 1 ? TOGETHER * width : width;
    for (int64_t first = 0; first < count; first += step) {
        const int64_t items = MIN(step, count - first);
        const real *const from = data + first * item_stride;
        if (item_stride == 1)
            pack_copy(items, k, pitch, width, from, depth_stride, packed + first * pitch);
        else
            pack_transpose(items, k, width, from, item_stride, first + step >= count,
                           packed + first * pitch);
    }
}
