/* recurrent.c: the loop over time of recurrent layers, forward.
 *
 * x (steps, batch, inputs), weight_ih (gates * hidden, inputs), weight_hh (gates * hidden, hidden),
 * biases (gates * hidden), h0 (batch, hidden), y (steps, batch, hidden).
 */
#include "recurrent.h"

#include <stdatomic.h>

enum {
    LEAST_ROWS = 4,      /* of a block: fewer leave the register tile too empty for a thread */
    CHUNK_ROWS = 8 * MR, /* rows of x, of several steps, that are multiplied at once */
};

int64_t FN(recurrent_blocks)(int64_t batch) {
    const int64_t team = MIN(nnf_get_threads(), MAX(1, batch / LEAST_ROWS));
    return round_up(ceil_div(batch, BLOCK_ROWS), team);
}

/* NR units are `gates` panels of columns. Of the last, if they are fewer, all gates share as few
 * vectors as hold them. */
static int64_t columns_of(int64_t gates, int64_t units) {
    return units / NR * NR * gates + round_up(units % NR * gates, VL);
}

/* Packs NR units from `unit` on of weight (gates * hidden, k) into panels (columns / NR, k, NR). */
static int pack_units(const recurrent *r, const real *weight, int64_t k, int64_t unit,
                      real *panels) {
    const int64_t width = MIN(NR, r->d.hidden - unit), gate = r->d.hidden * k;
    const real *const from = weight + unit * k;
    real *const to = panels + unit * r->gates * k;
    if (width == NR) {
        for (int64_t g = 0; g < r->gates; g++)
            FN(gemm_pack)(NR, k, k, NR, from + g * gate, k, 1, to + g * NR * k);
        return NNF_OK;
    }
    real *const together = alloc_reals(r->gates * width * k);
    if (!together)
        return NNF_NO_MEMORY;
    for (int64_t g = 0; g < r->gates; g++)
        memcpy(together + g * width * k, from + g * gate, (size_t)(width * k) * sizeof(real));
    FN(gemm_pack)(r->gates * width, k, k, NR, together, k, 1, to);
    nnf_free(together);
    return NNF_OK;
}

/* A weight (gates * hidden, k) and its bias, packed by pack_units. */
typedef struct {
    int64_t k;
    const real *weight, *bias; /* bias (gates * hidden) or NULL */
    real *panels, *bias_panels;
} operand;

static int pack(const recurrent *r, const operand *o, int64_t unit) {
    int status = pack_units(r, o->weight, o->k, unit, o->panels);
    if (status == NNF_OK && o->bias)
        status = pack_units(r, o->bias, 1, unit, o->bias_panels);
    return status;
}

/* Columns [j, j + NR) of the gates from `unit` on: c (rows, pitch) = a weight^T + bias. */
static void multiply_gates(const recurrent *r, const operand *o, int64_t unit, int64_t j,
                           int64_t rows, const real *a, int64_t a_row, int64_t pitch, real *c,
                           int64_t c_row) {
    const int64_t column = unit * r->gates + j;
    FN(recurrent_multiply)(rows, o->k, a, a_row, o->panels + column * o->k,
                           o->bias ? o->bias_panels + column : NULL, MIN(NR, pitch - j), c + j,
                           c_row);
}

/* A block of rows on its way through the steps. */
typedef struct {
    const recurrent *r;
    recurrent_cell *cell;
    operand ih, hh;
    int64_t row, rows;
} walk;

/* The products of x with weight_ih at `count` steps: sums (count, rows * columns), of each step
 * what a cell is given of its first units, then of the next. */
