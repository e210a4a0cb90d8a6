/* batchnorm.h: how batch normalisation, forward and backward, walks x (n, c, s) and adds up.
 *
 * The data are cut into pieces by shape alone: `channels` channels of a chunk, which is `images`
 * images by `part` elements of a plane. Where planes are small and images many, the channels of an
 * image are one row of features, each with its channel's mean, scale and so on, so that no vector
 * is left half empty. Otherwise a row is one channel of one image.
 */
#ifndef NNF_BATCHNORM_H
#define NNF_BATCHNORM_H

#include "activate.h"
#include "elementwise.h"
#include "sum.h"

enum {
    PIECE = 16384,  /* elements */
    CHANNELS = 64,  /* of a piece, at most */
    FEATURES = 512, /* of a piece where planes are features: */
    SMALL = 64,     /* those of fewer elements, */
    MANY = 8,       /* in batches of so many images */
    WAYS = 4,       /* independent sums */
    TERMS = 8,      /* of each that are added up in reals before they go to a double */
};

typedef struct {
    int64_t n, c, s;
    bool features;
    int64_t images, part, channels;
    int64_t parts, chunks, blocks;
} grid;

typedef struct {
    int64_t chunk, n0, n1, c0, c1, s0, size; /* elements [s0, s0 + size) of each plane */
} piece;

static inline grid make_grid(int64_t n, int64_t c, int64_t s) {
    grid g = {.n = n, .c = c, .s = s, .features = s == 1 || (s < SMALL && n >= MANY)};
    g.part = MIN(s, PIECE);
    g.images =
        MIN(n, g.features ? PIECE / MAX(1, MIN(c * s, FEATURES)) : MAX(1, PIECE / 16 / g.part));
    g.channels = g.features ? FEATURES / s : MIN(CHANNELS, PIECE / (g.images * g.part));
    g.parts = ceil_div(s, g.part);
    g.chunks = ceil_div(n, g.images) * g.parts;
    g.blocks = ceil_div(c, g.channels);
    return g;
}

static inline piece get_piece(const grid *g, int64_t task) {
    piece p = {.chunk = task / g->blocks};
    p.n0 = p.chunk / g->parts * g->images;
    p.n1 = MIN(p.n0 + g->images, g->n);
    p.c0 = task % g->blocks * g->channels;
    p.c1 = MIN(p.c0 + g->channels, g->c);
    p.s0 = p.chunk % g->parts * g->part;
    p.size = MIN(g->part, g->s - p.s0);
    return p;
}

/* PIECES runs body for every piece p; PIECES_BACK, for the second pass, begins with those that the
 * first left in the cache. */
#define PIECES_(for_, p, g, ns, ...)                                                               \
    for_(task_, (g)->chunks *(g)->blocks, (ns) * (double)((g)->n * (g)->c * (g)->s), {             \
        const piece p = get_piece((g), task_);                                                     \
        __VA_ARGS__;                                                                               \
    })
#define PIECES(p, g, ns, ...)      PIECES_(PARALLEL_FOR, p, g, ns, __VA_ARGS__)
#define PIECES_BACK(p, g, ns, ...) PIECES_(PARALLEL_FOR_BACK, p, g, ns, __VA_ARGS__)

static inline int64_t values_of(const piece *p) { return (p->n1 - p->n0) * p->size; }
static inline int64_t width_of(const grid *g, const piece *p) { return (p->c1 - p->c0) * g->s; }
static inline int64_t start_of(const grid *g, const piece *p, int64_t n, int64_t c) {
    return (n * g->c + c) * g->s + p->s0;
}

/* Whether the rows of y can be streamed: each begins at a whole vector. */
static inline bool streams_rows(const grid *g, int64_t reads, const real *y) {
    const int64_t row = g->features ? g->channels * g->s : g->s;
    return row % VL == 0 && g->c * g->s % VL == 0 && streams(g->n * g->c * g->s, reads, y);
}

/* The channels' values for the features of a row, in `room` unless they stand there as they are;
 * what a vector writes beyond its channel is overwritten by the next. */
