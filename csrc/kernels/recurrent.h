/* recurrent.h: the loop over time that recurrent layers share.
 *
 * Rows of the batch know nothing of each other, so a block of rows goes through all steps by
 * itself: no barrier between steps, while the packed weights stay in the cache. Units are taken NR
 * at a time with all their gates, so that a cell finds what it needs in a few kilobytes that have
 * just been written.
 */
#ifndef NNF_RECURRENT_H
#define NNF_RECURRENT_H

#include "gemm.h"

enum {
    BLOCK_ROWS = 3 * MR, /* that go together: a panel in the L1 cache is used three times */
    MOST_GATES = 4,
    CELL_DEPTH = 40, /* of a product that takes as long as the cell does */
};

/* One layer in one direction. Gates lie one after the other in the rows of weights and biases, and
 * in the columns of dz_x and dz_h, the gradients of the products of x and of h with the weights. */
typedef struct {
    nnf_recurrent d;
    int64_t gates;
    const real *x;                 /* (steps, batch, inputs) */
    const real *weight_ih;         /* (gates * hidden, inputs) */
    const real *weight_hh;         /* (gates * hidden, hidden) */
    const real *bias_ih, *bias_hh; /* (gates * hidden) or NULL; forward only */
    const real *h0;                /* (batch, hidden) */
    const real *y;                 /* (steps, batch, hidden) */
} recurrent;

/* What a cell computes: `width` units from `unit` on, of `rows` rows from `row` on.
 * Forward it finds from_x and from_h, the products with the weights, plus biases: unit u of gate g
 * is at [g * width + u] of its row, rows are `pitch` apart. Backward it finds the gradient of y
 * that comes from the next step in from_h, one gate, and writes dz_x and dz_h: unit u of gate g at
 * [g * hidden + u], rows gates * hidden apart. Whole vectors may be read from from_x and from_h;
 * lanes beyond the units mean nothing. */
typedef struct {
    int64_t step, time, row, rows, unit, width, pitch;
    const real *from_x, *from_h;
    real *dz_x, *dz_h;
} recurrent_part;

typedef void recurrent_cell(const recurrent *r, const recurrent_part *part);

/* All steps; the cell computes y. */
int FN(recurrent_forward)(const recurrent *r, recurrent_cell *cell);

/* What comes out of all steps back, each of the shape of what it is the gradient of; dx may be
 * NULL. What comes in is dhn (batch, hidden) or NULL, the gradient of the last y as final state. */
typedef struct {
    const real *dhn;
    real *dx, *dweight_ih, *dweight_hh, *dbias_ih, *dbias_hh, *dh0;
} recurrent_gradients;

/* dz_x and dz_h are one array unless `apart`. */
int FN(recurrent_backward)(const recurrent *r, recurrent_cell *cell, bool apart,
                           const recurrent_gradients *to);

/* c (rows, width) = a (rows, k) panel (k, NR) + bias (NR), which may be NULL; rows of a and c are
 * a_row and c_row reals apart. */
void FN(recurrent_multiply)(int64_t rows, int64_t k, const real *a, int64_t a_row,
                            const real *panel, const real *bias, int64_t width, real *c,
                            int64_t c_row);

/* c (rows, NR) += a^T panel for a (k, rows), panel (k, NR), k <= KC: the first `width` columns. */
void FN(recurrent_multiply_transposed)(int64_t rows, int64_t k, const real *a, int64_t a_depth,
                                       const real *panel, int64_t width, real *c);

/* How many blocks the batch is cut into: one for each thread at least. No number depends on it, as
 * each is summed by itself. */
int64_t FN(recurrent_blocks)(int64_t batch);

static inline int64_t time_of(const nnf_recurrent *d, int64_t step) {
    return d->reverse ? d->steps - 1 - step : step;
}

/* A state before a step: `all` (steps, batch, hidden) holds that after each. */
static inline const real *state_before(const nnf_recurrent *d, int64_t step, const real *first,
                                       const real *all) {
    return step ? all + time_of(d, step - 1) * d->batch * d->hidden : first;
}

#endif
