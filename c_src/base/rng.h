/* SPDX-License-Identifier: Apache-2.0
 * Seeded random numbers for machines and simulations (never for secrets):
 * SplitMix64; Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators" (2014). */
#ifndef QUORATE_BASE_RNG_H
#define QUORATE_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

void rng_init(struct rng *rng, uint64_t seed);

/* 64 random bits. */
uint64_t rng_next(struct rng *rng);

/* Uniform in [0, bound); `bound` > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

#endif
