/* loss.c: softmax cross-entropy and the mean squared error, with gradients.
 *
 * Cross-entropy: x, dx (rows, cols) scores; labels (rows), of which `ignore_index` marks rows that
 * count nothing, or target (rows, cols) probabilities, the other NULL; weight (rows) or NULL; lse
 * (rows) log-sum-exp of x; loss (rows) for NNF_NONE, else one number. Smoothing s replaces the
 * target q by (1 - s) q + s / cols. Mean squared error: x, target, dx (n); loss (n) or one number.
 */
#include "elementwise.h"
#include "softmax.h"

typedef struct {
    int64_t cols;
    const real *x;
    const int64_t *labels;
    const real *target, *weight;
    int64_t ignore_index;
    real smoothing;
} problem;

static bool ignored(const problem *p, int64_t row) {
    return p->labels && p->labels[row] == p->ignore_index;
}

/* Sums of many numbers are taken in double and pairwise: their error grows with log n. */
static double total(int64_t n, const real *x) {
    if (n > 256)
        return total(n / 2, x) + total(n - n / 2, x + n / 2);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

static double total_weight(const problem *p, int64_t begin, int64_t end) {
    if (end - begin > 256) {
        const int64_t middle = begin + (end - begin) / 2;
        return total_weight(p, begin, middle) + total_weight(p, middle, end);
    }
    double sum = 0;
    for (int64_t i = begin; i < end; i++)
        if (!ignored(p, i))
            sum += p->weight ? (double)p->weight[i] : 1;
    return sum;
}

/* The sum of q (lse - x) over a row; q is 1 where NULL. */
static real cross(int64_t n, const real *x, const real *q, real lse) {
    vec sum = vzero();
    for (int64_t j = 0; j < n;) {
        const int64_t end = MIN(n, j + SUM_BLOCK);
        vec part = vzero();
        for (; j < end; j += VL) {
            const vec nll = lse - vload_or(x + j, n - j, vset1(lse));
            part += q ? vload_upto(q + j, n - j) * nll : nll;
        }
        sum += part;
    }
    return vsum(sum);
}

/* The loss of one row from its maximum and the logarithm of its sum of e^(x - maximum). */
static real row_loss(const problem *p, int64_t row, real top, real log_sum) {
    if (ignored(p, row))
        return 0;
    const real *x = p->x + row * p->cols;
    const real s = p->smoothing, lse = top + log_sum;
    real loss = p->labels ? log_sum - (x[p->labels[row]] - top)
                          : cross(p->cols, x, p->target + row * p->cols, lse);
    if (s != 0)
        loss = (1 - s) * loss + s * (cross(p->cols, x, NULL, lse) / (real)p->cols);
    return p->weight ? p->weight[row] * loss : loss;
}

/* Maximum and sum of the rows [begin, end). */
static void stats_of_rows(int64_t begin, int64_t end, int64_t cols, const real *x, real *top,
                          real *sum) {
    real lanes[LANE_COLS * VL];
    if (cols > LANE_COLS) {
        for (int64_t row = begin; row < end; row++) {
            const row_stats s = exp_stats(ROW, cols, x + row * cols, NULL);
            top[row] = s.top[0];
            sum[row] = s.sum[0];
        }
    } else {
        for (int64_t row = begin; row < end; row += VL) {
            to_lanes(MIN(VL, end - row), cols, x + row * cols, lanes);
            const row_stats s = exp_stats(LANES, cols * VL, lanes, NULL);
            vstore_upto(top + row, s.top, end - row);
            vstore_upto(sum + row, s.sum, end - row);
        }
    }
}

/* The same for all rows, by chunks of their columns. */
static int stats_of_chunks(int64_t rows, int64_t cols, double work, const real *x, real *top,
                           real *sum) {
    const int64_t chunks = ceil_div(cols, NNF_CHUNK);
    row_stats *part = nnf_alloc((size_t)(rows * chunks) * sizeof *part);
    if (!part)
        return NNF_NO_MEMORY;
    PARALLEL_FOR(i, rows * chunks, work, {
        const int64_t column = i % chunks * NNF_CHUNK;
        part[i] =
            exp_stats(CHUNK, MIN(NNF_CHUNK, cols - column), x + i / chunks * cols + column, NULL);
    });
    for (int64_t row = 0; row < rows; row++) {
        const row_stats s = combine_stats(chunks, part + row * chunks);
        top[row] = s.top[0];
        sum[row] = s.sum[0];
    }
    nnf_free(part);
    return NNF_OK;
}

/* Turns maximum and sum of each row into its loss and log-sum-exp, in place. */
static void losses_of_rows(const problem *p, int64_t begin, int64_t end, real *loss, real *lse) {
    for (int64_t row = begin; row < end; row += VL) {
        const int64_t n = MIN(VL, end - row);
        const vec log_sum = vlog(vload_or(lse + row, n, vset1(1)));
        const vec top = vload_upto(loss + row, n);
        vstore_upto(lse + row, top + log_sum, n);
        for (int64_t i = 0; i < n; i++)
            loss[row + i] = row_loss(p, row + i, top[i], log_sum[i]);
    }
}

int FN(cross_entropy)(int64_t rows, int64_t cols, const real *x, const int64_t *labels,
                      const real *target, const real *weight, int64_t ignore_index,
                      double smoothing, nnf_reduction reduction, real *loss, real *lse) {
    const problem p = {cols, x, labels, target, weight, ignore_index, (real)smoothing};
    const double work = (double)rows * ((double)cols * 1.5 + 5);
    const int64_t block = rows_per_block(cols);
    const bool chunked = cols > NNF_CHUNK;
    real *each = reduction == NNF_NONE ? loss : alloc_reals(rows);
    int status = each ? NNF_OK : NNF_NO_MEMORY;
    if (status == NNF_OK && chunked)
        status = stats_of_chunks(rows, cols, work, x, each, lse);
    if (status == NNF_OK)
        PARALLEL_FOR(i, ceil_div(rows, block), work, {
            const int64_t begin = i * block, end = MIN(rows, begin + block);
            if (!chunked)
                stats_of_rows(begin, end, cols, x, each, lse);
            losses_of_rows(&p, begin, end, each, lse);
        });
    if (status == NNF_OK && reduction != NNF_NONE) {
        const double sum = total(rows, each);
        *loss = (real)(reduction == NNF_MEAN ? sum / total_weight(&p, 0, rows) : sum);
    }
    if (reduction != NNF_NONE)
        nnf_free(each);
    return status;
}

/* dx = scale (mass e^(x - lse) - (1 - s) q - s / cols), without the q of a label; mass: the sum of
 * the target over the row. No x is above lse. */
VINLINE void gradient(const problem *p, int64_t n, const real *x, const real *q, vec lse, vec mass,
                      vec scale, real *dx) {
    const real keep = 1 - p->smoothing, uniform = p->smoothing / (real)p->cols;
    for (int64_t j = 0; j < n; j += VL) {
        vec d = mass * vexp_negative(vload_upto(x + j, n - j) - lse) - uniform;
        if (q)
            d -= keep * vload_upto(q + j, n - j);
        vstore_upto(dx + j, d * scale, n - j);
    }
}

/* A row's label, or that it is ignored. */
static void gradient_of_label(const problem *p, int64_t row, real lse, real scale, real *dx) {
    if (ignored(p, row))
        memset(dx, 0, (size_t)p->cols * sizeof *dx);
    else if (p->labels && isfinite(scale))
        dx[p->labels[row]] -= (1 - p->smoothing) * scale;
    else if (p->labels) { /* once more: the difference of infinities would be NaN */
        const int64_t label = p->labels[row];
        const real d = vexp_negative(vset1(p->x[row * p->cols + label] - lse))[0];
        dx[label] = (d - p->smoothing / (real)p->cols - (1 - p->smoothing)) * scale;
    }
}

static real mass_of_row(const problem *p, int64_t row) {
    if (!p->target)
        return 1;
    const real sum = vsum(lane_dot(p->cols, p->target + row * p->cols, NULL));
    return (1 - p->smoothing) * sum + p->smoothing;
}

static void gradient_of_rows(const problem *p, int64_t begin, int64_t end, const real *lse,
                             const real *scale, real *dx) {
    const int64_t cols = p->cols;
    for (int64_t row = begin; row < end; row++) {
        const real *q = p->target ? p->target + row * cols : NULL;
        gradient(p, cols, p->x + row * cols, q, vset1(lse[row]), vset1(mass_of_row(p, row)),
                 vset1(scale[row]), dx + row * cols);
        gradient_of_label(p, row, lse[row], scale[row], dx + row * cols);
    }
}

static void gradient_of_lanes(const problem *p, int64_t begin, int64_t end, const real *lse,
                              const real *scale, real *dx) {
    real x[LANE_COLS * VL], q[LANE_COLS * VL], d[LANE_COLS * VL];
    const int64_t cols = p->cols;
    for (int64_t row = begin; row < end; row += VL) {
        const int64_t n = MIN(VL, end - row);
        vec mass = vset1(1);
        to_lanes(n, cols, p->x + row * cols, x);
        if (p->target) {
            to_lanes(n, cols, p->target + row * cols, q);
            mass = (1 - p->smoothing) * lane_dot(cols * VL, q, NULL) + p->smoothing;
        }
        gradient(p, cols * VL, x, p->target ? q : NULL, vload_upto(lse + row, n), mass,
                 vload_upto(scale + row, n), d);
        from_lanes(n, cols, d, dx + row * cols);
        for (int64_t i = 0; i < n; i++)
            gradient_of_label(p, row + i, lse[row + i], scale[row + i], dx + (row + i) * cols);
    }
}

int FN(cross_entropy_backward)(int64_t rows, int64_t cols, const real *x, const int64_t *labels,
                               const real *target, const real *lse, const real *weight,
                               const real *dloss, int64_t ignore_index, double smoothing,
                               nnf_reduction reduction, double factor, real *dx) {
    const problem p = {cols, x, labels, target, weight, ignore_index, (real)smoothing};
    real *scale = alloc_reals(rows);
    if (!scale)
        return NNF_NO_MEMORY;
    if (reduction == NNF_MEAN)
        factor /= total_weight(&p, 0, rows);
    for (int64_t row = 0; row < rows; row++)
        scale[row] =
            (real)(factor * (weight ? (double)weight[row] : 1) * (dloss ? (double)dloss[row] : 1));
    const double work = (double)rows * (double)cols * 1.2;
    const int64_t block = cols > NNF_CHUNK ? 1 : rows_per_block(cols);
    PARALLEL_FOR(i, ceil_div(rows, block), work, {
        const int64_t begin = i * block, end = MIN(rows, begin + block);
        if (cols <= LANE_COLS)
            gradient_of_lanes(&p, begin, end, lse, scale, dx);
        else
            gradient_of_rows(&p, begin, end, lse, scale, dx);
    });
    nnf_free(scale);
    return NNF_OK;
}

VINLINE vec square(vec v) { return v * v; }

/* The sum of the squares of n <= NNF_CHUNK errors. */
static double sum_of_squares(int64_t n, const real *x, const real *target) {
    double total_sum = 0;
    for (int64_t i = 0; i < n;) {
        const int64_t end = MIN(n, i + SUM_BLOCK);
        vec part = vzero();
        for (; i < end; i += VL)
            part += square(vload_upto(x + i, n - i) - vload_upto(target + i, n - i));
        total_sum += (double)vsum(part);
    }
    return total_sum;
}

int FN(mse_loss)(int64_t n, const real *x, const real *target, nnf_reduction reduction,
                 real *loss) {
    if (reduction == NNF_NONE) {
        PARALLEL_RANGE(begin, end, n, 0.4,
                       MAP_ROW(begin, end, loss, square(LOAD(x) - LOAD(target))));
        return NNF_OK;
    }
    const int64_t chunks = ceil_div(n, NNF_CHUNK);
    double *part = nnf_alloc((size_t)chunks * sizeof *part);
    if (!part)
        return NNF_NO_MEMORY;
    PARALLEL_RANGE(begin, end, n, 0.3, {
        part[begin / NNF_CHUNK] = sum_of_squares(end - begin, x + begin, target + begin);
    });
    double sum = 0;
    for (int64_t i = 0; i < chunks; i++)
        sum += part[i];
    nnf_free(part);
    *loss = (real)(reduction == NNF_MEAN ? sum / (double)n : sum);
    return NNF_OK;
}

/* noinline: one copy of the code for all threads and one thread. */
__attribute__((noinline)) static void mse_gradient(int64_t begin, int64_t end, const real *x,
                                                   const real *target, const real *dloss, vec scale,
                                                   bool streamed, real *dx) {
    if (dloss)
        MAP_ROW(begin, end, dx, scale * LOAD(dloss) * (LOAD(x) - LOAD(target)));
    else
        MAP_RANGE(begin, end, dx, streamed, scale * (LOAD(x) - LOAD(target)));
    if (streamed)
        vstream_end();
}

int FN(mse_loss_backward)(int64_t n, const real *x, const real *target, const real *dloss,
                          double factor, real *dx) {
    const vec scale = vset1((real)factor);
    const bool streamed = !dloss && streams(n, 2, dx);
    PARALLEL_RANGE(begin, end, n, 0.4,
                   mse_gradient(begin, end, x, target, dloss, scale, streamed, dx));
    return NNF_OK;
}
