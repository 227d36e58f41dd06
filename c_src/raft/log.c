/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

enum { CHUNK_SIZE_MIN = 128 * 1024, SLOTS_MIN = 64, SLOTS_SHRUNK_FROM = 4096 };

struct log_chunk {
    struct log_chunk *older; /* the chunk that was filled before */
    struct log_chunk *newer; /* owned; the chunk that was filled after */
    size_t dropped;          /* bytes of entries that were cut */
    size_t used;             /* bytes in use, those included */
    size_t size;             /* bytes there are */
    uint8_t data[];
};

void log_init(struct log *log)
{
    *log = (struct log){.count = 0};
}

static void free_chunks(struct log *log)
{
    struct log_chunk *newer;

    for (struct log_chunk *chunk = log->oldest; chunk != NULL; chunk = newer) {
        newer = chunk->newer;
        mem_free(chunk);
    }
    log->oldest = NULL;
    log->newest = NULL;
}

void log_close(struct log *log)
{
    if (log == NULL) {
        return;
    }
    free_chunks(log);
    mem_free(log->spare);
    mem_free(log->slots);
    log_init(log);
}

static bool chunk_has_room(const struct log_chunk *chunk, size_t size)
{
    return chunk != NULL && size <= chunk->size - chunk->used;
}

/* The slots of cut entries are free again. */
static void move_slots(struct log *log)
{
    if (log->count > 0) {
        memmove(log->slots, log->slots + log->head,
                log->count * sizeof(*log->slots));
    }
    log->head = 0;
}

static int reserve_slots(struct log *log, size_t count)
{
    size_t capacity = log->capacity < SLOTS_MIN ? SLOTS_MIN : log->capacity;
    struct log_slot *slots;

    if (count <= log->capacity - log->head - log->count) {
        return 0;
    }
    /* Moving costs no more than was cut since. */
    if (log->head >= log->count && log->head > 0) {
        move_slots(log);
        if (count <= log->capacity - log->count) {
            return 0;
        }
    }
    while (capacity - log->head - log->count < count) {
        capacity += capacity / 2;
    }
    slots = mem_realloc(log->slots, capacity * sizeof(*slots));
    if (slots == NULL) {
        return ERR_NOMEM;
    }
    log->slots = slots;
    log->capacity = capacity;
    return 0;
}

int log_reserve(struct log *log, size_t count, size_t size)
{
    size_t chunk_size = size < CHUNK_SIZE_MIN ? CHUNK_SIZE_MIN : size;
    struct log_chunk *chunk;
    int rv;

    rv = reserve_slots(log, count);
    if (rv != 0) {
        return rv;
    }
    if (size == 0 || chunk_has_room(log->newest, size) ||
        chunk_has_room(log->spare, size)) {
        return 0;
    }
    chunk = mem_alloc(sizeof(*chunk) + chunk_size);
    if (chunk == NULL) {
        return ERR_NOMEM;
    }
    chunk->size = chunk_size;
    mem_free(log->spare);
    log->spare = chunk;
    return 0;
}

static void push_spare(struct log *log)
{
    log->spare->older = log->newest;
    if (log->newest == NULL) {
        log->oldest = log->spare;
    } else {
        log->newest->newer = log->spare;
    }
    log->newest = log->spare;
    log->spare = NULL;
}

void log_append(struct log *log, uint64_t term, enum raft_entry_type type,
                struct bytes data)
{
    struct log_slot *slot = &log->slots[log->head + log->count];
    uint8_t *room;

    ensure(log->head + log->count < log->capacity);
    ensure(data.size <= UINT32_MAX);
    ensure(term >= log_term(log, log_last(log)));
    *slot = (struct log_slot){
        .term = term, .size = (uint32_t)data.size, .type = (uint32_t)type};
    log->count++;
    if (data.size == 0) {
        return;
    }
    if (!chunk_has_room(log->newest, data.size)) {
        ensure(chunk_has_room(log->spare, data.size));
        push_spare(log);
    }
    room = log->newest->data + log->newest->used;
    memcpy(room, data.data, data.size);
    log->newest->used += data.size;
    slot->data = room;
}

/* A chunk that was reserved from must not vanish: the emptied one stays as the
 * spare if it is the greater. */
