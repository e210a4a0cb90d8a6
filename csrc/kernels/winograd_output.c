/* winograd_output.c: takes products (entries, tiles, VL) in Winograd's domain back to outputs
 * (rows, oh, ow), VL rows at a time, scaled, biased and activated.
 *
 * Neighbouring tiles of a row are stored together, as many as fill a vector of pixels.
 */
#include "winograd.h"

/* block (VL, VL): a row of pixels of each row of outputs. Not inlined, for the size of the wheel.
 */
__attribute__((noinline)) static void store_whole(const vec *block, int64_t plane, real *y) {
    NNF_EACH (lane, VL)
        vstore(y + lane * plane, block[lane]);
}

/* The same: of each row of outputs, `height` rows of `cols` pixels; as far as y reaches,
 * `lanes` of them and `width` pixels are written. */
__attribute__((noinline)) static void store_part(const vec *block, int64_t cols, int64_t lanes,
                                                 int64_t height, int64_t width, int64_t plane,
                                                 int64_t ow, real *y) {
    for (int64_t lane = 0; lane < lanes; lane++)
        for (int64_t k = 0; k < height; k++)
            vstore_upto(y + lane * plane + k * ow,
                        vload_upto((const real *)&block[lane] + k * cols, MIN(cols, width)),
                        MIN(cols, width));
}

/* A vector of products; so many runs no CPU foresees. */
VINLINE vec load_product(const real *product) {
    __builtin_prefetch(product + 2 * VL);
    return vload(product);
}

/* Writes `size` rows of `cols` pixels of VL rows of outputs where they belong, as far as y reaches:
 * pixel[i * cols + j][lane] to y[lane * plane + i * ow + j]. A transposition takes as many rows of
 * pixels as fit a vector, or as many pixels of a row. */
VINLINE void store_pixels(int size, int cols, const vec *pixel, int64_t lanes, int64_t height,
                          int64_t width, int64_t plane, int64_t ow, real *y) {
    const int piece = MIN(cols, VL), together = MIN(size, VL / piece);
    for (int i = 0; i < MIN(size, height); i += together)
        for (int j = 0; j < MIN(cols, width); j += piece) {
            vec block[VL];
            NNF_EACH (k, VL)
                block[k] = k < together * piece ? pixel[i * cols + j + k] : vzero();
            vtranspose(block);
            real *const to = y + i * ow + j;
            if (lanes < VL || height - i < together || width - j < piece)
                store_part(block, piece, lanes, MIN(together, height - i), width - j, plane, ow,
                           to);
            else if (piece == VL)
                store_whole(block, plane, to);
            else
                for (int64_t lane = 0; lane < VL; lane++)
                    for (int k = 0; k < together; k++)
                        memcpy(to + lane * plane + k * ow, (const real *)&block[lane] + k * piece,
                               (size_t)piece * sizeof(real));
        }
}

/* Pixels of one tile, pixel[i * pitch + j]. Not inlined, for the size of the wheel. */
__attribute__((noinline)) static void output_tile(winograd_form form, const real *products,
                                                  int64_t entry, vec scale, vec bias,
                                                  nnf_activation act, int64_t pitch, vec *pixel) {
#define PRODUCT(i, j)  load_product(products + ((i) * MOST_POINTS + (j)) * entry)
#define STORE(i, j, v) pixel[(i) * pitch + (j)] = activate((v) * scale + bias, act)
    if (form == BY_2) {
        WINOGRAD_LOOPS(by2_output, 9, 4, PRODUCT, STORE);
        return;
    } else if (form == FROM_2) {
        WINOGRAD_LOOPS(from2_output, 9, 8, PRODUCT, STORE);
        return;
    }
#undef PRODUCT
    vec sums[KERNEL_ENTRIES], out[16];
    EACH_OF_TILE (e, KERNEL_ENTRIES) {
        sums[e] = load_product(products);
        products += entry;
        __asm__("" : "+r"(products)); /* as in store_entries */
    }
    if (form == F4_3) {
        output4_2d(sums, out);
        EACH_OF_TILE (k, 16)
            STORE(k / 4, k % 4, out[k]);
    } else {
        output2_2d(sums, out);
        NNF_EACH (k, 4)
            STORE(k / 2, k % 2, out[k]);
    }
#undef STORE
}

/* `count` neighbouring tiles of one row. */
VINLINE void output_tiles(int size, int count, const winograd_outputs *to, const real *products,
                          int64_t entry, int64_t row, int64_t i, int64_t j, real *y) {
    const int64_t lanes = MIN(VL, to->rows - row);
    const vec scale = to->scale ? vload_upto(to->scale + row, lanes) : vset1(1);
    const vec bias = to->bias ? vload_upto(to->bias + row, lanes) : vzero();
    vec pixel[MOST_OUTPUTS * (VL > 8 ? VL : 8)];
    for (int n = 0; n < count; n++)
        output_tile(to->form, products + n * VL, entry, scale, bias, to->act, size * count,
                    pixel + n * size);
    store_pixels(size, size * count, pixel, lanes, to->oh - size * i, to->ow - size * j,
                 to->oh * to->ow, to->ow, y + row * to->oh * to->ow + size * (i * to->ow + j));
}

VINLINE void transform_back(int size, const winograd_outputs *to, int64_t first, int64_t tiles,
                            int64_t row, const real *products, int64_t entry) {
    for (int64_t t = 0, count; t < tiles; t += count, products += count * VL) {
        const int64_t index = first + t, j = index % to->tiles_w, i = index / to->tiles_w;
        const int64_t left = MIN(tiles - t, to->tiles_w - j), image = i / to->tiles_h;
        real *const y = to->result + image * to->image_stride;
        if (VL >= 8 * size && left >= 8)
            output_tiles(size, count = 8, to, products, entry, row, i % to->tiles_h, j, y);
        else if (VL >= 4 * size && left >= 4)
            output_tiles(size, count = 4, to, products, entry, row, i % to->tiles_h, j, y);
        else if (VL >= 2 * size && left >= 2)
            output_tiles(size, count = 2, to, products, entry, row, i % to->tiles_h, j, y);
        else
            output_tiles(size, count = 1, to, products, entry, row, i % to->tiles_h, j, y);
    }
}

void FN(winograd_output_tiles)(const winograd_outputs *to, int64_t first, int64_t tiles,
                               int64_t row, const real *products, int64_t entry) {
    const int size = WINOGRAD[to->form].outputs;
    if (size == 8)
        transform_back(8, to, first, tiles, row, products, entry);
    else if (size == 4)
        transform_back(4, to, first, tiles, row, products, entry);
    else
        transform_back(2, to, first, tiles, row, products, entry);
}
