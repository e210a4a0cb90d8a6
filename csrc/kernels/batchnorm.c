/* batchnorm.c: batch normalisation of x, y, dx, dy (n, c, s) per channel: weight, bias, mean, var
 * and their gradients (c). s = 1 for (n, c) features.
 *
 * Forward and backward walk the data twice: a pass for the sums of each channel, and one that
 * writes. Both cut it into pieces by shape alone; the second starts with the pieces the first left
 * in the cache. Sums are in double, of x minus a value near the channel's mean; what the pieces
 * found is combined as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
 * computing sample variances", 1979. */
#include "sum.h"

/* A chunk is `images` images by `part` elements of a plane; a piece is a chunk's `channels`. */
typedef struct {
    int64_t n, c, s;
    int64_t images, part, channels;
    int64_t parts, chunks, blocks;
} grid;

typedef struct {
    int64_t chunk, n0, n1, c0, c1, s0, size; /* elements [s0, s0 + size) of each plane */
} piece;

enum { PIECE = 16384, CHANNELS = 256, SHIFT = 16 };

static grid make_grid(int64_t n, int64_t c, int64_t s) {
    grid g = {.n = n, .c = c, .s = s};
    g.part = MIN(s, PIECE);
    g.images = s == 1 ? PIECE / CHANNELS : MAX(1, PIECE / 16 / g.part);
    g.channels = MIN(CHANNELS, MAX(1, PIECE / (g.images * g.part)));
    g.parts = ceil_div(s, g.part);
    g.chunks = ceil_div(n, g.images) * g.parts;
    g.blocks = ceil_div(c, g.channels);
    return g;
}

static piece get_piece(const grid *g, int64_t task) {
    piece p = {.chunk = task / g->blocks};
    p.n0 = p.chunk / g->parts * g->images;
    p.n1 = MIN(p.n0 + g->images, g->n);
    p.c0 = task % g->blocks * g->channels;
    p.c1 = MIN(p.c0 + g->channels, g->c);
    p.s0 = p.chunk % g->parts * g->part;
    p.size = MIN(g->part, g->s - p.s0);
    return p;
}

#define PIECES(p, g, ns, backwards, ...)                                                           \
    PARALLEL_FOR(task_, (g)->chunks *(g)->blocks, (ns) * (double)((g)->n * (g)->c * (g)->s), {     \
        const piece p =                                                                            \
            get_piece((g), (backwards) ? (g)->chunks * (g)->blocks - 1 - task_ : task_);           \
        __VA_ARGS__;                                                                               \
    })

static int64_t values_of(const piece *p) { return (p->n1 - p->n0) * p->size; }

/* Adds up a = x - shift and b = (x - shift) * (other - other_shift) of n elements; other is x for
 * the variance and dy for the gradients (then the first sum is of dy). */
VINLINE void add_row(int64_t n, const real *x, double shift, const real *dy, double *a, double *b) {
    dvec sum_a[2] = {{0}}, sum_b[2] = {{0}};
    const dvec shifts = shift - (dvec){0};
    int64_t i = 0;
    for (; i + 2 * DVL <= n; i += 2 * DVL)
        for (int j = 0; j < 2; j++) {
            const dvec d = vload_wide(x + i + j * DVL) - shifts;
            const dvec e = dy ? vload_wide(dy + i + j * DVL) : d;
            sum_a[j] += e;
            sum_b[j] += d * e;
        }
    double rest_a = 0, rest_b = 0;
    for (; i < n; i++) {
        const double d = (double)x[i] - shift, e = dy ? (double)dy[i] : d;
        rest_a += e;
        rest_b += d * e;
    }
    *a += dsum(sum_a[0] + sum_a[1]) + rest_a;
    *b += dsum(sum_b[0] + sum_b[1]) + rest_b;
}

/* The same of one row of features. */
VINLINE void add_features(int64_t n, const real *x, const real *shift, const real *dy,
                          double *restrict a, double *restrict b) {
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)x[i] - (double)shift[i], e = dy ? (double)dy[i] : d;
        a[i] += e;
        b[i] += d * e;
    }
}