static inline const real *per_feature(const grid *g, const piece *p, const real *value,
                                      real room[FEATURES + VL]) {
    if (g->s == 1)
        return value + p->c0;
    for (int64_t c = p->c0, i = 0; c < p->c1; c++, i += g->s)
        for (int64_t k = 0; k < g->s; k += VL)
            vstore(room + i + k, vset1(value[c]));
    return room;
}

static inline double inverse_deviation(const real *var, int64_t c, double eps) {
    return 1 / sqrt((double)var[c] + eps);
}

/* The elements of a plane; short rows follow each other too soon for four vectors at a time. */
#define MAP_PLANE(size, y, streamed, ...)                                                          \
    do {                                                                                           \
        if ((streamed) || (size) >= 512)                                                           \
            MAP_RANGE(0, (size), (y), (streamed), __VA_ARGS__);                                    \
        else                                                                                       \
            MAP_ROW(0, (size), (y), __VA_ARGS__);                                                  \
    } while (0)

/* y before its activation, from d = x - mean. Backward makes it once more, with the same bits, to
 * see what ReLU lets through. */
VINLINE vec normalised(vec d, vec scale, vec bias) { return vfma(d, scale, bias); }
VINLINE vec let_through(bool relu, vec d, vec scale, vec bias, vec dy) {
    return relu ? vselect(normalised(d, scale, bias) <= vzero(), vzero(), vopaque(dy)) : dy;
}

/* Adds up e and d e over n elements of a channel, where d = x - shift. For the variance e is d (dy
 * NULL), for the gradients what is let through of dy. */
VINLINE void add_row(int64_t n, const real *x, const real *dy, bool relu, vec shift, vec scale,
                     vec bias, dvec *sum, dvec *product) {
    for (int64_t i = 0; i < n;) {
        const int64_t end = MIN(n, i + WAYS * TERMS * VL);
        vec a[WAYS] = {vzero(), vzero(), vzero(), vzero()};
        vec b[WAYS] = {vzero(), vzero(), vzero(), vzero()};
        for (; i + WAYS * VL <= end; i += WAYS * VL)
            for (int j = 0; j < WAYS; j++) {
                const vec d = vload(x + i + j * VL) - shift;
                const vec e = dy ? let_through(relu, d, scale, bias, vload(dy + i + j * VL)) : d;
                a[j] += e;
                b[j] = vfma(d, e, b[j]);
            }
        for (; i < end; i += VL) {
            const vec d = vload_or(x + i, end - i, shift) - shift;
            const vec e = dy ? let_through(relu, d, scale, bias, vload_upto(dy + i, end - i)) : d;
            a[0] += e;
            b[0] = vfma(d, e, b[0]);
        }
        *sum += vwiden((a[0] + a[1]) + (a[2] + a[3]));
        *product += vwiden((b[0] + b[1]) + (b[2] + b[3]));
    }
}

/* The same, set to sum and product, over `images` rows of `width` features, `pitch` apart; shift,
 * scale, bias (width). */
VINLINE void add_images(int64_t images, int64_t pitch, int64_t width, const real *x, const real *dy,
                        bool relu, const real *shift, const real *scale, const real *bias,
                        double sum[FEATURES], double product[FEATURES]) {
    memset(sum, 0, (size_t)round_up(width, VL) * sizeof *sum);
    memset(product, 0, (size_t)round_up(width, VL) * sizeof *product);
    for (int64_t first = 0; first < images; first += TERMS)
        for (int64_t j = 0; j < width; j += VL) {
            const int64_t left = width - j;
            const vec m = vload_upto(shift + j, left);
            const vec s = relu ? vload_upto(scale + j, left) : vzero();
            const vec t = relu ? vload_upto(bias + j, left) : vzero();
            vec a = vzero(), b = vzero();
            for (int64_t n = first; n < MIN(first + TERMS, images); n++) {
                const vec d = vload_or(x + n * pitch + j, left, m) - m;
                const vec e =
                    dy ? let_through(relu, d, s, t, vload_upto(dy + n * pitch + j, left)) : d;
                a += e;
                b = vfma(d, e, b);
            }
            vadd_wide(sum + j, a);
            vadd_wide(product + j, b);
        }
}

#endif
