/* layernorm.c: layer normalisation of each row of x, y, dx, dy (rows, cols): mean, rstd = 1 /
 * sqrt(variance + eps) (rows); weight, bias and their gradients (cols).
 *
 * Up to VL rows are taken at a time, few enough that they stay in the first-level cache between
 * the two passes. The first adds up each row in vectors; the horizontal sums of all rows, and what
 * follows from them, are done at once then, a row in each lane. What happens to a row does not
 * depend on the others.
 *
 * A lane sums deviations from the mean of its first UNROLL values of a block, so that at worst a
 * factor of SUM_BLOCK / (UNROLL VL) cancels; blocks and lanes are combined as in Chan, Golub and
 * LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979. */
#include "real.h"

enum {
    UNROLL = 4,
    SUM_BLOCK = 16 * UNROLL * VL, /* terms added up before they go to the total: less rounding */
    GROUP_BYTES = 16384,          /* of the input rows taken at a time */
    CHUNK = 8192,                 /* elements in one item of parallel work, at least */
    MOST_CHUNKS = 64,             /* partial sums of a column: set by the shape alone */
};

VINLINE vec sum_of_four(const vec v[UNROLL]) { return (v[0] + v[1]) + (v[2] + v[3]); }

/* What each lane has seen: the sum; the mean, base + offset, to more digits than one number has;
 * and the sum of squared deviations from it. */
typedef struct {
    vec sum, base, offset, squares;
} moments;

/* How many of n values each lane has. */
VINLINE vec lane_counts(int64_t n) {
    return (real)(n / VL) + vselect(vfirst(n % VL), vset1(1), vzero());
}

/* n <= SUM_BLOCK values, of which each lane has 1 / per. Deviations are base - x: this way round x
 * is read where it is used. */
VINLINE moments block_moments(int64_t n, const real *x, vec per) {
    vec first[UNROLL], sum[UNROLL] = {vzero()}, squares[UNROLL] = {vzero()};
    const bool many = n >= UNROLL * VL;
    for (int k = 0; k < UNROLL; k++)
        first[k] = many ? vload(x + k * VL) : vload_upto(x, n);
    vec base = sum_of_four(first) / UNROLL;
    base = vselect(base - base == 0, base, vzero()); /* inf - inf would make the mean NaN */
    int64_t j = 0;
    for (; j + UNROLL * VL <= n; j += UNROLL * VL)
        for (int k = 0; k < UNROLL; k++) {
            const vec d = base - vload(x + j + k * VL);
            sum[k] += d;
            squares[k] += d * d;
        }
    for (; j < n; j += VL) {
        const vec d = base - vload_or(x + j, n - j, base);
        sum[0] += d;
        squares[0] += d * d;
    }
    const vec total = sum_of_four(sum), offset = -total * per, most = sum_of_four(squares);
    const vec least = most + total * offset; /* NaN of infinite squares */
    return (moments){lane_counts(n) * base - total, base, offset,
                     vselect(least == least, least, most)};
}

/* counts: how many values each lane has of the first block, per: their reciprocals. */
VINLINE moments row_moments(int64_t n, const real *x, vec counts, vec per) {
    moments all = block_moments(MIN(n, SUM_BLOCK), x, per);
    for (int64_t j = SUM_BLOCK; j < n; j += SUM_BLOCK) {
        const int64_t size = MIN(n - j, SUM_BLOCK);
        const vec more = lane_counts(size), share = more / (counts + more);
        const moments block = block_moments(size, x + j, 1 / vmax(vset1(1), more));
        const vec apart = (block.base - all.base) + (block.offset - all.offset);
        all.sum += block.sum;
        all.offset += apart * share;
        all.squares += block.squares + apart * apart * counts * share;
        counts += more;
    }
    return all;
}

/* A row's numbers: y = ((x - near) rstd - rest) weight + bias. */
typedef struct {
    vec near, rstd, rest;
} normal_row;

/* Columns [j, j + n), n <= VL, of `rows` rows: two of them load weight and bias once. */
VINLINE void normalise(int rows, const normal_row *row, int64_t j, int64_t n, int64_t cols,
                       const real *x, const real *weight, const real *bias, real *y) {
    const vec w = vload_upto(weight + j, n), b = vload_upto(bias + j, n);
    for (int i = 0; i < rows; i++) {
        const vec d = row[i].near - vload_upto(x + i * cols + j, n);
        vstore_upto(y + i * cols + j, (-d * row[i].rstd - row[i].rest) * w + b, n);
    }
}

