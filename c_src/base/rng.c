/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include "base/ensure.h"

void rng_init(struct rng *rng, uint64_t seed)
{
    rng->state = seed;
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    uint64_t excess;
    uint64_t value;

    ensure(bound > 0);
    /* Draw again from the last, incomplete run of `bound` values. */
    excess = (UINT64_MAX % bound + 1) % bound;
    do {
        value = rng_next(rng);
    } while (value > UINT64_MAX - excess);
    return value % bound;
}
