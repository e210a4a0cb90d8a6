/* stream.h: whether a result is better written past the caches.
 *
 * A store into the cache first reads the line from memory. For a result that the cache cannot keep
 * for its reader that is a third of the traffic of a copy: measured on copies that read the last
 * one's result, two threads, 32 MB of cache: streamed, a result of 8 MB takes 1.7 times as long,
 * one of 16 MB the same, 24 MB 0.85, 51 MB 0.78 (0.64 when the source is partly cached).
 */
#ifndef NNF_STREAM_H
#define NNF_STREAM_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `bytes`, read and written, are more than the last-level cache can make good use of. */
bool nnf_outgrows_cache(size_t bytes);

#endif
