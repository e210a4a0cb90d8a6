/* alloc.c: aligned, pooled, bounded memory for results and scratch.
 *
 * Fresh pages cost more than the arithmetic of most layers (the kernel zeroes and maps each one),
 * so freed blocks are kept, by size class, and handed out again. Classes are four per power of two:
 * at most a quarter of a block is unused. Kept memory never exceeds NNFAST_POOL_LIMIT mebibytes
 * (default 1024). Blocks of 2 MiB and more are aligned for, and advised to use, huge pages.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "nnfast.h"

#define ALIGNMENT  64
#define MIN_SHIFT  8 /* the smallest class: 256 bytes */
#define CLASSES    (4 * (48 - MIN_SHIFT))
#define HUGE_BLOCK ((size_t)2 << 20)

/* Stands in the cache line before the block. */
typedef struct header {
    size_t size; /* usable bytes, the class size */
    int class_index;
    struct header *next; /* while cached */
} header;

_Static_assert(sizeof(header) <= ALIGNMENT, "the header fits one cache line");

/* Held for a few instructions: not worth sleeping for, where that can be said. */
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#endif
static pthread_once_t once = PTHREAD_ONCE_INIT;
static header *cached[CLASSES];
static nnf_memory_info info;

static void lock_pool(void) { pthread_mutex_lock(&lock); }
static void unlock_pool(void) { pthread_mutex_unlock(&lock); }

static void initialise(void) {
    const char *text = getenv("NNFAST_POOL_LIMIT");
    char *rest = NULL;
    const long long mebibytes = text ? strtoll(text, &rest, 10) : -1;
    const bool given = text && rest != text && mebibytes >= 0 && mebibytes < (1LL << 40);
    info.limit = (size_t)(given ? mebibytes : 1024) << 20;
    pthread_atfork(lock_pool, unlock_pool, unlock_pool);
}

/* The smallest class that holds `size`: index, and the class size through *rounded. */
static int class_of(size_t size, size_t *rounded) {
    if (size <= (size_t)1 << MIN_SHIFT) {
        *rounded = (size_t)1 << MIN_SHIFT;
        return 0;
    }
    const int shift = 63 - __builtin_clzll((unsigned long long)(size - 1));
    const size_t quarter = (size_t)1 << (shift - 2);
    const size_t steps = (size - 1 - ((size_t)1 << shift)) / quarter + 1; /* 1 .. 4 */
    *rounded = ((size_t)1 << shift) + steps * quarter;
    return 4 * (shift - MIN_SHIFT) + (int)steps;
}

static header *fresh_block(size_t size) {
    const bool huge = size >= HUGE_BLOCK;
    /* The header goes in front: a huge block starts a cache line into its first huge page. */
    const size_t alignment = huge ? HUGE_BLOCK : ALIGNMENT;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size + ALIGNMENT) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (huge)
        madvise(memory, size + ALIGNMENT, MADV_HUGEPAGE);
#endif
    return memory;
}

static void count_in_use(size_t size) {
    info.in_use += size;
    if (info.in_use > info.peak)
        info.peak = info.in_use;
}

void *nnf_alloc(size_t size) {
    pthread_once(&once, initialise);
    if (size > (size_t)1 << 46)
        return NULL;
    size_t rounded;
    const int index = class_of(size, &rounded);
    lock_pool();
    header *block = cached[index];
    if (block) {
        cached[index] = block->next;
        info.cached -= rounded;
        count_in_use(rounded);
    }
    unlock_pool();
    if (block)
        return (char *)block + ALIGNMENT;
    block = fresh_block(rounded);
    if (!block) { /* make room once */
        nnf_trim();
        block = fresh_block(rounded);
    }
    if (!block)
        return NULL;
    block->size = rounded;
    block->class_index = index;
    lock_pool();
    count_in_use(rounded);
    unlock_pool();
    return (char *)block + ALIGNMENT;
}

static header *header_of(const void *block) { return (header *)((char *)block - ALIGNMENT); }

size_t nnf_block_size(const void *block) { return header_of(block)->size; }

void nnf_free(void *block) {
    if (!block)
        return;
    header *head = header_of(block);
    lock_pool();
    info.in_use -= head->size;
    const bool keep = info.cached + head->size <= info.limit;
    if (keep) {
        head->next = cached[head->class_index];
        cached[head->class_index] = head;
        info.cached += head->size;
    }
    unlock_pool();
    if (!keep)
        free(head);
}

nnf_memory_info nnf_memory(void) {
    pthread_once(&once, initialise);
    lock_pool();
    const nnf_memory_info snapshot = info;
    unlock_pool();
    return snapshot;
}

void nnf_trim(void) {
    header *taken[CLASSES];
    lock_pool();
    for (int i = 0; i < CLASSES; i++) {
        taken[i] = cached[i];
        cached[i] = NULL;
    }
    info.cached = 0;
    unlock_pool();
    for (int i = 0; i < CLASSES; i++)
        while (taken[i]) {
            header *next = taken[i]->next;
            free(taken[i]);
            taken[i] = next;
        }
#ifdef __GLIBC__
    malloc_trim(0); /* glibc's free keeps blocks of up to 32 MiB, once it has seen such */
#endif
}