VINLINE void normalise_rows(int rows, int64_t cols, const real *x, const real *near,
                            const real *rstd, const real *rest, const real *weight,
                            const real *bias, real *y) {
    normal_row row[2];
    int64_t j = 0;
    for (int i = 0; i < rows; i++)
        row[i] = (normal_row){vset1(near[i]), vset1(rstd[i]), vset1(rest[i])};
    for (; j + VL <= cols; j += VL)
        normalise(rows, row, j, VL, cols, x, weight, bias, y);
    if (j < cols)
        normalise(rows, row, j, cols - j, cols, x, weight, bias, y);
}

static void forward_group(int64_t rows, int64_t cols, double eps, const real *x, const real *weight,
                          const real *bias, real *y, real *mean, real *rstd) {
    const vec counts = lane_counts(cols), all = vset1((real)cols);
    const vec first = lane_counts(MIN(cols, SUM_BLOCK)), per = 1 / vmax(vset1(1), first);
    vec sum[VL] = {vzero()}, squares[VL] = {vzero()};
    moments of[VL];
    real near[VL], scale[VL], rest[VL];
    for (int64_t i = 0; i < rows; i++) {
        of[i] = row_moments(cols, x + i * cols, first, per);
        sum[i] = of[i].sum;
    }
    const vec rounded = vsum_each(sum) / all;
    vstore(near, rounded);
    for (int64_t i = 0; i < rows; i++) {
        const vec apart = (of[i].base - near[i]) + of[i].offset;
        sum[i] = counts * apart;
        squares[i] = of[i].squares + counts * apart * apart;
    }
    const vec off = vsum_each(sum) / all; /* the means are rounded + off, unless infinite */
    const vec variance = vmax(vzero(), vsum_each(squares) / all - off * off);
    const vec inverse = 1 / vsqrt(variance + (real)eps);
    vstore_upto(mean, vselect(rounded - rounded == 0, rounded + off, rounded), rows);
    vstore_upto(rstd, inverse, rows);
    vstore(scale, inverse);
    vstore(rest, off * inverse);
    int64_t i = 0;
    for (; i + 2 <= rows; i += 2)
        normalise_rows(2, cols, x + i * cols, near + i, scale + i, rest + i, weight, bias,
                       y + i * cols);
    if (i < rows)
        normalise_rows(1, cols, x + i * cols, near + i, scale + i, rest + i, weight, bias,
                       y + i * cols);
}

/* Rows that are taken at a time, and in one item of parallel work. */
static int64_t group_rows(int64_t cols, int64_t arrays) {
    const int64_t fit = GROUP_BYTES / (cols * arrays * (int64_t)sizeof(real));
    return MAX(1, MIN(VL, fit));
}

static int64_t chunk_rows(int64_t rows, int64_t cols) {
    const int64_t least = MAX(ceil_div(CHUNK, cols), ceil_div(rows, MOST_CHUNKS));
    return round_up(least, VL);
}

/* `vector`, or for NULL n times `value`, to be freed through *scratch. */
static const real *or_all(const real *vector, int64_t n, real value, real **scratch) {
    *scratch = vector ? NULL : alloc_reals(n);
    for (int64_t i = 0; *scratch && i < n; i++)
        (*scratch)[i] = value;
    return vector ? vector : *scratch;
}

int FN(layer_norm)(int64_t rows, int64_t cols, double eps, const real *x, const real *weight,
                   const real *bias, real *y, real *mean, real *rstd) {
    real *ones, *zeros;
    const real *w = or_all(weight, cols, 1, &ones), *b = or_all(bias, cols, 0, &zeros);
    const int status = w && b ? NNF_OK : NNF_NO_MEMORY;
    const int64_t chunk = chunk_rows(rows, cols), group = group_rows(cols, 1);
    if (status == NNF_OK)
        PARALLEL_FOR(c, ceil_div(rows, chunk), 0.2 * (double)rows * (double)cols, {
            const int64_t end = MIN(rows, (c + 1) * chunk);
            for (int64_t i = c * chunk; i < end; i += group)
                forward_group(MIN(group, end - i), cols, eps, x + i * cols, w, b, y + i * cols,
                              mean + i, rstd + i);
        });
    nnf_free(ones);
    nnf_free(zeros);
    return status;
}

/* A row, and the gradients of the columns, to which it adds. */
typedef struct {
    const real *dy, *x, *weight;
    real *dweight, *dbias;
    vec mean, rstd;
} gradient_row;

/* Columns [j, j + n), n <= VL: adds g = dy weight and g (mean - x) to the sums. */
VINLINE void gradient_terms(const gradient_row *r, int64_t j, int64_t n, vec *sum, vec *product) {
    const vec e = vload_upto(r->dy + j, n), d = r->mean - vload_or(r->x + j, n, r->mean);
    const vec g = e * vload_upto(r->weight + j, n);
    const vec dw = vload_upto(r->dweight + j, n), db = vload_upto(r->dbias + j, n);
    *sum += g;
    *product += g * d;
    vstore_upto(r->dweight + j, dw - e * r->rstd * d, n);
    vstore_upto(r->dbias + j, db + e, n);
}