/* Mean and sum of squared deviations of a piece's channels. The shift is the mean of the first m
 * of L values: (shift - mean)^2 <= L / m * variance bounds what cancels below. */
static void piece_moments(const grid *g, const piece *p, const real *x, double *mean,
                          double *squares) {
    const double count = (double)values_of(p);
    const real *first = x + (p->n0 * g->c + p->c0) * g->s + p->s0;
    const int64_t width = p->c1 - p->c0, pitch = g->c * g->s, m = MIN(p->size, SHIFT);
    const int64_t images = MIN(p->n1 - p->n0, SHIFT / m);
    mean += p->chunk * g->c + p->c0;
    squares += p->chunk * g->c + p->c0;
    double a[CHANNELS] = {0}, b[CHANNELS] = {0};
    real shift[CHANNELS];
    for (int64_t n = 0; n < images; n++)
        for (int64_t c = 0; c < width; c++)
            a[c] += dsum(vwiden(sum_lanes(m, first + n * pitch + c * g->s)));
    for (int64_t c = 0; c < width; c++) {
        shift[c] = (real)(a[c] / (double)(images * m));
        if (!isfinite(shift[c]))
            shift[c] = 0; /* inf - inf would make the mean NaN */
        a[c] = 0;
    }
    for (int64_t n = p->n0; n < p->n1; n++, first += pitch)
        if (g->s == 1)
            add_features(width, first, shift, NULL, a, b);
        else
            for (int64_t c = 0; c < width; c++)
                add_row(p->size, first + c * g->s, (double)shift[c], NULL, a + c, b + c);
    for (int64_t c = 0; c < width; c++) {
        mean[c] = (double)shift[c] + a[c] / count;
        squares[c] = b[c] - a[c] * a[c] / count;
    }
}

/* Mean and variance of channel c from those of its chunks. */
static void combine_moments(const grid *g, int64_t c, const double *mean, const double *squares,
                            real *mean_of, real *var_of) {
    const double total = (double)g->n * (double)g->s, near = isfinite(mean[c]) ? mean[c] : 0;
    double offset = 0, sum = 0;
    for (int64_t k = 0; k < g->chunks; k++) {
        const piece p = get_piece(g, k * g->blocks);
        offset += (double)values_of(&p) * (mean[k * g->c + c] - near);
    }
    const double centre = near + offset / total;
    for (int64_t k = 0; k < g->chunks; k++) {
        const piece p = get_piece(g, k * g->blocks);
        const double off = mean[k * g->c + c] - centre;
        sum += squares[k * g->c + c] + (double)values_of(&p) * off * off;
    }
    mean_of[c] = (real)centre;
    var_of[c] = (real)(sum / total);
}

static double inverse_deviation(const real *var, int64_t c, double eps) {
    return 1 / sqrt((double)var[c] + eps);
}

/* y = (x - mean) * scale + bias */
static void normalise(const grid *g, const piece *p, const real *x, const real *mean,
                      const real *scale, const real *bias, real *y) {
    for (int64_t n = p->n0; n < p->n1; n++) {
        if (g->s == 1) {
            for (int64_t c = p->c0; c < p->c1; c++)
                y[n * g->c + c] = (x[n * g->c + c] - mean[c]) * scale[c] + bias[c];
            continue;
        }
        for (int64_t c = p->c0; c < p->c1; c++) {
            const int64_t row = (n * g->c + c) * g->s + p->s0;
            const real m = mean[c], a = scale[c], b = bias[c];
            for (int64_t i = 0; i < p->size; i++)
                y[row + i] = (x[row + i] - m) * a + b;
        }
    }
}

int FN(batch_norm_inference)(int64_t n, int64_t c, int64_t s, double eps, const real *x,
                             const real *mean, const real *var, const real *weight,
                             const real *bias, real *y) {
    if (n == 0 || s == 0)
        return NNF_OK;
    const grid g = make_grid(n, c, s);
    real *scale = alloc_reals(2 * c), *shift = scale + c;
    if (!scale)
        return NNF_NO_MEMORY;
    for (int64_t i = 0; i < c; i++) {
        scale[i] = (real)(inverse_deviation(var, i, eps) * (weight ? (double)weight[i] : 1));
        shift[i] = bias ? bias[i] : 0;
    }
    PIECES(p, &g, 0.3, true, normalise(&g, &p, x, mean, scale, shift, y));
    nnf_free(scale);
    return NNF_OK;
}

