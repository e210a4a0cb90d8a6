/* batchnorm_backward.c: the gradients of batch normalisation, through its statistics: dy, x, dx
 * (n, c, s), mean, var, weight, bias and their gradients (c); s = 1 for (n, c) features.
 *
 * As forward: a pass for the sums of each channel, and one that writes dx. What ReLU let through is
 * seen from the normalised x, which is cheaper to make once more than to read. */
#include "batchnorm.h"

typedef struct {
    const real *dy, *x, *mean, *scale, *bias;
    bool relu;
} problem;

static void sums_of_planes(const grid *g, const piece *p, const problem *q, double *sum,
                           double *product) {
    dvec a[CHANNELS] = {{0}}, b[CHANNELS] = {{0}};
    for (int64_t n = p->n0; n < p->n1; n++)
        for (int64_t c = p->c0; c < p->c1; c++) {
            const int64_t at = start_of(g, p, n, c);
            const vec m = vset1(q->mean[c]), scale = vset1(q->scale[c]), bias = vset1(q->bias[c]);
            if (q->relu)
                add_row(p->size, q->x + at, q->dy + at, true, m, scale, bias, &a[c - p->c0],
                        &b[c - p->c0]);
            else
                add_row(p->size, q->x + at, q->dy + at, false, m, scale, bias, &a[c - p->c0],
                        &b[c - p->c0]);
        }
    for (int64_t c = 0; c < p->c1 - p->c0; c++) {
        sum[c] = dsum(a[c]);
        product[c] = dsum(b[c]);
    }
}

static void sums_of_features(const grid *g, const piece *p, const problem *q, double *sum,
                             double *product) {
    double a[FEATURES], b[FEATURES];
    real rooms[3][FEATURES + VL];
    const real *mean = per_feature(g, p, q->mean, rooms[0]);
    const int64_t at = start_of(g, p, p->n0, p->c0), pitch = g->c * g->s;
    if (q->relu)
        add_images(p->n1 - p->n0, pitch, width_of(g, p), q->x + at, q->dy + at, true, mean,
                   per_feature(g, p, q->scale, rooms[1]), per_feature(g, p, q->bias, rooms[2]), a,
                   b);
    else
        add_images(p->n1 - p->n0, pitch, width_of(g, p), q->x + at, q->dy + at, false, mean, NULL,
                   NULL, a, b);
    for (int64_t c = 0; c < p->c1 - p->c0; c++) {
        sum[c] = product[c] = 0;
        for (int64_t i = c * g->s; i < (c + 1) * g->s; i++) {
            sum[c] += a[i];
            product[c] += b[i];
        }
    }
}

/* dx of one vector: (e - offset - d * slope) * scale, where e is what was let through of dy */
VINLINE vec input_gradient(bool relu, vec d, vec dy, vec scale, vec bias, vec offset, vec slope) {
    return (let_through(relu, d, scale, bias, dy) - offset - d * slope) * scale;
}

VINLINE void gradient_as(const grid *g, const piece *p, const problem *q, const real *offset,
                         const real *slope, bool relu, bool streamed, real *dx) {
    if (g->features) {
        real rooms[5][FEATURES + VL];
        const real *m = per_feature(g, p, q->mean, rooms[0]);
        const real *w = per_feature(g, p, q->scale, rooms[1]);
        const real *b = per_feature(g, p, q->bias, rooms[2]);
        const real *o = per_feature(g, p, offset, rooms[3]);
        const real *k = per_feature(g, p, slope, rooms[4]);
        for (int64_t n = p->n0; n < p->n1; n++) {
            const int64_t at = start_of(g, p, n, p->c0);
            const real *x = q->x + at, *dy = q->dy + at;
            MAP_RANGE(0, width_of(g, p), dx + at, streamed,
                      input_gradient(relu, LOAD(x) - LOAD(m), LOAD(dy), LOAD(w), LOAD(b), LOAD(o),
                                     LOAD(k)));
        }
    } else {
        for (int64_t n = p->n0; n < p->n1; n++)
            for (int64_t c = p->c0; c < p->c1; c++) {
                const int64_t at = start_of(g, p, n, c);
                const real *x = q->x + at, *dy = q->dy + at;
                const vec m = vset1(q->mean[c]), w = vset1(q->scale[c]), b = vset1(q->bias[c]);
                const vec o = vset1(offset[c]), k = vset1(slope[c]);
                MAP_PLANE(p->size, dx + at, streamed,
                          input_gradient(relu, LOAD(x) - m, LOAD(dy), w, b, o, k));
            }
    }
    if (streamed)
        vstream_end();
}

/* One copy of the code, as in batchnorm.c. */
static void gradient_of_piece(const grid *g, const piece *p, const problem *q, const real *offset,
                              const real *slope, bool streamed, real *dx) {
    if (q->relu)
        gradient_as(g, p, q, offset, slope, true, streamed, dx);
    else
        gradient_as(g, p, q, offset, slope, false, streamed, dx);
}

int FN(batch_norm_backward)(int64_t n, int64_t c, int64_t s, double eps, const real *dy,
                            const real *x, const real *mean, const real *var, const real *weight,
                            const real *bias, int act, real *dx, real *dweight, real *dbias) {
    const grid g = make_grid(n, c, s);
    const double total = (double)n * (double)s;
    double *sum = nnf_alloc((size_t)(2 * g.chunks * c) * sizeof(double));
    double *product = sum + g.chunks * c;
    real *offset = alloc_reals(4 * c), *slope = offset + c, *scale = slope + c, *shift = scale + c;
    if (!sum || !offset) {
        nnf_free(sum);
        nnf_free(offset);
        return NNF_NO_MEMORY;
    }
    for (int64_t i = 0; i < c; i++) {
        scale[i] = (real)(inverse_deviation(var, i, eps) * (weight ? (double)weight[i] : 1));
        shift[i] = bias ? bias[i] : 0;
    }
    const problem q = {dy, x, mean, scale, shift, act == NNF_RELU};
    PIECES(p, &g, 0.15, {
        const int64_t at = p.chunk * c + p.c0;
        if (g.features)
            sums_of_features(&g, &p, &q, sum + at, product + at);
        else
            sums_of_planes(&g, &p, &q, sum + at, product + at);
    });
    for (int64_t k = 1; k < g.chunks; k++)
        for (int64_t i = 0; i < c; i++) {
            sum[i] += sum[k * c + i];
            product[i] += product[k * c + i];
        }
    for (int64_t i = 0; i < c; i++) {
        const double inverse = inverse_deviation(var, i, eps);
        dbias[i] = (real)sum[i];
        dweight[i] = (real)(product[i] * inverse);
        offset[i] = (real)(sum[i] / total);
        slope[i] = (real)(product[i] * inverse * inverse / total);
    }
    if (dx) {
        const bool streamed = streams_rows(&g, 2, dx);
        PIECES_BACK(p, &g, 0.2, gradient_of_piece(&g, &p, &q, offset, slope, streamed, dx));
    }
    nnf_free(sum);
    nnf_free(offset);
    return NNF_OK;
}
