/* embedding.c: rows of a table by their numbers, and the gradient of the table: indices (n),
 * weight, dweight (rows, dim), y, dy (n, dim); sparse: the numbers found, ascending (count <= n),
 * and the gradients of those rows alone, values (count, dim).
 *
 * For the gradient the positions are sorted by index. Each row of the result then is made in one
 * go, from its own positions in their order, whichever thread does it. */
#include "real.h"

enum { BLOCK = 8192 }; /* elements in one item of parallel work */

static bool all_in_range(int64_t n, const int64_t *indices, int64_t rows) {
    bool in = true;
    for (int64_t i = 0; i < n; i++)
        in &= (uint64_t)indices[i] < (uint64_t)rows;
    return in;
}

static int64_t rows_per_block(int64_t dim) { return ceil_div(BLOCK, MAX(1, dim)); }

int FN(embedding)(int64_t n, int64_t dim, int64_t rows, const int64_t *indices, const real *weight,
                  real *y) {
    if (!all_in_range(n, indices, rows))
        return NNF_BAD_INDEX;
    const int64_t block = rows_per_block(dim);
    PARALLEL_FOR(b, ceil_div(n, block), 0.2 * (double)n * (double)dim, {
        for (int64_t i = b * block; i < MIN(n, (b + 1) * block); i++)
            memcpy(y + i * dim, weight + indices[i] * dim, (size_t)dim * sizeof *y);
    });
    return NNF_OK;
}

typedef struct {
    int64_t row, at; /* an index, and its position among the n */
} entry;

/* The positions sorted by index, equal ones in their order: by one byte of the index after another,
 * from the lowest. They lie somewhere in `room`, which is for 2 n. */
static const entry *sort_positions(int64_t n, const int64_t *indices, int64_t rows, entry *room) {
    entry *from = room, *to = room + n;
    for (int64_t i = 0; i < n; i++)
        from[i] = (entry){indices[i], i};
    for (int shift = 0; (rows - 1) >> shift > 0; shift += 8) {
        int64_t next[257] = {0};
        for (int64_t i = 0; i < n; i++)
            next[(from[i].row >> shift & 255) + 1]++;
        for (int byte = 0; byte < 256; byte++)
            next[byte + 1] += next[byte];
        for (int64_t i = 0; i < n; i++)
            to[next[from[i].row >> shift & 255]++] = from[i];
        entry *const sorted = to;
        to = from;
        from = sorted;
    }
    return from;
}

/* The first of n sorted entries with this row, or one above it. */
static int64_t lower_bound(int64_t n, const entry *sorted, int64_t row) {
    int64_t low = 0;
    for (int64_t high = n; low < high;) {
        const int64_t middle = low + (high - low) / 2;
        if (sorted[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Adds up the rows of dy at the positions [begin, end) of the sorted ones, one at least. */
static void add_positions(int64_t begin, int64_t end, const entry *sorted, int64_t dim,
                          const real *dy, real *sum) {
    memcpy(sum, dy + sorted[begin].at * dim, (size_t)dim * sizeof *sum);
    for (int64_t i = begin + 1; i < end; i++) {
        const real *const more = dy + sorted[i].at * dim;
        for (int64_t j = 0; j < dim; j++)
            sum[j] += more[j];
    }
}

/* The end of the entries that have the row of the one at `begin`. */
static int64_t end_of_row(int64_t begin, int64_t n, const entry *sorted) {
    int64_t end = begin + 1;
    while (end < n && sorted[end].row == sorted[begin].row)
        end++;
    return end;
}

int FN(embedding_backward)(int64_t n, int64_t dim, int64_t rows, const real *dy,
                           const int64_t *indices, real *dweight) {
    if (!all_in_range(n, indices, rows))
        return NNF_BAD_INDEX;
    entry *const room = nnf_alloc((size_t)(2 * n) * sizeof *room);
    if (!room)
        return NNF_NO_MEMORY;
    const entry *const sorted = sort_positions(n, indices, rows, room);
    const int64_t block = rows_per_block(dim);
    PARALLEL_FOR(b, ceil_div(rows, block), 0.2 * (double)(n + rows) * (double)dim, {
        const int64_t end = MIN(rows, (b + 1) * block);
        int64_t i = lower_bound(n, sorted, b * block);
        for (int64_t row = b * block; row < end; row++) {
            const int64_t zeros = (i < n ? MIN(end, sorted[i].row) : end) - row;
            memset(dweight + row * dim, 0, (size_t)(zeros * dim) * sizeof *dweight);
            row += zeros;
            if (row < end) {
                const int64_t begin = i;
                i = end_of_row(begin, n, sorted);
                add_positions(begin, i, sorted, dim, dy, dweight + row * dim);
            }
        }
    });
    nnf_free(room);
    return NNF_OK;
}

int FN(embedding_backward_rows)(int64_t n, int64_t dim, int64_t rows, const real *dy,
                                const int64_t *indices, int64_t *found, int64_t *count,
                                real *values) {
    if (!all_in_range(n, indices, rows))
        return NNF_BAD_INDEX;
    entry *const room = nnf_alloc((size_t)(2 * n) * sizeof *room);
    int64_t *const begin = nnf_alloc((size_t)(n + 1) * sizeof *begin);
    const int status = room && begin ? NNF_OK : NNF_NO_MEMORY;
    if (status == NNF_OK) {
        const entry *const sorted = sort_positions(n, indices, rows, room);
        int64_t k = 0;
        for (int64_t i = 0; i < n; i = end_of_row(i, n, sorted)) {
            found[k] = sorted[i].row;
            begin[k++] = i;
        }
        begin[k] = n;
        *count = k;
        const int64_t block = rows_per_block(dim);
        PARALLEL_FOR(b, ceil_div(k, block), 0.2 * (double)n * (double)dim, {
            for (int64_t i = b * block; i < MIN(k, (b + 1) * block); i++)
                add_positions(begin[i], begin[i + 1], sorted, dim, dy, values + i * dim);
        });
    }
    nnf_free(room);
    nnf_free(begin);
    return status;
}