int FN(batch_norm)(int64_t n, int64_t c, int64_t s, double eps, const real *x, const real *weight,
                   const real *bias, real *y, real *mean, real *var) {
    const grid g = make_grid(n, c, s);
    double *means = nnf_alloc((size_t)(2 * g.chunks * c) * sizeof(double));
    double *squares = means + g.chunks * c;
    if (!means)
        return NNF_NO_MEMORY;
    PIECES(p, &g, 0.3, false, piece_moments(&g, &p, x, means, squares));
    PARALLEL_FOR(i, c, 5.0 * (double)(c * g.chunks),
                 combine_moments(&g, i, means, squares, mean, var));
    nnf_free(means);
    return FN(batch_norm_inference)(n, c, s, eps, x, mean, var, weight, bias, y);
}

/* Sums of dy and of dy * (x - mean) over a piece's channels. */
static void piece_gradients(const grid *g, const piece *p, const real *dy, const real *x,
                            const real *mean, double *sum, double *product) {
    const int64_t width = p->c1 - p->c0;
    sum += p->chunk * g->c + p->c0;
    product += p->chunk * g->c + p->c0;
    for (int64_t c = 0; c < width; c++)
        sum[c] = product[c] = 0;
    for (int64_t n = p->n0; n < p->n1; n++) {
        const int64_t at = (n * g->c + p->c0) * g->s + p->s0;
        if (g->s == 1)
            add_features(width, x + at, mean + p->c0, dy + at, sum, product);
        else
            for (int64_t c = 0; c < width; c++)
                add_row(p->size, x + at + c * g->s, (double)mean[p->c0 + c], dy + at + c * g->s,
                        sum + c, product + c);
    }
}

/* dx = (dy - offset - (x - mean) * slope) * scale */
static void input_gradient(const grid *g, const piece *p, const real *dy, const real *x,
                           const real *mean, const real *offset, const real *slope,
                           const real *scale, real *dx) {
    for (int64_t n = p->n0; n < p->n1; n++) {
        if (g->s == 1) {
            for (int64_t c = p->c0; c < p->c1; c++) {
                const int64_t i = n * g->c + c;
                dx[i] = (dy[i] - offset[c] - (x[i] - mean[c]) * slope[c]) * scale[c];
            }
            continue;
        }
        for (int64_t c = p->c0; c < p->c1; c++) {
            const int64_t row = (n * g->c + c) * g->s + p->s0;
            const real m = mean[c], a = offset[c], b = slope[c], w = scale[c];
            for (int64_t i = 0; i < p->size; i++)
                dx[row + i] = (dy[row + i] - a - (x[row + i] - m) * b) * w;
        }
    }
}

int FN(batch_norm_backward)(int64_t n, int64_t c, int64_t s, double eps, const real *dy,
                            const real *x, const real *mean, const real *var, const real *weight,
                            real *dx, real *dweight, real *dbias) {
    const grid g = make_grid(n, c, s);
    const double total = (double)n * (double)s;
    double *sum = nnf_alloc((size_t)(2 * g.chunks * c) * sizeof(double));
    double *product = sum + g.chunks * c;
    real *offset = alloc_reals(3 * c), *slope = offset + c, *scale = slope + c;
    if (!sum || !offset) {
        nnf_free(sum);
        nnf_free(offset);
        return NNF_NO_MEMORY;
    }
    PIECES(p, &g, 0.4, false, piece_gradients(&g, &p, dy, x, mean, sum, product));
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
        scale[i] = (real)(inverse * (weight ? (double)weight[i] : 1));
    }
    PIECES(p, &g, 0.4, true, input_gradient(&g, &p, dy, x, mean, offset, slope, scale, dx));
    nnf_free(sum);
    nnf_free(offset);
    return NNF_OK;
}
