/* cache.c: how large the last-level cache is, asked once. */
#include "stream.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define USUAL_KIB 32768.0 /* where the system does not say */
/* Few CPUs have more of it for each core. A virtual machine of a few cores is told the size
 * of the whole cache, which many others fill too: with two cores and 260 MB, results of 50 MB are
 * written 1.4 to 2 times as fast past it. */
#define MOST_KIB_PER_CORE 16384.0

static pthread_once_t once = PTHREAD_ONCE_INIT;
static double cache_kib = USUAL_KIB;

/* Not by sysconf: it adds up the caches of a whole package, of which a core uses one. */
static void initialise(void) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const double most = MOST_KIB_PER_CORE * (double)(cores > 0 ? cores : 1);
    double kib = 0;
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
    if (!file)
        return;
    if (fscanf(file, "%lfK", &kib) == 1 && kib > 0)
        cache_kib = kib < most ? kib : most;
    fclose(file);
}

bool nnf_outgrows_cache(size_t bytes) {
    pthread_once(&once, initialise);
    return (double)bytes > cache_kib * 1024 * 1.1;
}
