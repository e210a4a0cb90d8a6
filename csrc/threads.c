/* threads.c: how many threads a kernel may use, on which CPUs, and how they share its work.
 *
 * The default is NNFAST_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may run on,
 * never more than its cgroup's CPU quota. They share out the work of a kernel, parallel.h. After
 * fork() the child runs serially: libgomp's workers do not survive a fork and entering a parallel
 * region there would hang.
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
#ifdef __linux__
#include <sys/syscall.h>
#endif
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

/* When loaded, not when first used: that may be in the child, after somebody else's parallel
 * region. */
__attribute__((constructor)) static void watch_forks(void) {
    pthread_atfork(NULL, NULL, mark_forked);
}

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

#ifdef _OPENMP
/* The threads that work for one, which are kept off its CPU. Left alone, Linux wakes a thread where
 * the one that wakes it runs, although another CPU is idle, if that one has halted: on virtual
 * machines it does not count as idle then. The two take turns for milliseconds: after a pause, a
 * product of 256 x 256 took 0.4 ms on two CPUs instead of 0.16. */
struct nnf_workers {
    int cpu, count; /* the CPU; the threads of a team, that one included */
    atomic_bool changed;
    atomic_int ids[NNF_SHARES];
};

#ifdef __linux__
static __thread struct nnf_workers mine = {.cpu = -1};

/* Unless the user binds threads to CPUs, or there are not enough of these. */
static void keep_off(struct nnf_workers *workers) {
    cpu_set_t others;
    if (omp_get_proc_bind() != omp_proc_bind_false ||
        sched_getaffinity(0, sizeof others, &others) != 0 || CPU_COUNT(&others) < workers->count)
        return;
    CPU_CLR(workers->cpu, &others);
    for (int i = 1; i < workers->count; i++) {
        const int id = atomic_load(&workers->ids[i]);
        if (id)
            sched_setaffinity(id, sizeof others, &others);
    }
}

/* Those of the calling thread, of which `count` shares are about to be given to a team. */
static struct nnf_workers *workers_of(int count) {
    const int cpu = sched_getcpu();
    for (int i = count; i < mine.count; i++) /* libgomp ends threads that a team has no use for */
        atomic_store(&mine.ids[i], 0);
    mine.count = count;
    if (cpu >= 0 && (atomic_exchange(&mine.changed, false) || cpu != mine.cpu)) {
        mine.cpu = cpu;
        keep_off(&mine);
    }
    return &mine;
}

/* The calling thread, the one of this number, tells who it is. */
static void join(struct nnf_workers *workers, int number) {
    static __thread int id;
    if (!id)
        id = (int)syscall(SYS_gettid);
    if (number < NNF_SHARES &&
        atomic_load_explicit(&workers->ids[number], memory_order_relaxed) != id) {
        atomic_store(&workers->ids[number], id);
        atomic_store(&workers->changed, true);
    }
}
#else
static struct nnf_workers *workers_of(int count) {
    (void)count;
    return NULL;
}
static void join(struct nnf_workers *workers, int number) {
    (void)workers;
    (void)number;
}
#endif

void nnf_split(nnf_share *shares, int count, int64_t items) {
    struct nnf_workers *const workers = workers_of(count);
    for (int i = 0; i < count; i++) {
        atomic_init(&shares[i].taken, 0);
        shares[i].begin = items / count * i + (i < items % count ? i : items % count);
        if (i > 0)
            shares[i - 1].end = shares[i].begin;
        shares[i].workers = workers;
    }
    shares[count - 1].end = items;
}

int64_t nnf_next(nnf_share *shares, int count, int *at, int *left, int back) {
    if (*left == count && omp_get_thread_num() > 0)
        join(shares[*at].workers, omp_get_thread_num());
    for (; *left > 0; (*left)--, *at = *at + 1 < count ? *at + 1 : 0) {
        nnf_share *const s = shares + *at;
        const int64_t taken = atomic_fetch_add_explicit(&s->taken, 1, memory_order_relaxed);
        if (taken < s->end - s->begin)
            return back ? s->end - 1 - taken : s->begin + taken;
    }
    return -1;
}
#endif
