/* batchnorm.c: batch normalisation of x, y (n, c, s) per channel: weight, bias, mean, var and
 * running statistics (c); s = 1 for (n, c) features. The gradients are in batchnorm_backward.c.
 *
 * The data are walked twice: a pass for the sums of each channel, and one that writes. Sums are of
 * x minus a value near the channel's mean; what the pieces found is combined in double, as in Chan,
 * Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
 * 1979. */
#include "batchnorm.h"

enum { SAMPLES = 16, SAMPLED_IMAGES = 4 };

/* A value near a channel's mean: the mean of some of its values, all over the plane. */
static real near_mean(int64_t size, const real *x) {
    const int64_t count = MIN(size, SAMPLES), step = size / count;
    real sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i * step];
    sum /= (real)count;
    return isfinite(sum) ? sum : 0; /* inf - inf would make the mean NaN */
}

/* Mean and sum of squared deviations of a piece's channels, from the sums of d = x - shift and of
 * their squares: (shift - mean)^2 <= L / m * variance for m of L values bounds what cancels. */
static void set_moments(double count, double shift, double sum, double squares, double *mean,
                        double *deviations) {
    *mean = shift + sum / count;
    *deviations = isinf(squares) ? squares : squares - sum * sum / count;
}

static void moments_of_planes(const grid *g, const piece *p, const real *x, double *mean,
                              double *deviations) {
    dvec sum[CHANNELS], squares[CHANNELS];
    real shift[CHANNELS];
    const int64_t width = p->c1 - p->c0;
    for (int64_t c = 0; c < width; c++) {
        shift[c] = near_mean(p->size, x + start_of(g, p, p->n0, p->c0 + c));
        sum[c] = squares[c] = (dvec){0};
    }
    for (int64_t n = p->n0; n < p->n1; n++)
        for (int64_t c = 0; c < width; c++)
            add_row(p->size, x + start_of(g, p, n, p->c0 + c), NULL, false, vset1(shift[c]),
                    vzero(), vzero(), &sum[c], &squares[c]);
    for (int64_t c = 0; c < width; c++)
        set_moments((double)values_of(p), (double)shift[c], dsum(sum[c]), dsum(squares[c]),
                    &mean[c], &deviations[c]);
}

static void moments_of_features(const grid *g, const piece *p, const real *x, double *mean,
                                double *deviations) {
    double sum[FEATURES], squares[FEATURES];
    real near[FEATURES + VL], rooms[FEATURES + VL], *const shift = g->s == 1 ? near : rooms;
    const int64_t width = width_of(g, p), pitch = g->c * g->s, images = p->n1 - p->n0;
    const int64_t sampled = MIN(images, SAMPLED_IMAGES), step = images / sampled * pitch;
    const vec share = vset1(1 / (real)(sampled * g->s));
    x += start_of(g, p, p->n0, p->c0);
    for (int64_t i = 0; i < width; i += VL) {
        vec sample = vload_upto(x + i, width - i);
        for (int64_t k = 1; k < sampled; k++)
            sample += vload_upto(x + k * step + i, width - i);
        sample *= share;
        vstore(near + i, vselect(sample - sample == vzero(), sample, vzero()));
    }
    for (int64_t i = 0; g->s > 1 && i < width; i += g->s) { /* one for the whole channel */
        real total = 0;
        for (int64_t k = i; k < i + g->s; k++)
            total += near[k];
        for (int64_t k = i; k < i + g->s; k += VL)
            vstore(shift + k, vset1(isfinite(total) ? total : 0));
    }
    add_images(images, pitch, width, x, NULL, false, shift, NULL, NULL, sum, squares);
    for (int64_t c = 0; c < p->c1 - p->c0; c++) {
        double a = 0, b = 0;
        for (int64_t i = c * g->s; i < (c + 1) * g->s; i++) {
            a += sum[i];
            b += squares[i];
        }
        set_moments((double)values_of(p), (double)shift[c * g->s], a, b, &mean[c], &deviations[c]);
    }
}

/* Mean and variance of the channels [c0, c1) from those of their chunks (chunks, c), of `count`
 * values each. Reads up to DVL - 1 numbers beyond the last one. */
static void combine_moments(const grid *g, int64_t c0, int64_t c1, const double *count,
                            const double *mean, const double *deviations, real *mean_of,
                            real *var_of) {
    const double total = (double)g->n * (double)g->s;
    for (int64_t c = c0; c < c1; c += DVL) {
        dvec near = dfinite_or_zero(dload(mean + c)), offset = {0}, sum = {0};
        for (int64_t k = 0; k < g->chunks; k++)
            offset += count[k] * (dload(mean + k * g->c + c) - near);
        near += offset / total;
        for (int64_t k = 0; k < g->chunks; k++) {
            const dvec off = dload(mean + k * g->c + c) - near;
            sum += dload(deviations + k * g->c + c) + count[k] * off * off;
        }
        for (int64_t i = 0; i < MIN(DVL, c1 - c); i++) {
            mean_of[c + i] = (real)near[i];
            var_of[c + i] = (real)(sum[i] / total);
        }
    }
}

