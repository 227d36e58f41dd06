/* SPDX-License-Identifier: Apache-2.0
 * Chooses a worker for a sandbox: filter, score, argmax with a seeded random
 * choice among near ties. Scores are integers, so that every member and every
 * replay agrees.
 *
 * Default profile `spread` (design section 12):
 *   0.4 (100 - cpu%) + 0.4 (100 - memory%) + 0.2 (100 - sandboxes)
 * each term at least 0; cpu% and memory% are the greater of what is committed
 * (with this request) and what is measured. */
#ifndef QUORATE_PLACEMENT_PLACEMENT_H
#define QUORATE_PLACEMENT_PLACEMENT_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum placement_verdict {
    PLACEMENT_CHOSEN,
    PLACEMENT_FITS,      /* scored, another one was better */
    PLACEMENT_NOT_READY, /* no live lease, or not attached */
    PLACEMENT_NO_CPU,
    PLACEMENT_NO_MEMORY,
    PLACEMENT_NO_SLOT,
    PLACEMENT_EXCLUDED, /* the caller ruled it out */
    PLACEMENT_VERDICTS  /* count */
};

/* An atom for each verdict, e.g. "no_memory". */
const char *placement_verdict_name(enum placement_verdict verdict);

enum placement_profile { PLACEMENT_SPREAD, PLACEMENT_PACK, PLACEMENT_RANDOM };

struct placement_candidate {
    uint32_t cpu_capacity;    /* thousandths of a core; 0: unlimited */
    uint32_t memory_capacity; /* MiB; 0: unlimited */
    uint32_t cpu_committed;   /* reservations of claims under way included */
    uint32_t memory_committed;
    uint32_t sandboxes;         /* with claims under way */
    uint32_t sandboxes_max;     /* 0: unlimited */
    uint16_t cpu_load_permille; /* measured */
    uint16_t memory_load_permille;
    bool is_ready;
    bool is_excluded;
    /* results */
    enum placement_verdict verdict;
    uint32_t score_milli; /* score x 1000, 0..100000 */
};

struct placement_request {
    uint32_t cpu;    /* thousandths of a core */
    uint32_t memory; /* MiB */
    enum placement_profile profile;
};

/* Fills verdict and score of every candidate and gives the index of the
 * chosen one: 0, or ERR_NO_CAPACITY. */
int placement_select(struct placement_candidate *candidates, size_t count,
                     const struct placement_request *request, struct rng *rng,
                     size_t *ret_index) MUST_USE;

/* Replicas for a sandbox: `count` of the members, by rendezvous hashing
 * (Thaler and Ravishankar 1998) of (id, member). Fills `ret_chosen`. */
void placement_replicas(const uint8_t *id, size_t id_size,
                        const uint64_t *members, size_t member_count,
                        size_t count, uint64_t *ret_chosen);

/* The weight of anybody with a name for this id, by the same hashing: who has
 * the greatest one is chosen, by all who see the same names. */
uint64_t placement_weight(struct bytes id, struct bytes name);

#endif
