/* gemm_micro.h: the register-blocked core of every matrix product.
 *
 * a (rows, k), b (k, vectors, VL), c (rows, vectors, VL). The sums of a tile stay in MR x NV vector
 * registers: with the NV vectors of b and one broadcast element of a they fill the register file of
 * the ISA.
 */
#ifndef NNF_GEMM_MICRO_H
#define NNF_GEMM_MICRO_H

#include "activate.h"
#include "gemm.h"

typedef struct {
    vec sum[MR][NV_LAST];
} tile;

/* All of this is inlined with constant `rows` and `vectors`, and every loop over them unrolled, so
 * that the sums are registers. */
VINLINE void clear(int rows, int vectors, tile *t) {
    NNF_EACH (i, rows)
        NNF_EACH (v, vectors)
            t->sum[i][v] = vzero();
}

/* How instructions call a real, and its bytes. */
#if NNF_DTYPE_BITS == 32
#define NNF_TYPE   "s"
#define NNF_SIZE   "4"
#define NNF_COPIES "%{1to16%}"
#else
#define NNF_TYPE   "d"
#define NNF_SIZE   "8"
#define NNF_COPIES "%{1to8%}"
#endif

/* sum[v] += element * row[v]. In assembly with 16 registers, where GCC broadcasts several elements
 * ahead and overwrites factors: a fifth more instructions, which copy registers. AVX-512 multiplies
 * by an element in memory: as many instructions less as there are such rows, and one more load for
 * each, for which there is room in half the rows (`in_place`). */
VINLINE void add_row(bool in_place, const real *element, const vec *row, vec *sum) {
#if defined(__FMA__) && !defined(__AVX512F__)
    (void)in_place;
    vec all;
    __asm__("vbroadcasts" NNF_TYPE " %3, %2\n\t"
            "vfmadd231p" NNF_TYPE " %4, %2, %0\n\t"
            "vfmadd231p" NNF_TYPE " %5, %2, %1"
            : "+x"(sum[0]), "+x"(sum[1]), "=&x"(all)
            : "m"(*element), "x"(row[0]), "x"(row[1]));
#else
    NNF_EACH (v, NV)
#if defined(__AVX512F__)
        if (in_place)
            __asm__("vfmadd231p" NNF_TYPE " %1" NNF_COPIES ", %2, %0"
                    : "+v"(sum[v])
                    : "m"(*element), "v"(row[v]));
        else
#endif
            sum[v] = vfma(vset1(*element), row[v], sum[v]);
    (void)in_place;
#endif
}

/* Adds the products of one depth: element i of the column is a[i * a_row]. */
VINLINE void add_depth(int rows, const real *a, int64_t a_row, const real *b, int64_t b_vector,
                       tile *t) {
    vec row[NV];
    NNF_EACH (v, NV)
        row[v] = vload(b + v * b_vector);
    NNF_EACH (i, rows)
        add_row(i % 2 == 1, a + i * a_row, row, t->sum[i]);
}

/* Adds products of depth k. Element (i, p) of a is a[i * a_row + p * a_depth], vector v of b's row
 * p starts at b[p * b_depth + v * b_vector]. What lies `ahead` in a is fetched into the L2 cache.
 */
VINLINE void accumulate(int rows, int vectors, int64_t k, const real *restrict a, int64_t a_row,
                        int64_t a_depth, int64_t ahead, const real *restrict b, int64_t b_depth,
                        int64_t b_vector, tile *t) {
    for (int64_t p = 0; p < k; p++) {
        vec row[NV_LAST];
        NNF_EACH (v, vectors)
            row[v] = vload(b + p * b_depth + v * b_vector);
        if (ahead)
            __builtin_prefetch(a + p * a_depth + ahead, 0, 2);
        NNF_EACH (i, rows) {
            const vec element = vset1(a[i * a_row + p * a_depth]);
            NNF_EACH (v, vectors)
                t->sum[i][v] = vfma(element, row[v], t->sum[i][v]);
        }
    }
}

/* The same for NV vectors and constant strides, but for b_vector: several depths to a turn of the
 * loop, whose own instructions count where another thread has the same core: up to a sixth of the
 * time. With each turn a line is fetched into the L2 cache, `step` reals after the last one, from
 * `next` on if that is not NULL. */