VINLINE void gradient_sums(int64_t n, const gradient_row *r, vec *sum, vec *product) {
    *sum = *product = vzero();
    for (int64_t j = 0; j < n;) {
        const int64_t end = MIN(n, j + SUM_BLOCK);
        vec s[UNROLL] = {vzero()}, p[UNROLL] = {vzero()};
        for (; j + UNROLL * VL <= end; j += UNROLL * VL)
            for (int k = 0; k < UNROLL; k++)
                gradient_terms(r, j + k * VL, VL, &s[k], &p[k]);
        for (; j < end; j += VL)
            gradient_terms(r, j, MIN(VL, end - j), &s[0], &p[0]);
        *sum += sum_of_four(s);
        *product += sum_of_four(p);
    }
}

/* Columns [j, j + n), n <= VL: dx = dy weight rstd + (mean - x) slope - offset. */
VINLINE void input_gradient(const gradient_row *r, int64_t j, int64_t n, vec slope, vec offset,
                            real *dx) {
    const vec d = r->mean - vload_upto(r->x + j, n);
    const vec g = vload_upto(r->dy + j, n) * vload_upto(r->weight + j, n);
    vstore_upto(dx + j, g * r->rstd + (d * slope - offset), n);
}

VINLINE void input_gradients(int64_t n, const gradient_row *r, vec slope, vec offset, real *dx) {
    int64_t j = 0;
    for (; j + UNROLL * VL <= n; j += UNROLL * VL)
        for (int k = 0; k < UNROLL; k++)
            input_gradient(r, j + k * VL, VL, slope, offset, dx);
    for (; j < n; j += VL)
        input_gradient(r, j, MIN(VL, n - j), slope, offset, dx);
}

static void backward_group(int64_t rows, int64_t cols, const real *dy, const real *x,
                           const real *mean, const real *rstd, const real *weight, real *dx,
                           real *dweight, real *dbias) {
    vec sum[VL] = {vzero()}, product[VL] = {vzero()};
    real offset[VL], slope[VL];
    gradient_row row[VL];
    for (int64_t i = 0; i < rows; i++) {
        row[i] = (gradient_row){dy + i * cols, x + i * cols,   weight,        dweight,
                                dbias,         vset1(mean[i]), vset1(rstd[i])};
        const gradient_row r = row[i];
        gradient_sums(cols, &r, &sum[i], &product[i]);
    }
    const vec scale = vload_upto(rstd, rows), share = scale / (real)cols;
    vstore(offset, vsum_each(sum) * share);
    vstore(slope, vsum_each(product) * share * scale * scale);
    for (int64_t i = 0; i < rows; i++) {
        const gradient_row r = row[i];
        input_gradients(cols, &r, vset1(-slope[i]), vset1(offset[i]), dx + i * cols);
    }
}

/* The sum of the rows of a (rows, pitch), for its first n columns. */
static void add_rows(int64_t rows, int64_t n, int64_t pitch, const real *a, real *sum) {
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            sum[j] += a[i * pitch + j];
}

int FN(layer_norm_backward)(int64_t rows, int64_t cols, const real *dy, const real *x,
                            const real *mean, const real *rstd, const real *weight, real *dx,
                            real *dweight, real *dbias) {
    const int64_t chunk = chunk_rows(rows, cols), group = group_rows(cols, 2);
    const int64_t chunks = ceil_div(rows, chunk), pitch = 2 * cols;
    real *ones, *part = alloc_reals(MAX(1, chunks) * pitch);
    const real *w = or_all(weight, cols, 1, &ones);
    const int status = w && part ? NNF_OK : NNF_NO_MEMORY;
    if (status == NNF_OK) {
        PARALLEL_FOR(c, chunks, 0.3 * (double)rows * (double)cols, {
            const int64_t end = MIN(rows, (c + 1) * chunk);
            real *const dw = part + c * pitch, *const db = dw + cols;
            memset(dw, 0, (size_t)pitch * sizeof *dw);
            for (int64_t i = c * chunk; i < end; i += group)
                backward_group(MIN(group, end - i), cols, dy + i * cols, x + i * cols, mean + i,
                               rstd + i, w, dx + i * cols, dw, db);
        });
        add_rows(chunks, cols, pitch, part, dweight);
        add_rows(chunks, cols, pitch, part + cols, dbias);
    }
    nnf_free(part);
    nnf_free(ones);
    return status;
}
