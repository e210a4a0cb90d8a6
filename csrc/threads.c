/* threads.c: how many threads a kernel may use.
 *
 * The default is NNFAST_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may run on,
 * never more than its cgroup's CPU quota. After fork() the child runs serially: libgomp's workers
 * do not survive a fork and entering a parallel region there would hang.
 */
#define _GNU_SOURCE
#include "parallel.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "nnfast.h"

/* Serial nanoseconds that one more thread must save to be worth waking. */
#define NNF_GRAIN 6000.0

static atomic_int threads;
static atomic_bool forked;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void mark_forked(void) { atomic_store(&forked, true); }

static int positive_env(const char *name) {
    const char *text = getenv(name);
    if (!text || !isdigit((unsigned char)*text))
        return 0;
    const long value = strtol(text, NULL, 10);
    return value >= 1 && value <= 4096 ? (int)value : 0;
}

static int allowed_cpus(void) {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static double read_quota(const char *path, const char *format) {
    double quota = 0, period = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, format, &quota, &period) < 1)
        quota = 0;
    fclose(file);
    return period > 0 ? quota / period : quota;
}

/* CPUs the cgroup grants (v2: "quota period"; v1: two files), 0 if unlimited or unknown. */
static int cgroup_cpus(void) {
    double cpus = read_quota("/sys/fs/cgroup/cpu.max", "%lf %lf");
    if (cpus <= 0) {
        const double quota = read_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "%lf");
        const double period = read_quota("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "%lf");
        cpus = quota > 0 && period > 0 ? quota / period : 0;
    }
    return cpus > 0 ? (int)ceil(cpus) : 0;
}

static void initialise(void) {
    pthread_atfork(NULL, NULL, mark_forked);
    int n = positive_env("NNFAST_NUM_THREADS");
    if (n == 0)
        n = positive_env("OMP_NUM_THREADS");
    if (n == 0) {
        n = allowed_cpus();
        const int quota = cgroup_cpus();
        if (quota > 0 && quota < n)
            n = quota;
    }
    atomic_store(&threads, n);
}

void nnf_set_threads(int n) {
    pthread_once(&once, initialise);
    atomic_store(&threads, n < 1 ? 1 : n);
}

int nnf_get_threads(void) {
    pthread_once(&once, initialise);
    return atomic_load(&threads);
}

int nnf_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

int nnf_team(int64_t items, double work) {
#ifdef _OPENMP
    if (items < 2 || work < 2 * NNF_GRAIN)
        return 1;
    int64_t n = nnf_get_threads();
    if (n > 1 && (atomic_load(&forked) || omp_in_parallel()))
        return 1;
    if ((double)n > work / NNF_GRAIN)
        n = (int64_t)(work / NNF_GRAIN);
    return (int)(n < items ? n : items);
#else
    (void)items;
    (void)work;
    return 1;
#endif
}
