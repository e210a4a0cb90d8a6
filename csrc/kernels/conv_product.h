/* conv_product.h: weights times gathered images, the product that forward and input gradient share.
 *
 * Of every image and group: result (rows, grid pixels) = weights (rows, channels * taps) times the
 * matrix (channels * taps, grid pixels) that conv_gather.h reads from the source.
 */
#ifndef NNF_CONV_PRODUCT_H
#define NNF_CONV_PRODUCT_H

#include "conv.h"
#include "conv_gather.h"

typedef struct {
    conv_gather from;
    int64_t images, groups;
    int64_t rows, channels; /* of a group, in the result and in the source */
    const real *source;     /* (images, groups * channels, height, width) */
    real *result;           /* (images, groups * rows, plane) */
    int64_t plane;
    /* Grid pixel (i, j), j < grid_w, is result[offset + i * step_h * result_width + j * step_w]. */
    int64_t offset, step_h, step_w, result_width, grid_w;
    conv_finish finish; /* vectors (groups * rows) */
    /* weights of a group: rows where they lie, or packed (row tiles, channels * taps, MR) */
    gemm_left weights;
    const real *left;
    int64_t left_group;
} conv_product;

enum { TASKS = 16 }; /* of a product, for many threads */

static inline bool is_dense(const conv_product *p) { return p->step_h == 1 && p->step_w == 1; }

/* The time on one thread, in nanoseconds. */
static inline double product_work(const conv_product *p) {
    const double pixels = (double)(p->images * p->groups * p->from.grid_h * p->from.grid_w);
    return 0.02 * pixels * (double)(p->rows * (p->channels * p->from.taps + 4));
}

int FN(conv_product_run)(const conv_product *p);
/* The same with a row of the result to a lane, by weights packed (row tiles, channels * taps, NR);
 * and whether that pays. */
int FN(conv_lanes_run)(const conv_product *p);
bool FN(conv_lanes_pay)(const conv_product *p);

/* Writes sums (rows, pixels) of a strided grid, `pitch` apart, where they belong in the planes of
 * one image's result. */
void FN(conv_scatter)(const conv_product *of, const real *sums, int64_t pitch, int64_t rows,
                      int64_t pixel, int64_t pixels, real *result);

#endif
