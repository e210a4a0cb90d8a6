/* lstm.c: one layer of long short-term memory, in one direction.
 *
 * x, dx (t, n, d), weight_ih (4 h, d), weight_hh (4 h, h), biases (4 h); y (t, n, h), gates i, f,
 * g, o after their activation (t, n, 4 h), cells (t, n, h); h0, c0, dhn, dcn, dh0, dc0 (n, h).
 * Without gates nothing is kept for the way back, and cells (n, h) is the last state alone.
 */
#include "recurrent.h"
#include "vecmath.h"

enum { I, F, G, O, GATES };

typedef struct {
    recurrent r; /* first: what a cell is given a pointer to */
    const real *c0;
    real *y, *gates, *cells;
} forward_pass;

/* Up to VL units of a row; in arrays there are `left`. */
VINLINE void forward_units(const real *from_x, const real *from_h, int64_t width, int64_t hidden,
                           int64_t left, const real *c_before, real *gates, real *c, real *y) {
    vec z[GATES];
    for (int g = 0; g < GATES; g++)
        z[g] = vload(from_x + g * width) + vload(from_h + g * width);
    z[I] = vsigmoid(z[I]);
    z[F] = vsigmoid(z[F]);
    z[G] = vtanh(z[G]);
    z[O] = vsigmoid(z[O]);
    for (int g = 0; gates && g < GATES; g++)
        vstore_upto(gates + g * hidden, z[g], left);
    const vec state = z[F] * vload_upto(c_before, left) + z[I] * z[G];
    vstore_upto(c, state, left);
    vstore_upto(y, z[O] * vtanh(state), left);
}

static void forward_cell(const recurrent *r, const recurrent_part *p) {
    const forward_pass *const l = (const forward_pass *)r;
    const int64_t hidden = r->d.hidden, first = p->time * r->d.batch;
    const bool keeps_last = !l->gates;
    const real *const c_before =
        keeps_last && p->step ? l->cells : state_before(&r->d, p->step, l->c0, l->cells);
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t v = 0; v < p->width; v += VL) {
            const int64_t row = p->row + i, unit = p->unit + v, from = i * p->pitch + v;
            const int64_t state = row * hidden + unit, at = first * hidden + state;
            real *const gates = l->gates ? l->gates + (first + row) * GATES * hidden + unit : NULL;
            forward_units(p->from_x + from, p->from_h + from, p->width, hidden, p->width - v,
                          c_before + state, gates, l->cells + (keeps_last ? state : at), l->y + at);
        }
}

int FN(lstm)(const nnf_recurrent *d, const real *x, const real *weight_ih, const real *weight_hh,
             const real *bias_ih, const real *bias_hh, const real *h0, const real *c0, real *y,
             real *gates, real *cells) {
    const forward_pass l = {
        .r = {*d, GATES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, y},
        .c0 = c0,
        .y = y,
        .gates = gates,
        .cells = cells,
    };
    return FN(recurrent_forward)(&l.r, forward_cell);
}

typedef struct {
    recurrent r;
    const real *dy, *gates, *cells, *c0;
    real *dc; /* (n, h): the gradient of the state after the step, then of that before it */
} backward_pass;

VINLINE void backward_units(const real *dy, const real *from_next, const real *gates,
                            int64_t hidden, int64_t left, const real *cell, const real *c_before,
                            real *dc, real *dz) {
    vec gate[GATES];
    for (int g = 0; g < GATES; g++)
        gate[g] = vload_upto(gates + g * hidden, left);
    const vec i = gate[I], f = gate[F], g = gate[G], o = gate[O];
    const vec dh = vload_upto(dy, left) + vload(from_next);
    const vec c = vtanh(vload_upto(cell, left));
    const vec dstate = vload_upto(dc, left) + dh * o * (1 - c * c);
    vstore_upto(dz + I * hidden, dstate * g * i * (1 - i), left);
    vstore_upto(dz + F * hidden, dstate * vload_upto(c_before, left) * f * (1 - f), left);
    vstore_upto(dz + G * hidden, dstate * i * (1 - g * g), left);
    vstore_upto(dz + O * hidden, dh * c * o * (1 - o), left);
    vstore_upto(dc, dstate * f, left);
}

static void backward_cell(const recurrent *r, const recurrent_part *p) {
    const backward_pass *const l = (const backward_pass *)r;
    const int64_t hidden = r->d.hidden, first = p->time * r->d.batch;
    const real *const c_before = state_before(&r->d, p->step, l->c0, l->cells);
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t v = 0; v < p->width; v += VL) {
            const int64_t row = p->row + i, unit = p->unit + v;
            const int64_t state = row * hidden + unit, at = first * hidden + state;
            backward_units(l->dy + at, p->from_h + i * p->pitch + v,
                           l->gates + (first + row) * GATES * hidden + unit, hidden, p->width - v,
                           l->cells + at, c_before + state, l->dc + state,
                           p->dz_x + i * GATES * hidden + v);
        }
}

int FN(lstm_backward)(const nnf_recurrent *d, const real *dy, const real *x, const real *weight_ih,
                      const real *weight_hh, const real *y, const real *gates, const real *cells,
                      const real *h0, const real *c0, const real *dhn, const real *dcn, real *dx,
                      real *dweight_ih, real *dweight_hh, real *dbias_ih, real *dbias_hh, real *dh0,
                      real *dc0) {
    const backward_pass l = {
        .r = {*d, GATES, x, weight_ih, weight_hh, NULL, NULL, h0, y},
        .dy = dy,
        .gates = gates,
        .cells = cells,
        .c0 = c0,
        .dc = dc0,
    };
    const recurrent_gradients to = {dhn, dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0};
    const size_t state = (size_t)(d->batch * d->hidden) * sizeof(real);
    if (dcn)
        memcpy(dc0, dcn, state);
    else
        memset(dc0, 0, state);
    return FN(recurrent_backward)(&l.r, backward_cell, false, &to);
}
