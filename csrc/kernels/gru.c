/* gru.c: one layer of gated recurrent units, in one direction.
 *
 * x, dx (t, n, d), weight_ih (3 h, d), weight_hh (3 h, h), biases (3 h); y, dy (t, n, h), gates r,
 * z, n after their activation (t, n, 3 h), inner, what h gives n before r is applied (t, n, h); h0,
 * dhn, dh0 (n, h). Without gates nothing is kept for the way back.
 */
#include "recurrent.h"
#include "vecmath.h"

enum { R, Z, N, GATES };

typedef struct {
    recurrent r; /* first: what a cell is given a pointer to */
    real *y, *gates, *inner;
} forward_pass;

/* Up to VL units of a row; in arrays there are `left`. */
VINLINE void forward_units(const real *from_x, const real *from_h, int64_t width, int64_t hidden,
                           int64_t left, const real *h_before, real *gates, real *inner, real *y) {
    const vec r = vsigmoid(vload(from_x + R * width) + vload(from_h + R * width));
    const vec z = vsigmoid(vload(from_x + Z * width) + vload(from_h + Z * width));
    const vec q = vload(from_h + N * width);
    const vec n = vtanh(vload(from_x + N * width) + r * q);
    if (gates) {
        vstore_upto(gates + R * hidden, r, left);
        vstore_upto(gates + Z * hidden, z, left);
        vstore_upto(gates + N * hidden, n, left);
        vstore_upto(inner, q, left);
    }
    vstore_upto(y, (1 - z) * n + z * vload_upto(h_before, left), left);
}

static void forward_cell(const recurrent *r, const recurrent_part *p) {
    const forward_pass *const l = (const forward_pass *)r;
    const int64_t hidden = r->d.hidden, first = p->time * r->d.batch;
    const real *const h_before = state_before(&r->d, p->step, r->h0, r->y);
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t v = 0; v < p->width; v += VL) {
            const int64_t row = p->row + i, unit = p->unit + v, from = i * p->pitch + v;
            const int64_t state = row * hidden + unit, at = first * hidden + state;
            real *const gates = l->gates ? l->gates + (first + row) * GATES * hidden + unit : NULL;
            forward_units(p->from_x + from, p->from_h + from, p->width, hidden, p->width - v,
                          h_before + state, gates, gates ? l->inner + at : NULL, l->y + at);
        }
}

int FN(gru)(const nnf_recurrent *d, const real *x, const real *weight_ih, const real *weight_hh,
            const real *bias_ih, const real *bias_hh, const real *h0, real *y, real *gates,
            real *inner) {
    const forward_pass l = {
        .r = {*d, GATES, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, y},
        .y = y,
        .gates = gates,
        .inner = inner,
    };
    return FN(recurrent_forward)(&l.r, forward_cell);
}

typedef struct {
    recurrent r;
    const real *dy, *gates, *inner;
    real *direct; /* (n, h): the gradient of h that does not come through the gates */
} backward_pass;

VINLINE void backward_units(const real *dy, const real *from_next, const real *gates,
                            int64_t hidden, int64_t left, const real *inner, const real *h_before,
                            real *direct, real *dz_x, real *dz_h) {
    vec gate[GATES];
    for (int g = 0; g < GATES; g++)
        gate[g] = vload_upto(gates + g * hidden, left);
    const vec r = gate[R], z = gate[Z], n = gate[N];
    const vec dh = vload_upto(dy, left) + vload(from_next) + vload_upto(direct, left);
    const vec dn = dh * (1 - z) * (1 - n * n);
    const vec dr = dn * vload_upto(inner, left) * r * (1 - r);
    const vec dz = dh * (vload_upto(h_before, left) - n) * z * (1 - z);
    vstore_upto(dz_x + R * hidden, dr, left);
    vstore_upto(dz_h + R * hidden, dr, left);
    vstore_upto(dz_x + Z * hidden, dz, left);
    vstore_upto(dz_h + Z * hidden, dz, left);
    vstore_upto(dz_x + N * hidden, dn, left);
    vstore_upto(dz_h + N * hidden, dn * r, left);
    vstore_upto(direct, dh * z, left);
}

static void backward_cell(const recurrent *r, const recurrent_part *p) {
    const backward_pass *const l = (const backward_pass *)r;
    const int64_t hidden = r->d.hidden, first = p->time * r->d.batch;
    const real *const h_before = state_before(&r->d, p->step, r->h0, r->y);
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t v = 0; v < p->width; v += VL) {
            const int64_t row = p->row + i, unit = p->unit + v, dz = i * GATES * hidden + v;
            const int64_t state = row * hidden + unit, at = first * hidden + state;
            backward_units(l->dy + at, p->from_h + i * p->pitch + v,
                           l->gates + (first + row) * GATES * hidden + unit, hidden, p->width - v,
                           l->inner + at, h_before + state, l->direct + state, p->dz_x + dz,
                           p->dz_h + dz);
        }
}

int FN(gru_backward)(const nnf_recurrent *d, const real *dy, const real *x, const real *weight_ih,
                     const real *weight_hh, const real *y, const real *gates, const real *inner,
                     const real *h0, const real *dhn, real *dx, real *dweight_ih, real *dweight_hh,
                     real *dbias_ih, real *dbias_hh, real *dh0) {
    const int64_t state = d->batch * d->hidden;
    real *const direct = alloc_reals(state);
    if (!direct)
        return NNF_NO_MEMORY;
    memset(direct, 0, (size_t)state * sizeof(real));
    const backward_pass l = {
        .r = {*d, GATES, x, weight_ih, weight_hh, NULL, NULL, h0, y},
        .dy = dy,
        .gates = gates,
        .inner = inner,
        .direct = direct,
    };
    const recurrent_gradients to = {dhn, dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0};
    const int status = FN(recurrent_backward)(&l.r, backward_cell, true, &to);
    for (int64_t i = 0; status == NNF_OK && i < state; i++)
        dh0[i] += direct[i];
    nnf_free(direct);
    return status;
}
