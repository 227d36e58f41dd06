/* SPDX-License-Identifier: Apache-2.0
 * A core from its settings and from what was on disk. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "raft/internal.h"
#include "raft/raft.h"

enum { ELECTION_TIMEOUT_MAX_MS = 60 * 60 * 1000 };

static int config_check(const struct raft_config *config)
{
    if (config->id == 0 || config->voter_count > RAFT_VOTERS_MAX ||
        config->election_timeout_ms == 0 ||
        config->election_timeout_ms > ELECTION_TIMEOUT_MAX_MS ||
        config->election_rank > RAFT_RANK_MAX ||
        config->chunk_size > RAFT_CHUNK_SIZE_MAX ||
        config->heartbeat_interval_ms == 0 ||
        config->heartbeat_interval_ms >=
            (config->election_timeout_ms + 1) / 2) {
        return ERR_BADARG;
    }
    for (uint32_t i = 0; i < config->voter_count; i++) {
        if (config->voters[i] == 0) {
            return ERR_BADARG;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (config->voters[i] == config->voters[j]) {
                return ERR_BADARG;
            }
        }
    }
    return 0;
}

static int snapshot_check(const struct raft_recovered *recovered)
{
    const struct raft_snapshot *snapshot = recovered->snapshot;
    uint64_t first =
        recovered->entry_count == 0 ? 1 : recovered->entries[0].index;

    if (snapshot == NULL) {
        return first == 1 ? 0 : ERR_CORRUPT;
    }
    if (snapshot->index == 0 || snapshot->index > MESSAGE_NUMBER_MAX ||
        snapshot->term == 0 || snapshot->term > MESSAGE_NUMBER_MAX ||
        snapshot->size == 0 || membership_check(&snapshot->membership) != 0 ||
        first == 0 || first > snapshot->index + 1) {
        return ERR_CORRUPT;
    }
    return 0;
}

static int recovered_check(const struct raft_recovered *recovered)
{
    uint64_t term = 0;

    if (snapshot_check(recovered) != 0) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < recovered->entry_count; i++) {
        const struct raft_entry *entry = &recovered->entries[i];

        if (entry->index != recovered->entries[0].index + i ||
            entry->term == 0 || entry->term < term ||
            message_check_entry(entry->type, entry->data) != 0) {
            return ERR_CORRUPT;
        }
        term = entry->term;
    }
    if (term > recovered->term || recovered->term > MESSAGE_NUMBER_MAX) {
        return ERR_CORRUPT;
    }
    return 0;
}

/* Whether the entries go on where the snapshot ends. If they do not, it came
 * from a leader and they were to give way to it. */
static bool is_continued(const struct raft_recovered *recovered)
{
    const struct raft_snapshot *snapshot = recovered->snapshot;
    uint64_t first;

    if (recovered->entry_count == 0) {
        return false;
    }
    first = recovered->entries[0].index;
    if (first == snapshot->index + 1) {
        return recovered->entries[0].term >= snapshot->term;
    }
    return snapshot->index - first < recovered->entry_count &&
           recovered->entries[snapshot->index - first].term == snapshot->term;
}

/* How many entries come before the first that the log gets. */
static size_t base_recover(struct raft *raft,
                           const struct raft_recovered *recovered)
{
    const struct raft_snapshot *snapshot = recovered->snapshot;
    const struct raft_entry *first = recovered->entries;

    if (snapshot == NULL) {
        return 0;
    }
    raft->snapshot = *snapshot;
    raft->membership_first = snapshot->membership;
    raft->membership_first_index = snapshot->index;
    raft->commit = snapshot->index;
    if (!is_continued(recovered)) {
        /* Also if there are none: the file may end before the snapshot. */
        raft->is_log_reset = true;
        log_reset(&raft->log, snapshot->index, snapshot->term);
        return recovered->entry_count;
    }
    if (first->index == 1) {
        return 0;
    }
    if (first->index == snapshot->index + 1) {
        log_reset(&raft->log, snapshot->index, snapshot->term);
        return 0;
    }
    /* The entry before it is not known: it is itself the base. */
    log_reset(&raft->log, first->index, first->term);
    return 1;
}

static int log_recover(struct log *log, size_t first,
                       const struct raft_recovered *recovered)
{
    for (size_t i = first; i < recovered->entry_count; i++) {
        const struct raft_entry *entry = &recovered->entries[i];
        int rv;

        rv = log_reserve(log, 1, entry->data.size);
        if (rv != 0) {
            return rv;
        }
        log_append(log, entry->term, entry->type, entry->data);
    }
    return 0;
}

static void members_recover(struct raft *raft)
{
    uint64_t last = log_last(&raft->log);

    if (raft->snapshot.index == 0) {
        for (uint32_t i = 0; i < raft->config.voter_count; i++) {
            raft->membership_first.voters[i] = raft->config.voters[i];
        }
        raft->membership_first.voter_count = raft->config.voter_count;
    }
    adoption_of_newest(raft, last);
    if (RAFT_IS_MUTATED(FORGET_CONFIG) &&
        raft->membership_index > raft->commit) {
        adoption_of_newest(raft, raft->membership_index - 1);
    }
}

int raft_new(const struct raft_config *config,
             const struct raft_recovered *recovered, uint64_t now_ms,
             struct raft **ret_raft)
{
    struct raft *raft;
    int rv;

    rv = config_check(config);
    if (rv != 0) {
        return rv;
    }
    rv = recovered_check(recovered);
    if (rv != 0) {
        return rv;
    }
    raft = mem_alloc(sizeof(*raft));
    if (raft == NULL) {
        return ERR_NOMEM;
    }
    raft->config = *config;
    log_init(&raft->log);
    rv = log_recover(&raft->log, base_recover(raft, recovered), recovered);
    if (rv != 0) {
        raft_free(raft);
        return rv;
    }
    raft->term = recovered->term;
    raft->voted_for = recovered->voted_for;
    if (raft->snapshot.term > raft->term) {
        /* It was on disk before the term was; in such a term nobody got a
         * vote. */
        raft->term = raft->snapshot.term;
        raft->voted_for = 0;
    }
    writes_init(&raft->writes, log_last(&raft->log));
    if (RAFT_IS_MUTATED(FORGET_VOTE)) {
        raft->voted_for = 0;
    }
    raft->role = RAFT_FOLLOWER;
    raft->now_ms = now_ms;
    members_recover(raft);
    rng_init(&raft->rng, config->seed);
    buf_init(&raft->outbox.bytes, OUTBOX_SIZE_MAX);
    election_arm(raft);
    if (quorum_is_alone(raft)) {
        /* Nobody else can be leader: no reason to wait. */
        raft->election_deadline_ms = now_ms;
    }
    *ret_raft = raft;
    return 0;
}

void raft_free(struct raft *raft)
{
    if (raft == NULL) {
        return;
    }
    log_close(&raft->log);
    writes_close(&raft->writes);
    buf_close(&raft->outbox.bytes);
    mem_free(raft->reads.items);
    mem_free(raft->persist);
    mem_free(raft);
}
