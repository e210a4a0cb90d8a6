/* dispatch.c: the C API's functions; each calls the kernel of the array's dtype in the table of the
 * ISA chosen. The CPU is asked once, on first use; NNFAST_ISA can lower the choice, never raise it.
 *
 * The build defines NNF_ISAS, an X-macro list of the ISAs compiled in, from lowest to highest.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nnfast.h"
#include "table.h"

#define ISA(name)                                                                                  \
    extern const nnf_table_f32 nnf_table_f32_##name;                                               \
    extern const nnf_table_f64 nnf_table_f64_##name;
NNF_ISAS
#undef ISA

typedef struct {
    const char *name;
    const nnf_table_f32 *f32;
    const nnf_table_f64 *f64;
    int (*supported)(void);
} isa;

/* The build may leave an ISA out. */
#define MAYBE_UNUSED __attribute__((unused))
MAYBE_UNUSED static int supports_baseline(void) { return 1; }
#ifdef __x86_64__
MAYBE_UNUSED static int supports_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
MAYBE_UNUSED static int supports_avx512(void) {
    return supports_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static const isa isas[] = {
#define ISA(name) {#name, &nnf_table_f32_##name, &nnf_table_f64_##name, supports_##name},
    NNF_ISAS
#undef ISA
};

enum { ISA_COUNT = sizeof isas / sizeof isas[0] };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const isa *chosen;

/* The highest supported ISA, or the one NNFAST_ISA names if that is supported and no higher. */
static void choose(void) {
    const char *limit = getenv("NNFAST_ISA");
    for (int i = 0; i < ISA_COUNT; i++) {
        if (i == 0 || isas[i].supported())
            chosen = &isas[i];
        if (limit && strcmp(limit, isas[i].name) == 0)
            break;
    }
}

static const isa *current(void) {
    pthread_once(&once, choose);
    return chosen;
}

const char *nnf_isa(void) { return current()->name; }
int nnf_isa_count(void) { return ISA_COUNT; }
const char *nnf_isa_name(int index) { return isas[index].name; }

#define real void
#define KERNEL(name, params, args)                                                                 \
    int nnf_##name(nnf_dtype dtype, NNF_STRIP params) {                                            \
        const isa *const cpu = current();                                                          \
        return dtype == NNF_F32 ? cpu->f32->name args : cpu->f64->name args;                       \
    }
#include "kernels.def"
#undef KERNEL
#undef real