enum { TURN = PACKED_PAYS ? 4 : 1 };
VINLINE void accumulate_turns(int rows, int64_t k, const real *restrict a, int64_t a_row,
                              int64_t a_depth, const real *restrict b, int64_t b_depth,
                              int64_t b_vector, const real *next, int64_t step, tile *t) {
    for (; TURN > 1 && k >= TURN; k -= TURN, a += TURN * a_depth, b += TURN * b_depth) {
        if (next) {
            __builtin_prefetch(next, 0, 2);
            next += step;
        }
        NNF_EACH (p, TURN) {
            add_depth(rows, a + p * a_depth, a_row, b + p * b_depth, b_vector, t);
            __asm__ volatile("" ::: "memory"); /* loads of several depths are too many registers */
        }
    }
    for (; k > 0; k--, a += a_depth, b += b_depth)
        add_depth(rows, a, a_row, b, b_vector, t);
}

/* The same for rows of a that lie apart, each in one piece. In assembly for its addresses as well:
 * a pointer reaches three rows, of which GCC keeps one each: a tenth of the time. */
#if defined(__FMA__)
#define NNF_ADD_ROW(element, base, pitch, row, sum)                                                \
    do {                                                                                           \
        vec all_;                                                                                  \
        __asm__ volatile("vbroadcasts" NNF_TYPE " " element ", %2\n\t"                             \
                         "vfmadd231p" NNF_TYPE " %5, %2, %0\n\t"                                   \
                         "vfmadd231p" NNF_TYPE " %6, %2, %1"                                       \
                         : "+v"((sum)[0]), "+v"((sum)[1]), "=&v"(all_)                             \
                         : "r"(base), "r"(pitch), "v"((row)[0]), "v"((row)[1])                     \
                         : "memory");                                                              \
    } while (0)
/* The rows at the pointers, of which AVX-512 multiplies by an element in memory: with an index that
 * is as many operations as a broadcast. The base is there twice, so that it is %3 here too. */
#if defined(__AVX512F__)
#define NNF_ADD_FIRST(element, base, pitch, row, sum)                                              \
    __asm__ volatile("vfmadd231p" NNF_TYPE " " element NNF_COPIES ", %4, %0\n\t"                   \
                     "vfmadd231p" NNF_TYPE " " element NNF_COPIES ", %5, %1"                       \
                     : "+v"((sum)[0]), "+v"((sum)[1])                                              \
                     : "r"(base), "r"(base), "v"((row)[0]), "v"((row)[1])                          \
                     : "memory")
#else
#define NNF_ADD_FIRST NNF_ADD_ROW
#endif
#define NNF_ADD_DEPTH(depth, top, middle, bottom, pitch, b, b_vector, t)                           \
    do {                                                                                           \
        const vec row_[NV] = {vload(b), vload((b) + (b_vector))};                                  \
        NNF_ADD_FIRST(depth "*" NNF_SIZE "(%3)", top, pitch, row_, (t)->sum[0]);                   \
        NNF_ADD_ROW(depth "*" NNF_SIZE "(%3,%4)", top, pitch, row_, (t)->sum[1]);                  \
        NNF_ADD_ROW(depth "*" NNF_SIZE "(%3,%4,2)", top, pitch, row_, (t)->sum[2]);                \
        NNF_ADD_FIRST(depth "*" NNF_SIZE "(%3)", middle, pitch, row_, (t)->sum[3]);                \
        NNF_ADD_ROW(depth "*" NNF_SIZE "(%3,%4)", middle, pitch, row_, (t)->sum[4]);               \
        NNF_ADD_ROW(depth "*" NNF_SIZE "(%3,%4,2)", middle, pitch, row_, (t)->sum[5]);             \
        if (MR > 6) {                                                                              \
            NNF_ADD_FIRST(depth "*" NNF_SIZE "(%3)", bottom, pitch, row_, (t)->sum[MR - 2]);       \
            NNF_ADD_ROW(depth "*" NNF_SIZE "(%3,%4)", bottom, pitch, row_, (t)->sum[MR - 1]);      \
        }                                                                                          \
    } while (0)
