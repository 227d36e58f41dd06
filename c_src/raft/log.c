/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

enum { CHUNK_SIZE_MIN = 128 * 1024, SLOTS_MIN = 64 };

struct log_chunk {
    struct log_chunk *older; /* owned; the chunk that was filled before */
    size_t used;             /* bytes in use */
    size_t size;             /* bytes there are */
    uint8_t data[];
};

void log_init(struct log *log)
{
    *log = (struct log){.count = 0};
}

void log_close(struct log *log)
{
    struct log_chunk *older;

    if (log == NULL) {
        return;
    }
    for (struct log_chunk *chunk = log->newest; chunk != NULL; chunk = older) {
        older = chunk->older;
        mem_free(chunk);
    }
    mem_free(log->spare);
    mem_free(log->slots);
    log_init(log);
}

static bool chunk_has_room(const struct log_chunk *chunk, size_t size)
{
    return chunk != NULL && size <= chunk->size - chunk->used;
}

static int reserve_slots(struct log *log, size_t count)
{
    size_t capacity = log->capacity < SLOTS_MIN ? SLOTS_MIN : log->capacity;
    struct log_slot *slots;

    if (count <= log->capacity - log->count) {
        return 0;
    }
    while (capacity - log->count < count) {
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

void log_append(struct log *log, uint64_t term, enum raft_entry_type type,
                struct bytes data)
{
    struct log_slot *slot = &log->slots[log->count];
    uint8_t *room;

    ensure(log->count < log->capacity);
    ensure(data.size <= UINT32_MAX);
    ensure(term >= log_term(log, log->count));
    *slot = (struct log_slot){
        .term = term, .size = (uint32_t)data.size, .type = (uint32_t)type};
    log->count++;
    if (data.size == 0) {
        return;
    }
    if (!chunk_has_room(log->newest, data.size)) {
        ensure(chunk_has_room(log->spare, data.size));
        log->spare->older = log->newest;
        log->newest = log->spare;
        log->spare = NULL;
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
    chunk->older = NULL;
    if (log->spare != NULL && log->spare->size >= chunk->size) {
        mem_free(chunk);
        return;
    }
    mem_free(log->spare);
    log->spare = chunk;
}

void log_truncate(struct log *log, uint64_t index)
{
    ensure(index >= 1);
    ensure(index <= log->count + 1);
    while (log->count >= index) {
        log->count--;
        if (log->slots[log->count].size == 0) {
            continue;
        }
        ensure(log->newest != NULL);
        ensure(log->newest->used >= log->slots[log->count].size);
        log->newest->used -= log->slots[log->count].size;
        if (log->newest->used == 0) {
            drop_newest(log);
        }
    }
}

struct raft_entry log_get(const struct log *log, uint64_t index)
{
    const struct log_slot *slot;

    ensure(index >= 1);
    ensure(index <= log->count);
    slot = &log->slots[index - 1];
    return (struct raft_entry){.index = index,
                               .term = slot->term,
                               .type = (enum raft_entry_type)slot->type,
                               .data = bytes_of(slot->data, slot->size)};
}

uint64_t log_term(const struct log *log, uint64_t index)
{
    ensure(index <= log->count);
    return index == 0 ? 0 : log->slots[index - 1].term;
}

uint64_t log_find_term(const struct log *log, uint64_t index, uint64_t term)
{
    uint64_t low = 0;
    uint64_t high = index < log->count ? index : log->count;

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
