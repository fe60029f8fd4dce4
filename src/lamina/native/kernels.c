/* The loops between the products of a training step, each in one pass over its numbers where torch takes several.
 *
 * Python has checked every argument (lamina/native/kernels.py). Loops are plain, and the compiler makes them for what
 * processors there are; the threads are those of torch, whose OpenMP this library shares. */

#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef int64_t i64;

/* Chosen when the library is loaded. Threads must be started outside: code in a parallel region is not compiled anew. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_PROCESSORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_PROCESSORS
#endif

#define ON_ONE_THREAD 32768  /* numbers: with fewer, a second thread would not be worth waking */
#define COLUMNS 512          /* whose sums a thread keeps on its stack: in one array, threads would wait for each other */
#define LARGEST_BLOCKS 64
#define LARGEST_NARROW 16384 /* weights of a layer of few outputs, which then fit on the stack */

static i64 smaller(i64 a, i64 b) { return a < b ? a : b; }

/* Parts of each of m things so that every thread has one; rows of a part of n; columns: whole lines of the cache. */
static i64 blocks_for(i64 m) { return m >= omp_get_max_threads() ? 1 : omp_get_max_threads(); }
static i64 part_of(i64 n, i64 blocks) { return (n + blocks - 1) / blocks; }
static i64 width_of(i64 n, i64 blocks) { return (part_of(n, blocks) + 15) / 16 * 16; }

static void *allocate(i64 n_bytes)
{
    void *memory = malloc((size_t)n_bytes);
    if (!memory) abort(); /* a few thousand numbers */
    return memory;
}

#define REAL float
#define NAME(name) name##_float
#define SQRT sqrtf
#define EXP expf
#define LOG logf
#include "of_reals.h"
#undef REAL
#undef NAME
#undef SQRT
#undef EXP
#undef LOG
#define REAL double
#define NAME(name) name##_double
#define SQRT sqrt
#define EXP exp
#define LOG log
#include "of_reals.h"
#include "pixels.h"

FOR_PROCESSORS static void xorshift_part(uint64_t *x, i64 from, i64 to)
{
    for (i64 i = from; i < to; i++) {
        uint64_t word = x[i];
        word ^= word << 13;
        word ^= word >> 7;
        x[i] = word ^ word << 17;
    }
}

/* The next number of each xorshift sequence (Marsaglia 2003, "Xorshift RNGs"). */
void lamina_xorshift(uint64_t *x, i64 n)
{
    i64 blocks = blocks_for(1), width = width_of(n, blocks);
#pragma omp parallel for schedule(static) if (n > ON_ONE_THREAD)
    for (i64 block = 0; block < blocks; block++) xorshift_part(x, block * width, smaller(n, (block + 1) * width));
}

/* What the library was made of, so that one that is left over from other sources is not used. */
const char *lamina_source(void) { return LAMINA_SOURCE; }
