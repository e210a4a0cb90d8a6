/* cache.c: how large the last-level cache is, asked once. */
#include "stream.h"

#include <pthread.h>
#include <stdio.h>

#define USUAL_KIB 32768.0 /* where the system does not say */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static double cache_kib = USUAL_KIB;

/* Not by sysconf: it adds up the caches of a whole package, of which a core uses one. */
static void initialise(void) {
    double kib = 0;
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
    if (!file)
        return;
    if (fscanf(file, "%lfK", &kib) == 1 && kib > 0)
        cache_kib = kib;
    fclose(file);
}

bool nnf_outgrows_cache(size_t bytes) {
    pthread_once(&once, initialise);
    return (double)bytes > cache_kib * 1024 * 1.1;
}
