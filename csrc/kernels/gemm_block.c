/* gemm_block.c: a block of a matrix product, tile by tile: c (m, vectors, VL) = a (m, k) b (k,
 * vectors, VL), finished while the sums are in registers.
 *
 * Every element is summed over its depths in ascending order in one register: neither the tiling
 * nor the thread count changes its bits.
 */
#include "elementwise.h"
#include "gemm_micro.h"

/* Lines, `step` reals apart, of which a tile fetches one with each turn. */
typedef struct {
    const real *from;
    int64_t step;
} lines;

/* A tile of `rows` x `vectors`, from element `offset` of a and from b on. */
VINLINE void sum_tile(int rows, int vectors, const gemm_left *a, int64_t offset, const real *b,
                      const gemm_right *right, lines next, tile *t) {
    clear(rows, vectors, t);
    if (a->row == 1) /* a line ahead is fetched: depths lie pages apart */
        accumulate(rows, vectors, a->k, a->a + offset, 1, a->depth, LINE, b, right->depth,
                   right->vector, t);
    else if (rows == MR && vectors == NV)
        accumulate_rows(a->k, a->a + offset, a->row, b, right->depth, right->vector, next.from,
                        next.step, t);
    else
        accumulate(rows, vectors, a->k, a->a + offset, a->row, 1, 0, b, right->depth, right->vector,
                   t);
}

/* A tile of one vector with numbers in its first half only. */
VINLINE void sum_half_tile(int rows, const gemm_left *a, int64_t offset, const real *b,
                           const gemm_right *right, tile *t) {
    hvec sum[MR];
    NNF_EACH (i, rows)
        sum[i] = (hvec){0};
    if (a->row == 1)
        accumulate_half(rows, a->k, a->a + offset, 1, a->depth, b, right->depth, sum);
    else
        accumulate_half(rows, a->k, a->a + offset, a->row, 1, b, right->depth, sum);
    NNF_EACH (i, rows)
        t->sum[i][0] = vfrom_half(sum[i]);
}
static bool is_half(const gemm_column *out) { return HALVES_PAY && out->width <= VL / 2; }

VINLINE vec finish_vector(vec x, const gemm_finish *f, int64_t row, const real *bias, const real *c,
                          int64_t width) {
    if (f->accumulate)
        x += vload_upto(c, width);
    if (f->row_scale)
        x *= vset1(f->row_scale[row]);
    if (f->row_bias)
        x += vset1(f->row_bias[row]);
    if (bias)
        x += vload_upto(bias, width);
    return activate(x, f->act);
}

/* A whole tile of whole vectors, of which the compiler is told what does not happen to them. */
VINLINE void finish_vectors(const tile *t, gemm_finish f, int64_t row, bool has_bias,
                            const gemm_column *out, int64_t ldc) {
    real *const c[NV] = {out[0].c + row * ldc, out[1].c + row * ldc};
    NNF_EACH (i, MR)
        NNF_EACH (v, NV)
            vput(c[v] + i * ldc,
                 finish_vector(t->sum[i][v], &f, row + i, has_bias ? out[v].bias : NULL,
                               c[v] + i * ldc, VL),
                 f.stream);
}

/* Whatever is asked for; of a copy, so that the sums of a tile can stay registers. */
VINLINE void finish_any(int vectors, const tile *t, gemm_finish f, int64_t row,
                        const gemm_column *out, int64_t ldc) {
    for (int i = 0; i < MR; i++)
        NNF_EACH (v, vectors) {
            real *const c = out[v].c + (row + i) * ldc;
            vput(c, finish_vector(t->sum[i][v], &f, row + i, out[v].bias, c, VL), f.stream);
        }
}

__attribute__((noinline)) static void finish_copy(int vectors, const tile *t, const gemm_finish *f,
                                                  int64_t row, const gemm_column *out,
                                                  int64_t ldc) {
    if (vectors == NV)
        finish_any(NV, t, *f, row, out, ldc);
    else
        finish_any(NV_LAST, t, *f, row, out, ldc);
}

/* The usual cases: nothing is added, or what is there, or a bias of rows or of columns. Next to 512
 * bits it is little work to ask for each vector. */
VINLINE void finish_tile(const tile *t, const gemm_finish *f, int64_t row, const gemm_column *out,
                         int64_t ldc) {
    const bool bias = out[0].bias, linear = f->act == NNF_LINEAR && !f->row_scale;
    gemm_finish one = {.stream = f->stream, .act = NNF_LINEAR};
    if (linear && !f->accumulate && !f->row_bias && !bias) {
        finish_vectors(t, one, row, false, out, ldc);
    } else if (PACKED_PAYS && linear && !f->row_bias && !bias) {
        one.accumulate = true;
        finish_vectors(t, one, row, false, out, ldc);
    } else if (PACKED_PAYS && linear && !f->accumulate && !bias) {
        one.row_bias = f->row_bias;
        finish_vectors(t, one, row, false, out, ldc);
    } else if (PACKED_PAYS && linear && !f->accumulate && !f->row_bias) {
        finish_vectors(t, one, row, true, out, ldc);
    } else {
        const tile copy = *t;
        finish_copy(NV, &copy, f, row, out, ldc);
    }
}

