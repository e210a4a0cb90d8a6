/* reduce.c: sums, means and maxima over the middle axis: x (outer, len, inner), y (outer, inner).
 *
 * Long axes are cut into chunks by shape alone; each gives partial results (outer, chunk, inner) in
 * double, which are combined pairwise. */
#include "lanes.h"
#include "sum.h"

typedef enum { SUM, MEAN, GREATEST } operation;

enum {
    ROW_CHUNK = 65536,
    COLUMN_CHUNK = 256,
    COLUMN_BLOCK = 1024,
    COMBINED = 32,
    SHORT = MIN(LANE_COLS, SUM_WAYS *SUM_TERMS),
};

/* NaN is the greatest, as for np.max. */
VINLINE double greater(double best, double value) {
    return value > best || value != value ? value : best;
}

VINLINE vec vgreater(vec best, vec value) {
    return vselect((value > best) | (value != value), value, best);
}

/* The greatest of the elements i, i + VL, ... of n, in lane i. A maximum of vectors is faster than
 * vgreater but loses NaN: their sum shows whether there was any (or infinities of both signs). */
VINLINE vec greatest_lanes(int64_t n, const real *x) {
    enum { WAYS = 4 };
    const vec lowest = vset1((real)-INFINITY);
    vec best[WAYS] = {lowest, lowest, lowest, lowest};
    vec sum[WAYS] = {vzero(), vzero(), vzero(), vzero()};
    int64_t i = 0;
    for (; i + WAYS * VL <= n; i += WAYS * VL)
        for (int j = 0; j < WAYS; j++) {
            const vec value = vload(x + i + j * VL);
            sum[j] += value;
            best[j] = vmax(best[j], value);
        }
    for (; i < n; i += VL) {
        const vec value = vload_or(x + i, n - i, lowest);
        sum[0] += value;
        best[0] = vmax(best[0], value);
    }
    const vec total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    vec greatest = vmax(vmax(best[0], best[1]), vmax(best[2], best[3]));
    if (vany(total != total)) {
        greatest = lowest;
        for (i = 0; i < n; i += VL)
            greatest = vgreater(greatest, vload_or(x + i, n - i, lowest));
    }
    return greatest;
}

static double greatest_of(int64_t n, const real *x) {
    const vec lanes = greatest_lanes(n, x);
    return vany(lanes != lanes) ? (double)NAN : (double)vmax_lanes(lanes)[0];
}

/* Reduce `rows` rows of `width` columns, `pitch` apart, to result (width). */
static void add_columns(int64_t rows, int64_t width, int64_t pitch, const real *x, double *result) {
    double sum[COLUMN_BLOCK];
    for (int64_t first = 0; first < width; first += COLUMN_BLOCK) {
        const int64_t columns = MIN(COLUMN_BLOCK, width - first);
        memset(sum, 0, (size_t)round_up(columns, VL) * sizeof *sum);
        const real *row = x + first;
        int64_t i = 0;
        for (; i + 8 <= rows; i += 8, row += 8 * pitch)
            for (int64_t j = 0; j < columns; j += VL) {
                vec v[8];
                NNF_EACH (k, 8)
                    v[k] = vload_upto(row + k * pitch + j, columns - j);
                vadd_wide(sum + j,
                          ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])));
            }
        for (; i < rows; i++, row += pitch)
            for (int64_t j = 0; j < columns; j += VL)
                vadd_wide(sum + j, vload_upto(row + j, columns - j));
        memcpy(result + first, sum, (size_t)columns * sizeof *sum);
    }
}

static void greatest_columns(int64_t rows, int64_t width, int64_t pitch, const real *x,
                             double *restrict result) {
    const vec lowest = vset1((real)-INFINITY);
    real best[COLUMN_BLOCK];
    for (int64_t j = 0; j < width; j += VL)
        vstore(best + j, lowest);
    for (int64_t i = 0; i < rows; i += 4, x += 4 * pitch)
        for (int64_t j = 0; j < width; j += VL) {
            vec greatest = vload(best + j);
            for (int64_t k = 0; k < MIN(4, rows - i); k++)
                greatest = vgreater(greatest, vload_or(x + k * pitch + j, width - j, lowest));
            vstore(best + j, greatest);
        }
    for (int64_t j = 0; j < width; j++)
        result[j] = (double)best[j];
}

static double reduce_row(operation op, int64_t len, const real *x) {
    return op == GREATEST ? greatest_of(len, x) : sum_of(len, x);
}

static void reduce_chunk(operation op, int64_t rows, int64_t width, int64_t inner, const real *x,
                         double *result) {
    if (inner == 1)
        *result = reduce_row(op, rows, x);
    else if (op == GREATEST)
        greatest_columns(rows, width, inner, x, result);
    else
        add_columns(rows, width, inner, x, result);
}

/* Combines n rows of `width` <= COMBINED partial results, `pitch` apart, pairwise: result (width).
 * noinline, as for sum_of. */
__attribute__((noinline)) static void combine(operation op, int64_t n, int64_t width, int64_t pitch,
                                              const double *partial, double *result) {
    if (n == 1) {
        memcpy(result, partial, (size_t)width * sizeof *result);
        return;
    }
    double other[COMBINED];
    combine(op, n / 2, width, pitch, partial, result);
    combine(op, n - n / 2, width, pitch, partial + n / 2 * pitch, other);
    for (int64_t j = 0; j < width; j++)
        result[j] = op == GREATEST ? greater(result[j], other[j]) : result[j] + other[j];
}

