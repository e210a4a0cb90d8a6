/* rnn.c: one plain recurrent layer, in one direction: h = tanh or ReLU of what comes from x and h.
 *
 * x, dx (t, n, d), weight_ih (h, d), weight_hh (h, h), biases (h); y, dy (t, n, h); h0, dhn, dh0
 * (n, h).
 */
#include "activate.h"
#include "recurrent.h"
#include "vecmath.h"

typedef struct {
    recurrent r; /* first: what a cell is given a pointer to */
    nnf_activation act;
    real *y;
} forward_pass;

static void forward_cell(const recurrent *r, const recurrent_part *p) {
    const forward_pass *const l = (const forward_pass *)r;
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t v = 0; v < p->width; v += VL) {
            const int64_t row = p->time * r->d.batch + p->row + i, from = i * p->pitch + v;
            const vec z = vload(p->from_x + from) + vload(p->from_h + from);
            vstore_upto(l->y + row * r->d.hidden + p->unit + v,
                        l->act == NNF_TANH ? vtanh(z) : activate(z, NNF_RELU), p->width - v);
        }
}

int FN(rnn)(const nnf_recurrent *d, int act, const real *x, const real *weight_ih,
            const real *weight_hh, const real *bias_ih, const real *bias_hh, const real *h0,
            real *y) {
    const forward_pass l = {
        .r = {*d, 1, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, y},
        .act = (nnf_activation)act,
        .y = y,
    };
    return FN(recurrent_forward)(&l.r, forward_cell);
}

typedef struct {
    recurrent r;
    nnf_activation act;
    const real *dy;
} backward_pass;

static void backward_cell(const recurrent *r, const recurrent_part *p) {
    const backward_pass *const l = (const backward_pass *)r;
    const int64_t hidden = r->d.hidden, first = p->time * r->d.batch + p->row;
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t v = 0; v < p->width; v += VL) {
            const int64_t at = (first + i) * hidden + p->unit + v, left = p->width - v;
            const vec y = vload_upto(r->y + at, left);
            const vec dh = vload_upto(l->dy + at, left) + vload(p->from_h + i * p->pitch + v);
            vstore_upto(p->dz_x + i * hidden + v,
                        l->act == NNF_TANH ? dh * (1 - y * y) : vselect(y <= 0, vzero(), dh), left);
        }
}

int FN(rnn_backward)(const nnf_recurrent *d, int act, const real *dy, const real *x,
                     const real *weight_ih, const real *weight_hh, const real *y, const real *h0,
                     const real *dhn, real *dx, real *dweight_ih, real *dweight_hh, real *dbias_ih,
                     real *dbias_hh, real *dh0) {
    const backward_pass l = {
        .r = {*d, 1, x, weight_ih, weight_hh, NULL, NULL, h0, y},
        .act = (nnf_activation)act,
        .dy = dy,
    };
    const recurrent_gradients to = {dhn, dx, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dh0};
    return FN(recurrent_backward)(&l.r, backward_cell, false, &to);
}