/* Tiles at the edges, of fewer rows or another number of vectors. */
static void edge_tile(int64_t rows, int64_t vectors, const gemm_left *a, int64_t offset,
                      const real *b, const gemm_right *right, const gemm_finish *f, int64_t row,
                      const gemm_column *out, int64_t ldc) {
    const lines none = {b, 0};
    tile t;
    if (vectors == NV)
        NNF_ROWS(rows, sum_tile(ROWS, NV, a, offset, b, right, none, &t))
    else if (vectors == NV_LAST)
        sum_tile(MR, NV_LAST, a, offset, b, right, none, &t);
    else if (is_half(out))
        NNF_ROWS(rows, sum_half_tile(ROWS, a, offset, b, right, &t))
    else
        NNF_ROWS(rows, sum_tile(ROWS, 1, a, offset, b, right, none, &t))
    if (vectors > NV && out[vectors - 1].width == VL) {
        finish_copy(NV_LAST, &t, f, row, out, ldc);
        return;
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            real *const c = out[v].c + (row + i) * ldc;
            const int64_t width = out[v].width;
            const vec x = finish_vector(t.sum[i][v], f, row + i, out[v].bias, c, width);
            vstore_upto(c, x, width);
        }
}

/* Fetches what will be added to, or written: the lines of both ends, as vectors of c start
 * anywhere. */
VINLINE void fetch_tile(const gemm_column *out, int64_t row, int64_t ldc) {
    NNF_EACH (i, MR)
        if (PACKED_PAYS) {
            __builtin_prefetch(out[0].c + (row + i) * ldc, 1);
            __builtin_prefetch(out[NV - 1].c + (row + i) * ldc + VL - 1, 1);
        }
}

/* noinline: among the code of gemm_block sums of tiles would be spilled. */
__attribute__((noinline)) static void whole_tile(const gemm_left *a, int64_t offset, const real *b,
                                                 const gemm_right *right, lines next,
                                                 const gemm_finish *f, int64_t row,
                                                 const gemm_column *out, int64_t ldc) {
    tile t;
    if (!f->stream)
        fetch_tile(out, row, ldc);
    sum_tile(MR, NV, a, offset, b, right, next, &t);
    finish_tile(&t, f, row, out, ldc);
}

/* The last column or few, of a that lies column by column: lanes are rows, as of half a vector of
 * columns most would be nothing. In pairs of tiles, whose eight sums hide the latency of adding. */
__attribute__((noinline)) static void narrow_tiles(int tiles, const gemm_left *a, int64_t offset,
                                                   const real *b, const gemm_right *right,
                                                   const gemm_finish *f, int64_t row,
                                                   const gemm_column *out, int64_t ldc) {
    hvec sum[2][NARROW] = {{{0}}};
    if (tiles == 2)
        accumulate_narrow(2, a->k, a->a + offset, a->tile, a->depth, b, right->depth, sum);
    else
        accumulate_narrow(1, a->k, a->a + offset, a->tile, a->depth, b, right->depth, sum);
    for (int i = 0; i < tiles; i++)
        for (int lane = 0; lane < VL / 2; lane++, row++) {
            real *const c = out->c + row * ldc;
            vec x = vzero();
            NNF_EACH (j, NARROW)
                x[j] = sum[i][j][lane];
            vstore_upto(c, finish_vector(x, f, row, out->bias, c, out->width), out->width);
        }
}
static bool is_narrow(const gemm_left *a, const gemm_column *out) {
    return NARROW_PAYS && a->row == 1 && out->width <= NARROW;
}

static bool is_packed(const gemm_left *a, const gemm_right *b) {
    return PACKED_PAYS && a->row == 1 && a->depth == MR && b->depth == VL;
}

__attribute__((noinline)) static void whole_packed_tile(int64_t k, const real *a, const real *b,
                                                        int64_t b_vector, lines next,
                                                        const gemm_finish *f, int64_t row,
                                                        const gemm_column *out, int64_t ldc) {
    tile t;
    if (!f->stream)
        fetch_tile(out, row, ldc);
    clear(MR, NV, &t);
    accumulate_turns(MR, k, a, 1, MR, b, VL, b_vector, next.from, next.step, &t);
    finish_tile(&t, f, row, out, ldc);
}