/* y (width) = chunks of partial results (chunks, width) combined, over the divisor. */
static void finish_columns(operation op, int64_t chunks, int64_t width, int64_t pitch,
                           const double *partial, double divisor, real *y) {
    for (int64_t j = 0; j < width; j += COMBINED) {
        const int64_t columns = MIN(COMBINED, width - j);
        double result[COMBINED];
        combine(op, chunks, columns, pitch, partial + j, result);
        for (int64_t i = 0; i < columns; i++)
            y[j + i] = (real)(result[i] / divisor);
    }
}

/* noinline: the compiler would warn of lanes that a row of no elements leaves unwritten. */
__attribute__((noinline)) static vec reduce_lanes(operation op, int64_t n, const real *lanes) {
    return op == GREATEST ? greatest_lanes(n, lanes) : sum_lanes(n, lanes);
}

/* Rows of len <= SHORT numbers: x (rows, len), y (rows). */
static void reduce_short_rows(operation op, int64_t rows, int64_t len, const real *x, real *y) {
    const real divisor = op == MEAN ? (real)len : 1;
    const int64_t group = round_up(NNF_CHUNK / MAX(1, len), VL);
    PARALLEL_FOR(index, ceil_div(rows, group), (0.1 * (double)len + 0.5) * (double)rows, {
        const int64_t end = MIN((index + 1) * group, rows);
        for (int64_t row = index * group; row < end; row += VL) {
            real lanes[LANE_COLS * VL];
            to_lanes(MIN(VL, end - row), len, x + row * len, lanes);
            vstore_upto(y + row, reduce_lanes(op, len * VL, lanes) / divisor, end - row);
        }
    });
}

/* Longer rows, in one piece each: x (rows, len), y (rows). */
static void reduce_rows(operation op, int64_t rows, int64_t len, const real *x, real *y) {
    const double divisor = op == MEAN ? (double)len : 1;
    const int64_t group = MAX(1, ROW_CHUNK / len);
    PARALLEL_FOR(index, ceil_div(rows, group), 0.1 * (double)(rows * len), {
        for (int64_t row = index * group; row < MIN((index + 1) * group, rows); row++)
            y[row] = (real)(reduce_row(op, len, x + row * len) / divisor);
    });
}

static int reduce(operation op, int64_t outer, int64_t len, int64_t inner, const real *x, real *y) {
    if (outer == 0 || inner == 0)
        return NNF_OK;
    if (inner == 1 && len <= SHORT) {
        reduce_short_rows(op, outer, len, x, y);
        return NNF_OK;
    }
    if (inner == 1 && len <= ROW_CHUNK) {
        reduce_rows(op, outer, len, x, y);
        return NNF_OK;
    }
    const int64_t length = inner == 1 ? ROW_CHUNK : COLUMN_CHUNK, width = MIN(inner, COLUMN_BLOCK);
    const int64_t chunks = MAX(1, ceil_div(len, length)), blocks = ceil_div(inner, width);
    const int64_t group = MAX(1, ROW_CHUNK / MAX(1, MIN(len, length) * width));
    const int64_t groups = ceil_div(outer, group);
    const double divisor = op == MEAN ? (double)len : 1;
    double *partial = NULL;
    if (chunks > 1 && !(partial = nnf_alloc((size_t)(outer * chunks * inner) * sizeof(double))))
        return NNF_NO_MEMORY;
    PARALLEL_FOR(task, groups * chunks * blocks, 0.1 * (double)(outer * len * inner), {
        const int64_t column = task % blocks * width, k = task / blocks % chunks;
        const int64_t columns = MIN(width, inner - column), rows = MIN(length, len - k * length);
        const int64_t first = task / blocks / chunks * group;
        for (int64_t o = first; o < MIN(first + group, outer); o++) {
            const real *part = x + (o * len + k * length) * inner + column;
            double result[COLUMN_BLOCK];
            double *to = partial ? partial + (o * chunks + k) * inner + column : result;
            reduce_chunk(op, rows, columns, inner, part, to);
            for (int64_t j = 0; !partial && j < columns; j++)
                y[o * inner + column + j] = (real)(result[j] / divisor);
        }
    });
    if (partial)
        PARALLEL_FOR(task, outer * blocks, 0.3 * (double)(outer * chunks * inner), {
            const int64_t o = task / blocks, column = task % blocks * width;
            finish_columns(op, chunks, MIN(width, inner - column), inner,
                           partial + o * chunks * inner + column, divisor, y + o * inner + column);
        });
    nnf_free(partial);
    return NNF_OK;
}

int FN(sum_columns)(int64_t len, int64_t width, int64_t pitch, const real *x, real *y) {
    const int64_t chunks = MAX(1, ceil_div(len, COLUMN_CHUNK));
    double *const partial = nnf_alloc((size_t)(chunks * width) * sizeof *partial);
    if (!partial)
        return NNF_NO_MEMORY;
    for (int64_t k = 0; k < chunks; k++)
        add_columns(MIN(COLUMN_CHUNK, len - k * COLUMN_CHUNK), width, pitch,
                    x + k * COLUMN_CHUNK * pitch, partial + k * width);
    finish_columns(SUM, chunks, width, width, partial, 1, y);
    nnf_free(partial);
    return NNF_OK;
}

int FN(reduce_sum)(int64_t outer, int64_t len, int64_t inner, const real *x, real *y) {
    return reduce(SUM, outer, len, inner, x, y);
}

int FN(reduce_mean)(int64_t outer, int64_t len, int64_t inner, const real *x, real *y) {
    return reduce(MEAN, outer, len, inner, x, y);
}

int FN(reduce_max)(int64_t outer, int64_t len, int64_t inner, const real *x, real *y) {
    return reduce(GREATEST, outer, len, inner, x, y);
}
