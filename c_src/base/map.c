/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

enum {
    SLOT_COUNT_MIN = 16,
    AHEAD = 12, /* slots; more or fewer made no difference from 8 to 32 */
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t map_hash(const uint64_t seed[2], struct bytes key)
{
    uint64_t v[4] = {
        seed[0] ^ 0x736f6d6570736575U, seed[1] ^ 0x646f72616e646f6dU,
        seed[0] ^ 0x6c7967656e657261U, seed[1] ^ 0x7465646279746573U};
    uint64_t last = (uint64_t)key.size << 56;
    size_t whole = key.size & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;

        memcpy(&word, key.data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = whole; i < key.size; i++) {
        last |= (uint64_t)key.data[i] << (8 * (i - whole));
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map, size_t count_max, uint64_t seed)
{
    *map = (struct map){.count_max = count_max,
                        .seed = {seed, ~seed * 0x9e3779b97f4a7c15U}};
}

void map_close(struct map *map)
{
    if (map != NULL) {
        mem_free(map->slots);
        map->slots = NULL;
        map->slot_count = 0;
        map->count = 0;
    }
}

/* The slot that holds `key`, or the free one where it would go. */
static size_t find_slot(const struct map *map, struct bytes key, uint64_t hash)
{
    size_t mask = map->slot_count - 1;
    size_t i = (size_t)hash & mask;

    while (
        map->slots[i].value != NULL &&
        (map->slots[i].hash != hash || !bytes_equal(map->slots[i].key, key))) {
        i = (i + 1) & mask;
    }
    return i;
}

void *map_get(const struct map *map, struct bytes key)
{
    if (map->count == 0) {
        return NULL;
    }
    return map->slots[find_slot(map, key, map_hash(map->seed, key))].value;
}

static int resize(struct map *map, size_t slot_count)
{
    struct map bigger = *map;

    bigger.slot_count = slot_count;
    bigger.slots = mem_alloc_array(bigger.slot_count, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < map->slot_count; i++) {
        const struct map_slot *slot = &map->slots[i];

        if (slot->value != NULL) {
            bigger.slots[find_slot(&bigger, slot->key, slot->hash)] = *slot;
        }
    }
    mem_free(map->slots);
    *map = bigger;
    return 0;
}

/* At most three quarters full, so that probing stays short. */
static bool has_room(size_t slot_count, size_t count)
{
    return count * 4 <= slot_count * 3;
}

int map_reserve(struct map *map, size_t count)
{
    size_t slot_count = map->slot_count == 0 ? SLOT_COUNT_MIN : map->slot_count;

    if (count > map->count_max) {
        return ERR_LIMIT;
    }
    while (!has_room(slot_count, count)) {
        slot_count *= 2;
    }
    return slot_count == map->slot_count ? 0 : resize(map, slot_count);
}

int map_put(struct map *map, struct bytes key, void *value)
{
    uint64_t hash = map_hash(map->seed, key);
    size_t i;

    ensure(value != NULL);
    if (map->count > 0) {
        i = find_slot(map, key, hash);
        if (map->slots[i].value != NULL) {
            map->slots[i].key = key;
            map->slots[i].value = value;
            return 0;
        }
    }
    if (map->count >= map->count_max) {
        return ERR_LIMIT;
    }
    if (!has_room(map->slot_count, map->count + 1)) {
        int rv = map_reserve(map, map->count + 1);

        if (rv != 0) {
            return rv;
        }
    }
    i = find_slot(map, key, hash);
    map->slots[i] = (struct map_slot){.key = key, .value = value, .hash = hash};
    map->count++;
    return 0;
}

void *map_remove(struct map *map, struct bytes key)
{
    size_t mask = map->slot_count - 1;
    size_t hole;
    void *value;

    if (map->count == 0) {
        return NULL;
    }
    hole = find_slot(map, key, map_hash(map->seed, key));
    value = map->slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    /* Backward shift (Knuth, TAOCP 3, 6.4, algorithm R): move up every later
     * entry of the run whose home is not between the hole and itself. */
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL;
         i = (i + 1) & mask) {
        size_t home = (size_t)map->slots[i].hash & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct map_slot){.value = NULL};
    map->count--;
    return value;
}

void *map_next(const struct map *map, size_t *position)
{
    while (*position < map->slot_count) {
        size_t ahead = (*position + AHEAD) & (map->slot_count - 1);
        void *value = map->slots[(*position)++].value;

        /* Whoever walks looks at each, and all are somewhere else. */
        __builtin_prefetch(map->slots[ahead].value);
        __builtin_prefetch(map->slots[ahead].key.data);
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
