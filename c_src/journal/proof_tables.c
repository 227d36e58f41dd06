/* SPDX-License-Identifier: Apache-2.0
 * Finds what a proof remembers, or makes room for it. */
#include "base/err.h"
#include "base/mem.h"
#include "journal/proof_parts.h"

/* Structures end with their keys, or have them inside. */
static void *put(struct map *map, struct bytes key, void *value)
{
    if (value == NULL || map_put(map, key, value) != 0) {
        mem_free(value);
        return NULL;
    }
    return value;
}

struct proof_name *proof_name(struct proof *proof, struct bytes text)
{
    struct proof_name *name = map_get(&proof->names, text);

    if (name != NULL) {
        return name;
    }
    name = mem_alloc(sizeof(*name) + text.size);
    if (name == NULL) {
        return NULL;
    }
    if (text.size > 0) {
        memcpy(name + 1, text.data, text.size);
    }
    name->text = bytes_of(name + 1, text.size);
    name->index_from = UINT64_MAX;
    return put(&proof->names, name->text, name);
}

struct proof_subject *proof_subject(struct proof *proof, struct bytes id)
{
    struct proof_subject *subject = map_get(&proof->subjects, id);

    if (subject != NULL) {
        return subject;
    }
    subject = mem_alloc(sizeof(*subject) + id.size);
    if (subject == NULL) {
        return NULL;
    }
    if (id.size > 0) {
        memcpy(subject + 1, id.data, id.size);
    }
    subject->id = bytes_of(subject + 1, id.size);
    subject->number = proof->subjects.count + 1;
    list_init(&subject->claims);
    list_init(&subject->spans);
    return put(&proof->subjects, subject->id, subject);
}

static void put_number(uint8_t *to, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)(number >> (8 * i));
    }
}

static void claim_key(uint8_t key[16], const struct proof_subject *subject,
                      uint64_t epoch)
{
    put_number(key, epoch);
    put_number(key + 8, subject->number);
}

struct proof_claim *proof_find_claim(const struct proof *proof,
                                     const struct proof_subject *subject,
                                     uint64_t epoch)
{
    uint8_t key[16];

    claim_key(key, subject, epoch);
    return map_get(&proof->claims, bytes_of(key, sizeof(key)));
}

struct proof_claim *proof_claim(struct proof *proof,
                                struct proof_subject *subject, uint64_t epoch,
                                bool *ret_is_new)
{
    struct proof_claim *claim = proof_find_claim(proof, subject, epoch);

    *ret_is_new = claim == NULL;
    if (claim != NULL) {
        return claim;
    }
    claim = mem_alloc(sizeof(*claim));
    if (claim == NULL) {
        return NULL;
    }
    claim_key(claim->key, subject, epoch);
    claim->epoch = epoch;
    list_init(&claim->orders);
    claim =
        put(&proof->claims, bytes_of(claim->key, sizeof(claim->key)), claim);
    if (claim != NULL) {
        list_append(&subject->claims, &claim->link);
    }
    return claim;
}

/* One entry of the log may grant leases to more than one worker. */
static void put_lease_key(uint8_t key[PROOF_LEASE_KEY_SIZE],
                          const struct proof_name *worker, uint64_t number)
{
    put_number(key, number);
    put_number(key + 8, (uintptr_t)worker);
}

const struct proof_lease *proof_find_lease(const struct proof *proof,
                                           const struct proof_name *worker,
                                           uint64_t number)
{
    uint8_t key[PROOF_LEASE_KEY_SIZE];

    put_lease_key(key, worker, number);
    return map_get(&proof->leases, bytes_of(key, sizeof(key)));
}

struct proof_lease *proof_lease(struct proof *proof, struct bytes name,
                                uint64_t number)
{
    const struct proof_name *worker = proof_name(proof, name);
    uint8_t key[PROOF_LEASE_KEY_SIZE];
    struct proof_lease *lease;

    if (worker == NULL) {
        return NULL;
    }
    put_lease_key(key, worker, number);
    lease = map_get(&proof->leases, bytes_of(key, sizeof(key)));
    if (lease != NULL) {
        return lease;
    }
    lease = mem_alloc(sizeof(*lease));
    if (lease == NULL) {
        return NULL;
    }
    memcpy(lease->key, key, sizeof(key));
    list_init(&lease->hearings);
    return put(&proof->leases, bytes_of(lease->key, sizeof(lease->key)), lease);
}

const struct proof_life *proof_find_life(const struct proof *proof,
                                         const uint8_t *key)
{
    return map_get(&proof->lives, bytes_of(key, JOURNAL_RUN_SIZE));
}

struct proof_life *proof_life(struct proof *proof, const uint8_t *key)
{
    struct proof_life *life =
        map_get(&proof->lives, bytes_of(key, JOURNAL_RUN_SIZE));

    if (life != NULL) {
        return life;
    }
    life = mem_alloc(sizeof(*life));
    if (life == NULL) {
        return NULL;
    }
    memcpy(life->key, key, sizeof(life->key));
    list_init(&life->deaths);
    return put(&proof->lives, bytes_of(life->key, sizeof(life->key)), life);
}

struct proof_floor *proof_floor(struct proof *proof,
                                const struct proof_subject *subject)
{
    struct proof_floor *floor;
    uint8_t key[sizeof(floor->key)];

    put_number(key, subject->number);
    memcpy(key + 8, proof->run->key, JOURNAL_RUN_SIZE);
    floor = map_get(&proof->floors, bytes_of(key, sizeof(key)));
    if (floor != NULL) {
        return floor;
    }
    floor = mem_alloc(sizeof(*floor));
    if (floor == NULL) {
        return NULL;
    }
    memcpy(floor->key, key, sizeof(key));
    return put(&proof->floors, bytes_of(floor->key, sizeof(key)), floor);
}

struct proof_run *proof_run(struct proof *proof, const uint8_t *key)
{
    struct proof_run *run =
        map_get(&proof->runs_by_key, bytes_of(key, JOURNAL_RUN_SIZE));

    if (run != NULL) {
        return run;
    }
    run = mem_alloc(sizeof(*run));
    if (run == NULL) {
        return NULL;
    }
    memcpy(run->key, key, sizeof(run->key));
    list_init(&run->open);
    list_init(&run->tenures);
    list_init(&run->gones);
    run = put(&proof->runs_by_key, bytes_of(run->key, sizeof(run->key)), run);
    if (run != NULL) {
        list_append(&proof->runs, &run->link);
    }
    return run;
}
