/* conv_scatter.c: sums (rows, pixels) of a strided grid to the result planes (rows, height, width)
 * of a convolution, at stride 2 by whole vectors.
 */
#include "conv_product.h"

/* row[2 i + odd] = from[i] for `count` reals. Even columns come first, with zeros between them. */
VINLINE void interleave(int odd, int64_t count, const real *from, int64_t width, real *row) {
    for (int64_t i = 0; i < count; i += VL) {
        const int64_t left = MIN(2 * (count - i), width - 2 * i);
        real *const low = row + 2 * i;
        vec even = vload_upto(from + i, count - i), other = vzero();
        if (odd) {
            const vec a = vload_upto(low, left);
            const vec b = vload_within(low + VL, left - VL);
            other = even;
            even = vunmix(veven_mixed(a, b));
        }
        vstore_zipped(low, even, other, left);
    }
}

void FN(conv_scatter)(const conv_product *of, const real *sums, int64_t pitch, int64_t rows,
                      int64_t pixel, int64_t pixels, real *result) {
    const int64_t width = of->result_width, first = of->offset % width, top = of->offset / width;
    for (int64_t r = 0; r < rows; r++) {
        int64_t i = pixel / of->grid_w, j = pixel % of->grid_w;
        for (int64_t p = 0, length; p < pixels; p += length, i++, j = 0) {
            const real *const from = sums + r * pitch + p;
            real *const row = result + r * of->plane + (top + i * of->step_h) * width;
            const int64_t col = j * of->step_w;
            length = MIN(pixels - p, of->grid_w - j);
            const bool pairs = of->step_w == 2 && length >= VL;
            if (pairs && first == 0)
                interleave(0, length, from, width - col, row + col);
            else if (pairs)
                interleave(1, length, from, width - col, row + col);
            else
                for (int64_t k = 0; k < length; k++)
                    row[first + col + k * of->step_w] = from[k];
        }
    }
}
