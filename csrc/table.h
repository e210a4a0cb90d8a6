/* table.h: the types of the kernel tables, one per dtype. */
#ifndef NNF_TABLE_H
#define NNF_TABLE_H

#include <stdint.h>

#include "nnfast.h"

#define KERNEL(name, params, args) int(*name) params;

#define real float
typedef struct {
#include "kernels.def"
} nnf_table_f32;
#undef real

#define real double
typedef struct {
#include "kernels.def"
} nnf_table_f64;
#undef real

#undef KERNEL

#endif