VINLINE void accumulate_rows(int64_t k, const real *restrict a, int64_t a_row,
                             const real *restrict b, int64_t b_depth, int64_t b_vector,
                             const real *next, int64_t step, tile *t) {
    const real *middle = a + 3 * a_row, *bottom = a + 6 * a_row;
    const int64_t pitch = a_row * (int64_t)sizeof(real);
    tile sums = *t; /* registers, whatever t is */
    for (; k >= 4; k -= 4, a += 4, middle += 4, bottom += 4, b += 4 * b_depth, next += step) {
        __builtin_prefetch(next, 0, 2);
        NNF_ADD_DEPTH("0", a, middle, bottom, pitch, b, b_vector, &sums);
        NNF_ADD_DEPTH("1", a, middle, bottom, pitch, b + b_depth, b_vector, &sums);
        NNF_ADD_DEPTH("2", a, middle, bottom, pitch, b + 2 * b_depth, b_vector, &sums);
        NNF_ADD_DEPTH("3", a, middle, bottom, pitch, b + 3 * b_depth, b_vector, &sums);
    }
    for (; k > 0; k--, a++, middle++, bottom++, b += b_depth)
        NNF_ADD_DEPTH("0", a, middle, bottom, pitch, b, b_vector, &sums);
    *t = sums;
}
#undef NNF_ADD_DEPTH
#undef NNF_ADD_FIRST
#undef NNF_ADD_ROW
#else
VINLINE void accumulate_rows(int64_t k, const real *restrict a, int64_t a_row,
                             const real *restrict b, int64_t b_depth, int64_t b_vector,
                             const real *next, int64_t step, tile *t) {
    (void)next;
    (void)step;
    accumulate(MR, NV, k, a, a_row, 1, 0, b, b_depth, b_vector, t);
}
#endif

/* The same for the first half of one vector. */
VINLINE void accumulate_half(int rows, int64_t k, const real *restrict a, int64_t a_row,
                             int64_t a_depth, const real *restrict b, int64_t b_depth, hvec *sum) {
    for (int64_t p = 0; p < k; p++) {
        const hvec column = vload_half(b + p * b_depth);
        NNF_EACH (i, rows)
            sum[i] = a[i * a_row + p * a_depth] * column + sum[i];
    }
}

/* The same for tiles of a few columns and MR rows, half a vector, which lie `apart` in a: sum[i][j]
 * is column j of tile i. */
enum { NARROW = VL < 4 ? VL : 4, NARROW_PAYS = HALVES_PAY && VL == 2 * MR };
VINLINE void accumulate_narrow(int tiles, int64_t k, const real *restrict a, int64_t apart,
                               int64_t a_depth, const real *restrict b, int64_t b_depth,
                               hvec sum[][NARROW]) {
    for (int64_t p = 0; p < k; p++)
        NNF_EACH (i, tiles) {
            const hvec column = vload_half(a + i * apart + p * a_depth);
            NNF_EACH (j, NARROW)
                sum[i][j] = b[p * b_depth + j] * column + sum[i][j];
        }
}

/* The product of `rows` x k and k x NR. */
VINLINE void multiply(int rows, int64_t k, const real *restrict a, int64_t a_row, int64_t a_depth,
                      const real *restrict b, int64_t b_depth, tile *t) {
    clear(rows, NV, t);
    accumulate(rows, NV, k, a, a_row, a_depth, 0, b, b_depth, VL, t);
}

/* NNF_ROWS(rows, statement): statement with `rows` as the constant ROWS, so that the compiler can
 * keep all sums in registers. */
#define NNF_ROWS_CASE(count, ...)                                                                  \
    case count: {                                                                                  \
        enum { ROWS = count };                                                                     \
        __VA_ARGS__;                                                                               \
        break;                                                                                     \
    }
#if MR > 6
#define NNF_ROWS_MORE(...) NNF_ROWS_CASE(7, __VA_ARGS__) NNF_ROWS_CASE(8, __VA_ARGS__)
#else
#define NNF_ROWS_MORE(...)
#endif
#define NNF_ROWS(rows, ...)                                                                        \
    switch (rows) {                                                                                \
        NNF_ROWS_CASE(1, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(2, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(3, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(4, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(5, __VA_ARGS__)                                                              \
        NNF_ROWS_CASE(6, __VA_ARGS__)                                                              \
        NNF_ROWS_MORE(__VA_ARGS__)                                                                 \
    }

#endif
