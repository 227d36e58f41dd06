/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/writes.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 16 };

static struct write *write_at(const struct writes *writes, size_t position)
{
    return &writes->ring[(writes->head + position) & (writes->capacity - 1)];
}

void writes_init(struct writes *writes, uint64_t index)
{
    *writes = (struct writes){.persisted_index = index};
}

void writes_close(struct writes *writes)
{
    if (writes != NULL) {
        mem_free(writes->ring);
        writes_init(writes, 0);
    }
}

int writes_reserve(struct writes *writes)
{
    size_t capacity =
        writes->capacity == 0 ? CAPACITY_MIN : writes->capacity * 2;
    struct write *ring;

    if (writes->count < writes->capacity) {
        return 0;
    }
    ring = mem_alloc_array(capacity, sizeof(*ring));
    if (ring == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < writes->count; i++) {
        ring[i] = *write_at(writes, i);
    }
    mem_free(writes->ring);
    writes->ring = ring;
    writes->capacity = capacity;
    writes->head = 0;
    return 0;
}

void writes_reset(struct writes *writes, uint64_t index)
{
    writes->head = 0;
    writes->count = 0;
    writes->persisted_index = index;
}

void writes_truncate(struct writes *writes, uint64_t index)
{
    ensure(index >= 1);
    if (writes->persisted_index >= index) {
        writes->persisted_index = index - 1;
    }
    while (writes->count > 0) {
        struct write *newest = write_at(writes, writes->count - 1);

        if (newest->first < index) {
            newest->last = newest->last < index ? newest->last : index - 1;
            return;
        }
        writes->count--;
    }
}

void writes_begin(struct writes *writes, uint64_t seq, uint64_t first,
                  uint64_t last)
{
    ensure(writes->count < writes->capacity);
    ensure(first <= last);
    ensure(first > writes->persisted_index);
    if (writes->count > 0) {
        ensure(write_at(writes, writes->count - 1)->last + 1 == first);
        ensure(write_at(writes, writes->count - 1)->seq < seq);
    }
    writes->count++;
    *write_at(writes, writes->count - 1) =
        (struct write){.seq = seq, .first = first, .last = last};
}

void writes_done(struct writes *writes, uint64_t seq)
{
    while (writes->count > 0 && write_at(writes, 0)->seq <= seq) {
        writes->persisted_index = write_at(writes, 0)->last;
        writes->head = (writes->head + 1) & (writes->capacity - 1);
        writes->count--;
    }
}
