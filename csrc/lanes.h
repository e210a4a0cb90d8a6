/* lanes.h: short rows, taken VL at a time, one per lane, in a transposed copy: neither horizontal
 * reductions nor tails. */
#ifndef NNF_LANES_H
#define NNF_LANES_H

#include "real.h"

enum { LANE_COLS = 4 * VL }; /* the longest: a multiple of VL, as whole blocks are transposed */

/* A transposition is a kilobyte of code: not inline, and not every file needs both ways. */
#define NNF_LANES_WAY __attribute__((noinline, unused)) static

/* Rows [0, n) of p (n, cols), n <= VL, to lanes (cols, VL); lanes beyond n repeat row n - 1. */
NNF_LANES_WAY void to_lanes(int64_t n, int64_t cols, const real *p, real *lanes) {
    for (int64_t j = 0; j < cols; j += VL) {
        vec block[VL];
        for (int64_t i = 0; i < VL; i++)
            block[i] = vload_upto(p + MIN(i, n - 1) * cols + j, cols - j);
        vtranspose(block);
        for (int64_t i = 0; i < VL; i++)
            vstore(lanes + (j + i) * VL, block[i]);
    }
}

/* The way back. */
NNF_LANES_WAY void from_lanes(int64_t n, int64_t cols, const real *lanes, real *p) {
    for (int64_t j = 0; j < cols; j += VL) {
        vec block[VL];
        for (int64_t i = 0; i < VL; i++)
            block[i] = vload(lanes + MIN(j + i, cols - 1) * VL);
        vtranspose(block);
        for (int64_t i = 0; i < n; i++)
            vstore_upto(p + i * cols + j, block[i], cols - j);
    }
}

#undef NNF_LANES_WAY

#endif