/* y = (x - mean) * scale + bias, rectified if asked for */
VINLINE void normalise_as(const grid *g, const piece *p, const real *x, const real *mean,
                          const real *scale, const real *bias, nnf_activation act, bool streamed,
                          real *y) {
    if (g->features) {
        real rooms[3][FEATURES + VL];
        const real *m = per_feature(g, p, mean, rooms[0]), *a = per_feature(g, p, scale, rooms[1]);
        const real *b = per_feature(g, p, bias, rooms[2]);
        for (int64_t n = p->n0; n < p->n1; n++) {
            const int64_t at = start_of(g, p, n, p->c0);
            MAP_RANGE(0, width_of(g, p), y + at, streamed,
                      activate(normalised(LOAD(x + at) - LOAD(m), LOAD(a), LOAD(b)), act));
        }
    } else {
        for (int64_t n = p->n0; n < p->n1; n++)
            for (int64_t c = p->c0; c < p->c1; c++) {
                const int64_t at = start_of(g, p, n, c);
                const vec m = vset1(mean[c]), a = vset1(scale[c]), b = vset1(bias[c]);
                MAP_PLANE(p->size, y + at, streamed,
                          activate(normalised(LOAD(x + at) - m, a, b), act));
            }
    }
    if (streamed)
        vstream_end();
}

/* One copy of the code for all threads and one thread: the two are compiled apart. */
static void normalise(const grid *g, const piece *p, const real *x, const real *mean,
                      const real *scale, const real *bias, bool relu, bool streamed, real *y) {
    if (relu)
        normalise_as(g, p, x, mean, scale, bias, NNF_RELU, streamed, y);
    else
        normalise_as(g, p, x, mean, scale, bias, NNF_LINEAR, streamed, y);
}

/* `reads`: how often x has to be read for y. */
static int apply(const grid *g, int64_t reads, double eps, const real *x, const real *mean,
                 const real *var, const real *weight, const real *bias, int act, real *y) {
    const bool streamed = streams_rows(g, reads, y);
    real *scale = alloc_reals(2 * g->c), *shift = scale + g->c;
    if (!scale)
        return NNF_NO_MEMORY;
    for (int64_t i = 0; i < g->c; i++) {
        scale[i] = (real)(inverse_deviation(var, i, eps) * (weight ? (double)weight[i] : 1));
        shift[i] = bias ? bias[i] : 0;
    }
    PIECES_BACK(p, g, 0.1, normalise(g, &p, x, mean, scale, shift, act == NNF_RELU, streamed, y));
    nnf_free(scale);
    return NNF_OK;
}

int FN(batch_norm_inference)(int64_t n, int64_t c, int64_t s, double eps, const real *x,
                             const real *mean, const real *var, const real *weight,
                             const real *bias, int act, real *y) {
    if (n == 0 || s == 0)
        return NNF_OK;
    const grid g = make_grid(n, c, s);
    return apply(&g, 1, eps, x, mean, var, weight, bias, act, y);
}

int FN(batch_norm)(int64_t n, int64_t c, int64_t s, double eps, const real *x, const real *weight,
                   const real *bias, int act, real *y, real *mean, real *var) {
    const grid g = make_grid(n, c, s);
    double *count = nnf_alloc((size_t)(g.chunks * (2 * c + 1) + DVL) * sizeof(double));
    double *means = count + g.chunks, *deviations = means + g.chunks * c;
    if (!count)
        return NNF_NO_MEMORY;
    PIECES(p, &g, 0.1, {
        const int64_t at = p.chunk * c + p.c0;
        if (p.c0 == 0)
            count[p.chunk] = (double)values_of(&p);
        if (g.features)
            moments_of_features(&g, &p, x, means + at, deviations + at);
        else
            moments_of_planes(&g, &p, x, means + at, deviations + at);
    });
    PARALLEL_FOR(i, ceil_div(c, CHANNELS), 2.0 * (double)(c * g.chunks),
                 combine_moments(&g, i * CHANNELS, MIN(c, (i + 1) * CHANNELS), count, means,
                                 deviations, mean, var));
    nnf_free(count);
    return apply(&g, 2, eps, x, mean, var, weight, bias, act, y);
}

int FN(batch_norm_update)(int64_t c, int64_t count, double momentum, const real *mean,
                          const real *var, real *running_mean, real *running_var) {
    const vec keep = vset1((real)(1 - momentum)), take = vset1((real)momentum);
    const vec unbiased = vset1((real)(momentum * (double)count / (double)MAX(count - 1, 1)));
    MAP(c, 0.2, 2, running_mean, keep * LOAD(running_mean) + take * LOAD(mean));
    MAP(c, 0.2, 2, running_var, keep * LOAD(running_var) + unbiased * LOAD(var));
    return NNF_OK;
}
