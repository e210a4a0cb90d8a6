/* recurrent_backward.c: the way back through all steps of a recurrent layer.
 *
 * x, dx (steps, batch, inputs), y (steps, batch, hidden), h0, dh0 (batch, hidden), weights and
 * their gradients (gates * hidden, inputs or hidden), dz (steps of a chunk, batch, gates * hidden).
 * Steps are taken in chunks: dz of a chunk is multiplied with x and h, which gives the gradients of
 * the weights, while it is in the cache.
 */
#include "recurrent.h"

enum { CHUNK = 1024 }; /* rows of dz, of all steps of a chunk */

/* The chunk of steps [first, end), which begins at `time`. */
typedef struct {
    const recurrent *r;
    recurrent_cell *cell;
    const recurrent_gradients *to;
    const real *ih, *hh; /* the weights in panels (ceil(columns / NR), gates * hidden, NR) */
    const real *dhn;     /* the gradient of h after the chunk, or NULL */
    real *dz_x, *dz_h;
    int64_t first, end, time;
} chunk;

/* The gradient dh (rows, NR) of units after a step, as far as it comes from the next one. */
static void gradient_from_next(const chunk *c, const recurrent_part *p, real *dh) {
    const nnf_recurrent *const d = &c->r->d;
    const int64_t k = c->r->gates * d->hidden;
    if (p->step + 1 < c->end) {
        const int64_t row = (time_of(d, p->step + 1) - c->time) * d->batch + p->row;
        FN(recurrent_multiply)(p->rows, k, c->dz_h + row * k, k, c->hh + p->unit * k, NULL,
                               round_up(p->width, VL), dh, NR);
        return;
    }
    memset(dh, 0, (size_t)(p->rows * NR) * sizeof(real));
    for (int64_t i = 0; c->dhn && i < p->rows; i++)
        memcpy(dh + i * NR, c->dhn + (p->row + i) * d->hidden + p->unit,
               (size_t)p->width * sizeof(real));
}

/* Rows [row, row + rows) through the steps of a chunk. */
static void walk_backward(const chunk *c, int64_t row, int64_t rows) {
    const nnf_recurrent *const d = &c->r->d;
    const int64_t k = c->r->gates * d->hidden;
    real dh[BLOCK_ROWS * NR];
    recurrent_part p = {.row = row, .rows = rows, .pitch = NR, .from_h = dh};
    for (p.step = c->end - 1; p.step >= c->first; p.step--) {
        p.time = time_of(d, p.step);
        const int64_t at = p.time * d->batch + row, dz = (at - c->time * d->batch) * k;
        for (p.unit = 0; p.unit < d->hidden; p.unit += NR) {
            p.width = MIN(NR, d->hidden - p.unit);
            p.dz_x = c->dz_x + dz + p.unit;
            p.dz_h = c->dz_h + dz + p.unit;
            gradient_from_next(c, &p, dh);
            c->cell(c->r, &p);
        }
        for (int64_t j = 0; c->to->dx && j < d->inputs; j += NR)
            FN(recurrent_multiply)(rows, k, c->dz_x + dz, k, c->ih + j * k, NULL,
                                   MIN(NR, d->inputs - j), c->to->dx + at * d->inputs + j,
                                   d->inputs);
    }
    for (p.unit = 0; p.unit < d->hidden; p.unit += NR) {
        p.width = MIN(NR, d->hidden - p.unit);
        gradient_from_next(c, &p, dh);
        for (int64_t i = 0; i < rows; i++)
            memcpy(c->to->dh0 + (row + i) * d->hidden + p.unit, dh + i * NR,
                   (size_t)p.width * sizeof(real));
    }
}

/* dz (rows, columns) is the gradient of a (rows, size) weight^T + bias; a's first `split` rows are
 * at head, the others at tail. */
typedef struct {
    int64_t rows, split, size, columns;
    const real *dz, *head, *tail;
    real *sums; /* (ceil(columns / NR), size + 1, NR): dweight and dbias, transposed */
    real *dweight, *dbias;
} product;

/* from (k, width), rows `pitch` apart, to panel (k, NR). */
static void copy_panel(int64_t k, int64_t width, const real *from, int64_t pitch, real *panel) {
    for (int64_t p = 0; p < k; p++)
        for (int v = 0; v < NR && v < width; v += VL)
            vstore(panel + p * NR + v, vload_upto(from + p * pitch + v, width - v));
}

/* Rows of dz from `row` on, columns from `column` on: sums (size + 1, NR) += a^T dz and 1^T dz. */
static void add_rows(const product *p, int64_t column, int64_t row, int64_t rows, const real *a,
                     real *sums) {
    const int64_t width = MIN(NR, p->columns - column), blocks = ceil_div(rows, KC);
    const real one = 1;
    real panel[KC * NR];
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t begin = b * rows / blocks, k = (b + 1) * rows / blocks - begin;
        copy_panel(k, width, p->dz + (row + begin) * p->columns + column, p->columns, panel);
        FN(recurrent_multiply_transposed)(p->size, k, a + begin * p->size, p->size, panel, width,
                                          sums);
        FN(recurrent_multiply_transposed)(1, k, &one, 0, panel, width, sums + p->size * NR);
    }
}

