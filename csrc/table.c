/* table.c: the table of one ISA and dtype, made from kernels.def. Compiled as often as the
 * products.
 */
#include "table.h"

#include "real.h"

#define KERNEL(name, params, args)  .name = FN_OTHER(name),
#define PRODUCT(name, params, args) .name = FN(name),
const NNF_CAT(nnf, table, NNF_DTYPE_NAME) FN(nnf_table) = {
#include "kernels.def"
};
#undef KERNEL