static void drop_newest(struct log *log)
{
    struct log_chunk *chunk = log->newest;

    log->newest = chunk->older;
    if (log->newest == NULL) {
        log->oldest = NULL;
    } else {
        log->newest->newer = NULL;
    }
    chunk->older = NULL;
    chunk->used = 0;
    chunk->dropped = 0;
    if (log->spare != NULL && log->spare->size >= chunk->size) {
        mem_free(chunk);
        return;
    }
    mem_free(log->spare);
    log->spare = chunk;
}

void log_truncate(struct log *log, uint64_t index)
{
    ensure(index > log->base);
    ensure(index <= log_last(log) + 1);
    while (log_last(log) >= index) {
        const struct log_slot *slot;

        log->count--;
        slot = &log->slots[log->head + log->count];
        if (slot->size == 0) {
            continue;
        }
        ensure(log->newest != NULL);
        ensure(log->newest->used - log->newest->dropped >= slot->size);
        log->newest->used -= slot->size;
        if (log->newest->used == log->newest->dropped) {
            drop_newest(log);
        }
    }
}

/* What is in no use at the old end. */
static void free_oldest(struct log *log)
{
    while (log->oldest != log->newest &&
           log->oldest->dropped == log->oldest->used) {
        struct log_chunk *chunk = log->oldest;

        log->oldest = chunk->newer;
        log->oldest->older = NULL;
        mem_free(chunk);
    }
}

static void drop_data(struct log *log, size_t size)
{
    free_oldest(log);
    ensure(log->oldest != NULL);
    ensure(log->oldest->used - log->oldest->dropped >= size);
    log->oldest->dropped += size;
}

/* A log that was long once does not keep its slots for ever. */
static void shrink_slots(struct log *log)
{
    size_t capacity = 2 * log->count + SLOTS_MIN;
    struct log_slot *slots;

    if (log->capacity < SLOTS_SHRUNK_FROM || log->capacity < 4 * capacity) {
        return;
    }
    move_slots(log);
    slots = mem_realloc(log->slots, capacity * sizeof(*slots));
    if (slots != NULL) {
        log->slots = slots;
        log->capacity = capacity;
    }
}

void log_cut(struct log *log, uint64_t index)
{
    ensure(index >= log->base);
    ensure(index <= log_last(log));
    log->base_term = log_term(log, index);
    while (log->base < index) {
        size_t size = log->slots[log->head].size;

        if (size > 0) {
            drop_data(log, size);
        }
        log->base++;
        log->head++;
        log->count--;
    }
    free_oldest(log);
    if (log->oldest != NULL && log->oldest->dropped == log->oldest->used) {
        log->oldest->dropped = 0;
        log->oldest->used = 0;
    }
    shrink_slots(log);
}

void log_reset(struct log *log, uint64_t index, uint64_t term)
{
    free_chunks(log);
    log->head = 0;
    log->count = 0;
    log->base = index;
    log->base_term = term;
}

static const struct log_slot *slot_at(const struct log *log, uint64_t index)
{
    return &log->slots[log->head + (index - log->base - 1)];
}

struct raft_entry log_get(const struct log *log, uint64_t index)
{
    const struct log_slot *slot;

    ensure(index > log->base);
    ensure(index <= log_last(log));
    slot = slot_at(log, index);
    return (struct raft_entry){.index = index,
                               .term = slot->term,
                               .type = (enum raft_entry_type)slot->type,
                               .data = bytes_of(slot->data, slot->size)};
}

uint64_t log_term(const struct log *log, uint64_t index)
{
    ensure(index >= log->base);
    ensure(index <= log_last(log));
    return index == log->base ? log->base_term : slot_at(log, index)->term;
}

bool log_has(const struct log *log, uint64_t index, uint64_t term)
{
    return index >= log->base && index <= log_last(log) &&
           log_term(log, index) == term;
}

uint64_t log_find_term(const struct log *log, uint64_t index, uint64_t term)
{
    uint64_t low = log->base;
    uint64_t high = index < log_last(log) ? index : log_last(log);

    if (high < low) {
        return high;
    }
    if (log->base_term > term) {
        return low - 1;
    }
    /* Terms never fall along the log: halve the range. */
    while (low < high) {
        uint64_t middle = high - (high - low) / 2;

        if (log_term(log, middle) <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}