static void multiply_inputs(const walk *w, int64_t first, int64_t count, real *sums) {
    const nnf_recurrent *const d = &w->r->d;
    const int64_t gates = w->r->gates, x_step = (d->reverse ? -d->batch : d->batch) * d->inputs;
    const real *const x = w->r->x + (time_of(d, first) * d->batch + w->row) * d->inputs;
    for (int64_t unit = 0; unit < d->hidden; unit += NR) {
        const int64_t pitch = columns_of(gates, MIN(NR, d->hidden - unit));
        real *const to = sums + unit * gates * w->rows;
        for (int64_t j = 0; j < pitch; j += NR)
            for (int64_t i = 0; i < w->rows; i++)
                multiply_gates(w->r, &w->ih, unit, j, count, x + i * d->inputs, x_step, pitch,
                               to + i * pitch, w->rows * columns_of(gates, d->hidden));
    }
}

static void take_step(const walk *w, int64_t step, const real *sums) {
    const nnf_recurrent *const d = &w->r->d;
    const real *const h = state_before(d, step, w->r->h0, w->r->y) + w->row * d->hidden;
    real products[BLOCK_ROWS * MOST_GATES * NR + VL];
    recurrent_part p = {
        .step = step, .time = time_of(d, step), .row = w->row, .rows = w->rows, .from_h = products};
    for (p.unit = 0; p.unit < d->hidden; p.unit += NR) {
        p.width = MIN(NR, d->hidden - p.unit);
        p.pitch = columns_of(w->r->gates, p.width);
        p.from_x = sums + p.unit * w->r->gates * w->rows;
        for (int64_t j = 0; j < p.pitch; j += NR)
            multiply_gates(w->r, &w->hh, p.unit, j, w->rows, h, d->hidden, p.pitch, products,
                           p.pitch);
        w->cell(w->r, &p);
    }
}

static int walk_forward(const walk *w) {
    const int64_t steps = w->r->d.steps, size = w->rows * columns_of(w->r->gates, w->r->d.hidden);
    const int64_t chunk = MIN(steps, MR * MAX(1, CHUNK_ROWS / (MR * w->rows)));
    real *const sums = alloc_reals(chunk * size + VL);
    if (!sums)
        return NNF_NO_MEMORY;
    for (int64_t first = 0; first < steps; first += chunk) {
        const int64_t count = MIN(chunk, steps - first);
        multiply_inputs(w, first, count, sums);
        for (int64_t i = 0; i < count; i++)
            take_step(w, first + i, sums + i * size);
    }
    nnf_free(sums);
    return NNF_OK;
}

int FN(recurrent_forward)(const recurrent *r, recurrent_cell *cell) {
    const nnf_recurrent *const d = &r->d;
    const int64_t columns = round_up(columns_of(r->gates, d->hidden), NR);
    const int64_t blocks = FN(recurrent_blocks)(d->batch);
    const double work = (double)columns * (double)(d->inputs + d->hidden + CELL_DEPTH);
    real *const scratch = alloc_reals(columns * (d->inputs + d->hidden + 2));
    if (!scratch)
        return NNF_NO_MEMORY;
    walk all = {.r = r,
                .cell = cell,
                .ih = {.k = d->inputs, .weight = r->weight_ih, .bias = r->bias_ih},
                .hh = {.k = d->hidden, .weight = r->weight_hh, .bias = r->bias_hh}};
    all.ih.bias_panels = scratch;
    all.hh.bias_panels = scratch + columns;
    all.ih.panels = scratch + 2 * columns;
    all.hh.panels = all.ih.panels + columns * d->inputs;
    atomic_int failed = 0;
    PARALLEL_FOR(q, ceil_div(d->hidden, NR), 0.5 * work, {
        if (pack(r, &all.ih, q * NR) != NNF_OK || pack(r, &all.hh, q * NR) != NNF_OK)
            failed = 1;
    });
    if (!failed)
        PARALLEL_FOR(b, blocks, 0.02 * work * (double)(d->steps * d->batch), {
            walk w = all;
            w.row = b * d->batch / blocks;
            w.rows = (b + 1) * d->batch / blocks - w.row;
            if (walk_forward(&w) != NNF_OK)
                failed = 1;
        });
    nnf_free(scratch);
    return failed ? NNF_NO_MEMORY : NNF_OK;
}