/* Rows of a tile: as many as registers hold; of few rows equal shares, where they lie one below the
 * other, rather than one tile of almost none. */
static int64_t tile_rows(int64_t m, const gemm_left *a) {
    const int64_t tiles = ceil_div(m, MR), rest = m % MR;
    const bool packed = a->tile != MR * a->row;
    return packed || tiles > 4 || rest == 0 || rest >= MR / 2 ? MR : ceil_div(m, tiles);
}

/* What tiles fetch in passing: `runs` runs of lines, each of them by `each` tiles. */
typedef struct {
    lines next;              /* the next tile's */
    int64_t each, done;      /* tiles of a run, of which so many have been */
    int64_t tile, run, runs; /* from one tile's lines, and runs, to the next ones; runs left */
} fetching;

/* `count` vectors of b from `from` on, by `tiles` tiles. */
static fetching fetch_vectors(const gemm_right *b, const real *from, int64_t k, int64_t count,
                              int64_t tiles) {
    const int64_t each = MAX(1, tiles / MAX(1, count));
    return (fetching){.next = {from, ceil_div(TURN * VL, each)},
                      .each = each,
                      .tile = ceil_div(k * VL, each),
                      .run = b->vector,
                      .runs = count};
}

/* Rows of a, line after line of all of them. */
static fetching fetch_rows(gemm_next next, int64_t k) {
    const int64_t each = MAX(1, ceil_div(next.rows, MAX(1, k / TURN)));
    return (fetching){.next = {next.from, next.row},
                      .each = each,
                      .tile = ceil_div(next.rows, each) * next.row,
                      .run = LINE,
                      .runs = ceil_div(next.width, LINE)};
}

/* The lines of one more tile; if none are left one that is near, again and again. */
VINLINE lines fetch(fetching *f, const real *near) {
    if (f->runs <= 0)
        return (lines){near, 0};
    const lines now = f->next;
    f->next.from += f->tile;
    if (++f->done == f->each) {
        f->next.from += f->run - f->each * f->tile;
        f->done = 0;
        f->runs--;
    }
    return now;
}

/* Of so many vectors those of the next tile; half a vector is one by itself, at half the cost. */
static int64_t next_vectors(const gemm_column *out, int64_t vectors) {
    int64_t n = 0;
    while (n < MIN(vectors, NV_LAST + 1) && !is_half(out + n))
        n++;
    return n == NV_LAST ? NV_LAST : MAX(1, MIN(NV, n));
}

void FN(gemm_block)(int64_t m, const gemm_left *a, const gemm_right *b, int64_t vectors,
                    const gemm_column *out, int64_t ldc, const gemm_finish *f) {
    const int64_t height = tile_rows(m, a);
    const bool packed = is_packed(a, b);
    fetching ahead = fetch_rows(b->next, a->k);
    for (int64_t block = 0; block < m; block += MC) {
        const int64_t end = MIN(m, block + MC);
        for (int64_t q = 0, n; q < vectors; q += n) {
            n = next_vectors(out + q, vectors - q);
            bool whole = n == NV;
            for (int64_t v = 0; v < n; v++)
                whole &= out[q + v].width == VL;
            const real *const columns = b->b + q * b->vector;
            if (b->far)
                ahead = fetch_vectors(b, columns + n * b->vector, a->k, MIN(NV, vectors - q - n),
                                      ceil_div(end - block, height));
            int64_t i = block;
            if (n == 1 && is_narrow(a, out + q)) {
                for (; i + 2 * MR <= end; i += 2 * MR)
                    narrow_tiles(2, a, i / MR * a->tile, columns, b, f, i, out + q, ldc);
                for (; i + MR <= end; i += MR)
                    narrow_tiles(1, a, i / MR * a->tile, columns, b, f, i, out + q, ldc);
            }
            for (; i < end; i += height) {
                const int64_t offset = i / MR * a->tile + i % MR * a->row;
                const int64_t rows = MIN(height, end - i);
                if (whole && rows == MR && packed) {
                    whole_packed_tile(a->k, a->a + offset, columns, b->vector,
                                      fetch(&ahead, columns), f, i, out + q, ldc);
                } else if (whole && rows == MR) {
                    whole_tile(a, offset, columns, b, fetch(&ahead, columns), f, i, out + q, ldc);
                } else if (n > NV && rows < MR) { /* there is no such tile of fewer rows */
                    edge_tile(rows, NV, a, offset, columns, b, f, i, out + q, ldc);
                    edge_tile(rows, n - NV, a, offset, columns + NV * b->vector, b, f, i,
                              out + q + NV, ldc);
                } else {
                    edge_tile(rows, n, a, offset, columns, b, f, i, out + q, ldc);
                }
            }
        }
    }
    if (f->stream)
        vstream_end();
}