static void add_columns(const product *p, int64_t column, bool first, bool last) {
    real *const sums = p->sums + column * (p->size + 1);
    if (first)
        memset(sums, 0, (size_t)((p->size + 1) * NR) * sizeof(real));
    add_rows(p, column, 0, p->split, p->head, sums);
    add_rows(p, column, p->split, p->rows - p->split, p->tail, sums);
    for (int64_t j = 0; last && j < MIN(NR, p->columns - column); j++) {
        real *const dweight = p->dweight + (column + j) * p->size;
        for (int64_t i = 0; i < p->size; i++)
            dweight[i] = sums[i * NR + j];
        p->dbias[column + j] = sums[p->size * NR + j];
    }
}

/* h before each time is y of the time before (after it, in reverse), but for h0. */
static product product_with_h(const chunk *c, real *sums) {
    const nnf_recurrent *const d = &c->r->d;
    const int64_t rows = (c->end - c->first) * d->batch, state = d->batch * d->hidden;
    const bool from_h0 = c->first == 0 && rows > 0;
    product p = {.rows = rows,
                 .split = rows,
                 .size = d->hidden,
                 .columns = c->r->gates * d->hidden,
                 .dz = c->dz_h,
                 .sums = sums,
                 .dweight = c->to->dweight_hh,
                 .dbias = c->to->dbias_hh};
    if (d->reverse) {
        p.head = c->r->y + (c->time + 1) * state;
        p.split -= from_h0 ? d->batch : 0;
        p.tail = c->r->h0;
    } else if (from_h0) {
        p.head = c->r->h0;
        p.split = d->batch;
        p.tail = c->r->y;
    } else {
        p.head = c->r->y + (c->time - 1) * state;
    }
    return p;
}

/* Split at the same row, so that equal gradients of the biases have the same bits. */
static product product_with_x(const chunk *c, int64_t split, real *sums) {
    const nnf_recurrent *const d = &c->r->d;
    const real *const x = c->r->x + c->time * d->batch * d->inputs;
    return (product){.rows = (c->end - c->first) * d->batch,
                     .split = split,
                     .size = d->inputs,
                     .columns = c->r->gates * d->hidden,
                     .dz = c->dz_x,
                     .head = x,
                     .tail = x + split * d->inputs,
                     .sums = sums,
                     .dweight = c->to->dweight_ih,
                     .dbias = c->to->dbias_ih};
}

static void run_chunk(const chunk *c, real *sums, bool last) {
    const nnf_recurrent *const d = &c->r->d;
    const int64_t panels = ceil_div(c->r->gates * d->hidden, NR);
    const int64_t blocks = FN(recurrent_blocks)(d->batch);
    const double work = 0.02 * (double)((c->end - c->first) * d->batch * panels * NR) *
                        (double)(d->inputs + d->hidden + CELL_DEPTH);
    PARALLEL_FOR(b, blocks, work, {
        const int64_t row = b * d->batch / blocks;
        walk_backward(c, row, (b + 1) * d->batch / blocks - row);
    });
    const product with_h = product_with_h(c, sums);
    const product with_x = product_with_x(c, with_h.split, sums + panels * NR * (d->hidden + 1));
    PARALLEL_FOR(q, 2 * panels, work,
                 add_columns(q % 2 ? &with_h : &with_x, q / 2 * NR, c->end == d->steps, last));
}

/* weight (k, columns) to panels (ceil(columns / NR), k, NR). */
static void pack_columns(int64_t k, int64_t columns, const real *weight, real *panels) {
    PARALLEL_FOR(
        q, ceil_div(columns, NR), 0.2 * (double)(k * columns),
        copy_panel(k, MIN(NR, columns - q * NR), weight + q * NR, columns, panels + q * NR * k));
}

int FN(recurrent_backward)(const recurrent *r, recurrent_cell *cell, bool apart,
                           const recurrent_gradients *to) {
    const nnf_recurrent *const d = &r->d;
    const int64_t columns = r->gates * d->hidden, inputs = to->dx ? d->inputs : 0;
    const int64_t chunks = MAX(1, MIN(d->steps, ceil_div(d->steps * d->batch, CHUNK)));
    const int64_t dz = ceil_div(d->steps, chunks) * d->batch * columns;
    real *const ih = alloc_reals((round_up(inputs, NR) + round_up(d->hidden, NR)) * columns);
    real *const dz_x = alloc_reals(apart ? 2 * dz : dz);
    real *const sums = alloc_reals(round_up(columns, NR) * (d->inputs + d->hidden + 2));
    const bool ready = ih && dz_x && sums;
    if (ready) {
        real *const hh = ih + round_up(inputs, NR) * columns;
        pack_columns(columns, inputs, r->weight_ih, ih);
        pack_columns(columns, d->hidden, r->weight_hh, hh);
        for (int64_t i = chunks - 1; i >= 0; i--) {
            const int64_t first = i * d->steps / chunks, end = (i + 1) * d->steps / chunks;
            const chunk c = {.r = r,
                             .cell = cell,
                             .to = to,
                             .ih = ih,
                             .hh = hh,
                             .dhn = end == d->steps ? to->dhn : to->dh0,
                             .dz_x = dz_x,
                             .dz_h = apart ? dz_x + dz : dz_x,
                             .first = first,
                             .end = end,
                             .time = d->reverse ? d->steps - end : first};
            run_chunk(&c, sums, i == 0);
        }
    }
    nnf_free(ih);
    nnf_free(dz_x);
    nnf_free(sums);
    return ready ? NNF_OK : NNF_NO_MEMORY;
}
