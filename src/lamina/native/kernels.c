/* The loops between the products of a training step, each in one pass over its numbers where torch takes several.
 *
 * Nothing is checked here: lamina/native/kernels.py says what it hands over. Loops are plain, and the compiler makes
 * vectors of them for several processors; the threads are those of torch, whose OpenMP this library shares. */

#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t i64;

/* Chosen when the library is loaded. Threads are started outside: a parallel region is not compiled anew. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_PROCESSORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_PROCESSORS
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define ON_ONE_THREAD 32768  /* numbers: with fewer, a second thread would not be worth waking */
#define COLUMNS 512          /* whose sums a thread keeps on its stack: in one array, threads wait for each other */
#define LARGEST_BLOCKS 64
#define LARGEST_NARROW 16384 /* weights of a layer of few outputs, which then fit on the stack */

static i64 smaller(i64 a, i64 b) { return a < b ? a : b; }

/* Parts of each of m things so that every thread has one; rows of a part of n; columns: whole lines of the cache. */
static i64 blocks_for(i64 m) { return m >= omp_get_max_threads() ? 1 : omp_get_max_threads(); }
static i64 part_of(i64 n, i64 blocks) { return (n + blocks - 1) / blocks; }
static i64 width_of(i64 n, i64 blocks) { return (part_of(n, blocks) + 15) / 16 * 16; }

enum { CROSS_ENTROPY, SQUARED_ERROR };

/* A step of Adam, the count-th from 1. */
struct adam {
    double rate, beta1, beta2, epsilon;
    i64 decoupled;
    double count;
};

/* What a layer of one member does: out (n, fan_out) <- dropout(σ(x weight + bias)), as in lamina_forward; a narrow one
 * as in lamina_narrow_forward, and σ where the slope is not 1. Addresses are of reals of the library's kind. */
struct layer {
    void *weight, *bias; /* weight (fan_in, fan_out), its rows weight_row numbers apart */
    void *by_weight, *by_bias;
    void *weight_mean, *weight_square, *bias_mean, *bias_square; /* Adam's moments, which lie as what they are of */
    void *by_x; /* where the gradient by the input of a first layer goes, or NULL */
    i64 out, gradients; /* where out begins among those of all layers, and what is by the parameters */
    i64 input, x;       /* of a first layer: which of the inputs it reads, and where in it */
    i64 weight_row, fan_in, fan_out, is_narrow, threshold;
    double slope, factor;
};

/* One step of m members on n rows. */
struct members_step {
    void *gemm, *set_threads;   /* BLAS's product of matrices, and what keeps it on one thread */
    const struct layer *layers; /* (m, depth) */
    void **inputs;              /* of each x (n, fan_in) or several, one after the other */
    int16_t **bits;             /* of each layer (n, m, fan_out), or NULL: no dropout */
    void *target, *weights;     /* as in lamina_loss */
    void *scratch; /* (threads, scratch_row): outs numbers for what the layers make, twice widest for each row,
                      gradients by parameters, LARGEST_NARROW */
    i64 scratch_row, outs, widest, gradients, threads, m, n, depth;
    i64 parts; /* of the rows of each member; 1, or such that m * parts is at most threads */
    i64 loss, of_member, of_row;
    double option;
    const struct adam *adam; /* NULL: the gradients are left in by_weight and by_bias, which are not filled otherwise */
    double decay;            /* of weights */
};

static void *allocate(i64 n_bytes)
{
    void *memory = malloc((size_t)n_bytes);
    if (!memory) abort(); /* a few thousand numbers */
    return memory;
}

/* On how many threads the products that this one asks for are made; returns how many it was. */
static int set_threads(const struct members_step *step, int n) { return ((int (*)(int))step->set_threads)(n); }

#define ONE_BY_TWO_PI 0.15915494309189535
#define LANES 16            /* rows of an embedding at once */
#define MOST_FREQUENCIES 32

/* Of sin(2 π r) / r = C0 + C1 r^2 + ...; with fewer of them for the digits of a float. */
#define C0 6.2831853071795862
#define C1 (-41.341702240399755)
#define C2 81.605249276075043
#define C3 (-76.705859753061361)
#define C4 42.058693944897634
#define C5 (-15.094642576822984)
#define C6 3.8199525848482803
#define C7 (-0.71812230177850012)
#define C8 0.10422916220813978
#define C9 (-0.012031585942120619)
#define C10 0.0011309237482517954
#define SERIES_OF_7(s, last) \
    (((((((last) * (s) + (REAL)C5) * (s) + (REAL)C4) * (s) + (REAL)C3) * (s) + (REAL)C2) * (s) + (REAL)C1) * (s) + \
     (REAL)C0)

#define REAL float
#define NAME(name) name##_float
#define SQRT sqrtf
#define EXP expf
#define LOG logf
#define RINT rintf
#define FABS fabsf
#define SERIES(s) SERIES_OF_7(s, (REAL)C6)
#include "of_reals.h"
#include "members.h"
#include "embeddings.h"
#undef REAL
#undef NAME
#undef SQRT
#undef EXP
#undef LOG
#undef RINT
#undef FABS
#undef SERIES
#define REAL double
#define NAME(name) name##_double
#define SQRT sqrt
#define EXP exp
#define LOG log
#define RINT rint
#define FABS fabs
#define SERIES(s) SERIES_OF_7(s, (((C10 * (s) + C9) * (s) + C8) * (s) + C7) * (s) + C6)
#include "of_reals.h"
#include "members.h"
#include "embeddings.h"
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

/* What Python must know before it calls: more would not fit on the stack. */
const i64 lamina_largest_narrow = LARGEST_NARROW, lamina_most_frequencies = MOST_FREQUENCIES;

/* What the structures take, for a test of those that Python fills in. */
const i64 lamina_size_of_adam = sizeof(struct adam), lamina_size_of_layer = sizeof(struct layer);
const i64 lamina_size_of_step = sizeof(struct members_step);

/* What the library was made of, so that one that is left over from other sources is not used. */
const char *lamina_source(void) { return LAMINA_SOURCE; }
