/* SPDX-License-Identifier: Apache-2.0
 * Linearizable reads without the disk: Raft 6.4. A read remembers the commit
 * index at its arrival and is answered once a majority has confirmed the term
 * in a round that began after it. Reads that arrive during a round wait for
 * the next one together.
 *
 *   items  [ answered | of the round under way | of the next round ]
 *                      ^head                   ^head + round_count      */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "raft/internal.h"

#include <string.h>

static int reserve_item(struct reads *reads)
{
    size_t capacity = reads->capacity == 0 ? 16 : reads->capacity * 2;
    struct raft_read *items;

    if (reads->head + reads->count < reads->capacity) {
        return 0;
    }
    /* At least half is free: moving costs no more than was added since. */
    if (reads->head > 0 && reads->head >= reads->count) {
        memmove(reads->items, reads->items + reads->head,
                reads->count * sizeof(*reads->items));
        reads->head = 0;
        return 0;
    }
    items = mem_realloc(reads->items, capacity * sizeof(*items));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    reads->items = items;
    reads->capacity = capacity;
    return 0;
}

static bool is_confirmed(const struct raft *raft)
{
    uint64_t round = raft->reads.round;

    return RAFT_IS_MUTATED(STALE_READ) ||
           quorum_reach(raft, QUORUM_READ_SEQ, round) >= round;
}

static void take(struct raft *raft, size_t count)
{
    struct reads *reads = &raft->reads;

    if (raft->read_done_count == 0) {
        raft->read_done = reads->items + reads->head;
    }
    raft->read_done_count += count;
    reads->head += count;
    reads->count -= count;
    reads->round_count -=
        count < reads->round_count ? count : reads->round_count;
}

void read_advance(struct raft *raft)
{
    struct reads *reads = &raft->reads;

    ensure(raft->role == RAFT_LEADER);
    if (reads->round_count > 0 && is_confirmed(raft)) {
        take(raft, reads->round_count);
    }
    /* Before the no-op is committed, the commit index may be behind what
     * earlier leaders have acknowledged. */
    if (reads->round_count > 0 || reads->count == 0 ||
        raft->commit < raft->term_start) {
        return;
    }
    reads->round++;
    reads->round_count = reads->count;
    replication_send_heartbeats(raft);
    if (is_confirmed(raft)) {
        take(raft, reads->round_count);
    }
}

int read_add(struct raft *raft, uint64_t read_id)
{
    struct reads *reads = &raft->reads;
    uint64_t index;
    int rv;

    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (reads->count >= READS_MAX) {
        return ERR_BUSY;
    }
    rv = reserve_item(reads);
    if (rv != 0) {
        return rv;
    }
    index = raft->commit < raft->term_start ? raft->term_start : raft->commit;
    reads->items[reads->head + reads->count] =
        (struct raft_read){.read_id = read_id, .index = index};
    reads->count++;
    read_advance(raft);
    return 0;
}

void read_fail_all(struct raft *raft)
{
    struct reads *reads = &raft->reads;

    for (size_t i = 0; i < reads->count; i++) {
        reads->items[reads->head + i].is_failed = true;
    }
    if (reads->count > 0) {
        take(raft, reads->count);
    }
    reads->round_count = 0;
}
