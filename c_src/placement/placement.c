/* SPDX-License-Identifier: Apache-2.0
 * Filter, score, choose: one scan for verdicts and scores, one to pick among
 * the near ties. The best alone would be chosen by every selector at once
 * (Mitzenmacher, "How useful is old information?", 2000); a random one of the
 * good ones spreads them. */
#include "placement/placement.h"

#include "base/ensure.h"
#include "base/err.h"

enum {
    SCORE_MAX = 100000,     /* 100 points */
    NEAR_TIE_MILLI = 2000,  /* 2 points: the step of the load reports */
    POINT_MILLI = 1000,     /* one sandbox costs one point of its term */
    PERMILLE_TO_MILLI = 100 /* thousandths of a load to score units */
};

static const char *const verdict_names[PLACEMENT_VERDICTS] = {
    [PLACEMENT_CHOSEN] = "chosen",       [PLACEMENT_FITS] = "fits",
    [PLACEMENT_NOT_READY] = "not_ready", [PLACEMENT_NO_CPU] = "no_cpu",
    [PLACEMENT_NO_MEMORY] = "no_memory", [PLACEMENT_NO_SLOT] = "no_slot",
    [PLACEMENT_EXCLUDED] = "excluded",
};

const char *placement_verdict_name(enum placement_verdict verdict)
{
    ensure(verdict < PLACEMENT_VERDICTS);
    return verdict_names[verdict];
}

/* A capacity of 0 is unlimited. The same rule as for a claim in command/. */
static bool amount_fits(uint32_t committed, uint32_t need, uint32_t capacity)
{
    uint32_t limit = capacity == 0 ? UINT32_MAX : capacity;

    return committed <= limit && need <= limit - committed;
}

static enum placement_verdict filter(const struct placement_candidate *c,
                                     const struct placement_request *request)
{
    if (!c->is_ready) {
        return PLACEMENT_NOT_READY;
    }
    if (c->is_excluded) {
        return PLACEMENT_EXCLUDED;
    }
    if (!amount_fits(c->cpu_committed, request->cpu, c->cpu_capacity)) {
        return PLACEMENT_NO_CPU;
    }
    if (!amount_fits(c->memory_committed, request->memory,
                     c->memory_capacity)) {
        return PLACEMENT_NO_MEMORY;
    }
    if (!amount_fits(c->sandboxes, 1, c->sandboxes_max)) {
        return PLACEMENT_NO_SLOT;
    }
    return PLACEMENT_FITS;
}

/* What is taken of the capacity, in score units: 0..SCORE_MAX. */
static uint32_t committed_milli(uint32_t committed, uint32_t need,
                                uint32_t capacity)
{
    if (capacity == 0) {
        return 0;
    }
    /* It fits, so the quotient is at most SCORE_MAX. */
    return (uint32_t)(((uint64_t)committed + need) * SCORE_MAX / capacity);
}

static uint32_t load_milli(uint16_t load_permille)
{
    uint32_t milli = (uint32_t)load_permille * PERMILLE_TO_MILLI;

    return milli < SCORE_MAX ? milli : SCORE_MAX;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t sandboxes_milli(uint32_t sandboxes)
{
    return sandboxes < SCORE_MAX / POINT_MILLI ? sandboxes * POINT_MILLI
                                               : SCORE_MAX;
}

/* 0.4, 0.4 and 0.2 of three terms of 0..SCORE_MAX. */
static uint32_t weigh(uint32_t cpu, uint32_t memory, uint32_t sandboxes)
{
    return (4 * cpu + 4 * memory + 2 * sandboxes) / 10;
}

static uint32_t score(const struct placement_candidate *c,
                      const struct placement_request *request)
{
    uint32_t cpu =
        committed_milli(c->cpu_committed, request->cpu, c->cpu_capacity);
    uint32_t memory = committed_milli(c->memory_committed, request->memory,
                                      c->memory_capacity);
    uint32_t sandboxes = sandboxes_milli(c->sandboxes);

    if (request->profile == PLACEMENT_PACK) {
        /* Only what is committed attracts: a hot worker must not. */
        return weigh(cpu, memory, sandboxes);
    }
    cpu = greater(cpu, load_milli(c->cpu_load_permille));
    memory = greater(memory, load_milli(c->memory_load_permille));
    return weigh(SCORE_MAX - cpu, SCORE_MAX - memory, SCORE_MAX - sandboxes);
}

int placement_select(struct placement_candidate *candidates, size_t count,
                     const struct placement_request *request, struct rng *rng,
                     size_t *ret_index)
{
    uint32_t window =
        request->profile == PLACEMENT_RANDOM ? SCORE_MAX : NEAR_TIE_MILLI;
    uint32_t best = 0;
    uint64_t tie_count = 0;
    uint64_t skip;
    size_t i;

    for (i = 0; i < count; i++) {
        struct placement_candidate *c = &candidates[i];

        c->verdict = filter(c, request);
        c->score_milli = c->verdict == PLACEMENT_FITS ? score(c, request) : 0;
        best = greater(best, c->score_milli);
    }
    for (i = 0; i < count; i++) {
        tie_count += candidates[i].verdict == PLACEMENT_FITS &&
                     best - candidates[i].score_milli <= window;
    }
    if (tie_count == 0) {
        return ERR_NO_CAPACITY;
    }
    skip = rng_below(rng, tie_count);
    for (i = 0; i < count; i++) {
        if (candidates[i].verdict == PLACEMENT_FITS &&
            best - candidates[i].score_milli <= window && skip-- == 0) {
            break;
        }
    }
    ensure(i < count);
    candidates[i].verdict = PLACEMENT_CHOSEN;
    *ret_index = i;
    return 0;
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static uint64_t hash_bytes(const uint8_t *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * 0x100000001b3U;
    }
    return hash;
}

/* The weight of a member for an id: one step of SplitMix64 from a state that
 * depends on both. Never changes: replicas were placed by it. */
static uint64_t weight_of(uint64_t id_hash, uint64_t member)
{
    struct rng rng;

    rng_init(&rng, id_hash);
    rng_init(&rng, rng_next(&rng) ^ member);
    return rng_next(&rng);
}

/* Whether (weight, member) comes before the other: heavier first, and by the
 * greater id should weights ever be equal. */
static bool comes_before(uint64_t weight, uint64_t member,
                         uint64_t other_weight, uint64_t other_member)
{
    return weight != other_weight ? weight > other_weight
                                  : member > other_member;
}

void placement_replicas(const uint8_t *id, size_t id_size,
                        const uint64_t *members, size_t member_count,
                        size_t count, uint64_t *ret_chosen)
{
    uint64_t id_hash = hash_bytes(id, id_size);

    ensure(count <= member_count);
    /* Insertion into a short list that is kept in order. */
    for (size_t i = 0; i < member_count; i++) {
        uint64_t weight = weight_of(id_hash, members[i]);
        size_t place = i < count ? i : count;

        while (place > 0 &&
               comes_before(weight, members[i],
                            weight_of(id_hash, ret_chosen[place - 1]),
                            ret_chosen[place - 1])) {
            if (place < count) {
                ret_chosen[place] = ret_chosen[place - 1];
            }
            place--;
        }
        if (place < count) {
            ret_chosen[place] = members[i];
        }
    }
}

uint64_t placement_weight(struct bytes id, struct bytes name)
{
    return weight_of(hash_bytes(id.data, id.size),
                     hash_bytes(name.data, name.size));
}
