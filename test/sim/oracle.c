/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"
#include "raft/message.h"
#include "sim/cluster_internal.h"
#include "sim/machines.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cluster_fail(struct cluster *cluster, const char *format, ...)
{
    va_list args;

    if (cluster->failure[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(cluster->failure, sizeof(cluster->failure), format, args);
    va_end(args);
    if (cluster->is_quiet) {
        return;
    }
    (void)fprintf(
        stderr, "seed %" PRIu64 ", step %" PRIu64 ", %" PRIu64 " ms: %s\n",
        cluster->seed, cluster->step_count, cluster->now_ms, cluster->failure);
    cluster_describe(cluster);
}

/* Of an entry, and of all entries before it. */
static uint64_t hash_after(uint64_t before, const struct raft_entry *entry)
{
    uint64_t mixed = (before ^ entry->term) * UINT64_C(0x9e3779b97f4a7c15);

    mixed ^= mixed >> 29;
    return mixed * UINT64_C(0xbf58476d1ce4e5b9) ^ crc32c(0, entry->data) ^
           (uint64_t)entry->type << 40;
}

void oracle_refused(struct cluster *cluster, const struct cluster_node *node,
                    uint64_t from, struct bytes bytes)
{
    struct message message = {.term = 0};

    if (message_decode(bytes, &message) != 0) {
        cluster_fail(cluster, "node %" PRIu64 " gets nonsense", node->id);
        return;
    }
    cluster_fail(cluster,
                 "node %" PRIu64 " refuses a message of node %" PRIu64
                 ": type %d term %" PRIu64 " index %" PRIu64 "/%" PRIu64
                 " entries %" PRIu32,
                 node->id, from, (int)message.type, message.term, message.index,
                 message.index_term, message.entry_count);
}

/* A snapshot says, too, that its term has come. */
static uint64_t term_on_disk(const struct cluster_node *node)
{
    uint64_t term = node->snapshot.about.term;

    return term > node->term ? term : node->term;
}

static void check_vote(struct cluster *cluster, const struct cluster_node *node,
                       uint64_t term, uint64_t candidate)
{
    uint64_t *vote;

    if (term >= CLUSTER_TERMS_MAX) {
        cluster_fail(cluster, "term %" PRIu64 " is out of hand", term);
        return;
    }
    vote = &cluster->votes[term][node->id - 1];
    if (*vote != 0 && *vote != candidate) {
        cluster_fail(cluster, "node %" PRIu64 " votes twice in term %" PRIu64,
                     node->id, term);
    }
    *vote = candidate;
    if (node->term < term ||
        (node->term == term && node->voted_for != candidate)) {
        cluster_fail(cluster,
                     "node %" PRIu64 " votes in term %" PRIu64
                     " before its vote is on disk",
                     node->id, term);
    }
}

static void check_send(struct cluster *cluster, const struct cluster_node *node,
                       const struct raft_send *send)
{
    struct message message;

    if (message_decode(send->bytes, &message) != 0) {
        cluster_fail(cluster, "node %" PRIu64 " sends nonsense", node->id);
        return;
    }
    if (message.type != MESSAGE_PRE_VOTE &&
        message.type != MESSAGE_PRE_VOTE_REPLY &&
        message.term > term_on_disk(node)) {
        cluster_fail(cluster,
                     "node %" PRIu64 " sends before term %" PRIu64
                     " is on disk",
                     node->id, message.term);
    }
    if (message.type == MESSAGE_VOTE) {
        cluster->handover_count += message.is_handover ? 1 : 0;
        check_vote(cluster, node, message.term, node->id);
    }
    if (message.type == MESSAGE_VOTE_REPLY && message.is_granted) {
        check_vote(cluster, node, message.term, send->to);
    }
    if (message.type == MESSAGE_APPEND_REPLY && message.is_granted &&
        message.index > disk_last(&node->log) &&
        message.index > node->snapshot.about.index) {
        cluster_fail(cluster,
                     "node %" PRIu64 " acknowledges %" PRIu64
                     " before it is on disk",
                     node->id, message.index);
    }
}

void oracle_sends(struct cluster *cluster, struct cluster_node *node,
                  const struct raft_effects *effects)
{
    for (size_t i = 0; i < effects->send_count; i++) {
        check_send(cluster, node, &effects->sends[i]);
    }
}

/* Whether that is what the log said is on disk. */
static bool is_as_said(const struct cluster_node *node,
                       const struct wal_recovery *recovery)
{
    const struct cluster_log *log = &node->log;
    uint64_t first = recovery->last_index - recovery->entry_count + 1;
    uint64_t covered = node->snapshot.about.index;

    if (recovery->term != node->term ||
        recovery->voted_for != node->voted_for ||
        recovery->last_index != disk_last(log) ||
        first > (covered > log->base ? covered : log->base) + 1) {
        return false;
    }
    for (size_t i = 0; i < recovery->entry_count; i++) {
        const struct raft_entry *entry = &recovery->entries[i];
        const struct cluster_entry *said;

        if (entry->index <= log->base) {
            continue;
        }
        said = &log->entries[entry->index - log->base - 1];
        if (entry->term != said->term || entry->type != said->type ||
            !bytes_equal(entry->data, bytes_of(said->data, said->size))) {
            return false;
        }
    }
    return true;
}

void oracle_recovered(struct cluster *cluster, struct cluster_node *node,
                      const struct wal_recovery *recovery)
{
    uint64_t said = disk_last(&node->log);

    while (!is_as_said(node, recovery)) {
        if (node->writes_first == NULL) {
            cluster_fail(cluster,
                         "node %" PRIu64 " recovers a log up to %" PRIu64
                         " that is not what was on disk, up to %" PRIu64,
                         node->id, recovery->last_index, said);
            return;
        }
        disk_take_write(node, true);
    }
    while (node->writes_first != NULL) {
        disk_take_write(node, false);
    }
}

static bool is_on_disk(const struct cluster *cluster, uint64_t id,
                       const struct raft_entry *entry)
{
    const struct cluster_node *node = &cluster->nodes[id - 1];
    const struct cluster_log *log = &node->log;
    const struct cluster_entry *copy;

    if (entry->index <= node->snapshot.about.index) {
        return true;
    }
    if (entry->index > disk_last(log) || entry->index <= log->base) {
        return false;
    }
    copy = &log->entries[entry->index - log->base - 1];
    return copy->term == entry->term &&
           bytes_equal(bytes_of(copy->data, copy->size), entry->data);
}

static bool is_on_most(const struct cluster *cluster, const uint64_t *voters,
                       uint32_t voter_count, const struct raft_entry *entry)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < voter_count; i++) {
        count += is_on_disk(cluster, voters[i], entry) ? 1 : 0;
    }
    return count >= voter_count / 2 + 1;
}

static bool has_quorum(const struct cluster *cluster,
                       const struct raft_membership *membership,
                       const struct raft_entry *entry)
{
    return is_on_most(cluster, membership->voters, membership->voter_count,
                      entry) &&
           (membership->voter_old_count == 0 ||
            is_on_most(cluster, membership->voters_old,
                       membership->voter_old_count, entry));
}

static void remember_commit(struct cluster *cluster,
                            const struct cluster_node *node,
                            const struct raft_entry *entry)
{
    if (cluster->committed_count == cluster->committed_capacity) {
        cluster->committed_capacity = cluster->committed_capacity * 2 + 256;
        cluster->committed =
            realloc(cluster->committed,
                    cluster->committed_capacity * sizeof(*cluster->committed));
        if (cluster->committed == NULL) {
            abort();
        }
    }
    if (!has_quorum(cluster, &node->membership, entry)) {
        cluster_fail(cluster,
                     "node %" PRIu64 " commits %" PRIu64
                     " without a majority of disks",
                     node->id, entry->index);
    }
    cluster->committed[cluster->committed_count] =
        (struct cluster_committed){.term = entry->term,
                                   .leader_term = raft_term(node->raft),
                                   .hash = node->hash};
    cluster->committed_count++;
}

static void check_commit(struct cluster *cluster, struct cluster_node *node)
{
    uint64_t commit = raft_commit_index(node->raft);
    bool is_leader = raft_role(node->raft) == RAFT_LEADER;
    struct raft_entry last;

    /* Raft 3.6.2 and figure 3.7. */
    if (is_leader && commit > node->committed &&
        raft_entry_get(node->raft, commit, &last) == 0 &&
        last.term != raft_term(node->raft)) {
        cluster_fail(cluster,
                     "node %" PRIu64 " commits an entry of an older term by "
                     "counting its copies",
                     node->id);
    }
    if (commit < node->committed) {
        cluster_fail(cluster, "the commit index of node %" PRIu64 " falls",
                     node->id);
    }
    while (node->committed < commit) {
        struct raft_entry entry;
        bool is_first = node->committed == cluster->committed_count;

        node->committed++;
        if (raft_entry_get(node->raft, node->committed, &entry) != 0) {
            cluster_fail(cluster, "node %" PRIu64 " commits nothing", node->id);
            return;
        }
        node->hash = hash_after(node->hash, &entry);
        if (is_first) {
            remember_commit(cluster, node, &entry);
        }
        if (cluster->committed[node->committed - 1].hash != node->hash) {
            cluster_fail(cluster,
                         "node %" PRIu64 " commits another entry at %" PRIu64,
                         node->id, node->committed);
        }
        machine_apply(cluster, node, &entry, is_first);
    }
}

/* A new leader has all that was committed in earlier terms. What its snapshot
 * stands for was compared when it was made or installed. */
static void check_completeness(struct cluster *cluster,
                               const struct cluster_node *node)
{
    uint64_t hash = node->hash;

    for (uint64_t i = node->committed + 1; i <= cluster->committed_count; i++) {
        const struct cluster_committed *committed = &cluster->committed[i - 1];
        struct raft_entry entry;

        if (committed->leader_term >= raft_term(node->raft)) {
            return;
        }
        if (raft_entry_get(node->raft, i, &entry) != 0) {
            hash = 0;
        } else {
            hash = hash_after(hash, &entry);
        }
        if (hash != committed->hash) {
            cluster_fail(cluster,
                         "node %" PRIu64 " leads term %" PRIu64
                         " without the committed entry %" PRIu64,
                         node->id, raft_term(node->raft), i);
            return;
        }
    }
}

static void check_new_leader(struct cluster *cluster,
                             const struct cluster_node *node)
{
    uint64_t term = raft_term(node->raft);

    if (term >= CLUSTER_TERMS_MAX) {
        cluster_fail(cluster, "term %" PRIu64 " is out of hand", term);
        return;
    }
    if (cluster->leaders[term] == node->id) {
        return;
    }
    if (cluster->leaders[term] != 0) {
        cluster_fail(cluster, "term %" PRIu64 " has two leaders", term);
    }
    cluster->leaders[term] = node->id;
    cluster->election_count++;
    check_completeness(cluster, node);
}

static void check_reads(struct cluster *cluster,
                        const struct raft_effects *effects)
{
    for (size_t i = 0; i < effects->read_count; i++) {
        const struct raft_read *done = &effects->reads[i];
        struct cluster_read *read;

        if (done->read_id >= CLUSTER_READS_MAX) {
            clients_read_done(cluster, done);
            continue;
        }
        read = &cluster->reads[done->read_id];
        if (read->is_answered) {
            cluster_fail(cluster, "a read is answered twice");
        }
        read->is_answered = true;
        read->is_failed = done->is_failed;
        read->index = done->index;
        if (!done->is_failed && done->index < read->committed) {
            cluster_fail(cluster, "a read at %" PRIu64 " does not see %" PRIu64,
                         done->index, read->committed);
        }
    }
}

void oracle_step(struct cluster *cluster, struct cluster_node *node,
                 const struct raft_effects *effects)
{
    raft_check(node->raft);
    if (raft_role(node->raft) == RAFT_LEADER) {
        check_new_leader(cluster, node);
    }
    check_commit(cluster, node);
    check_reads(cluster, effects);
    if (effects->commit_changed || effects->read_count > 0 ||
        effects->restore != NULL) {
        clients_look(cluster);
    }
}

static void check_pair(struct cluster *cluster, const struct cluster_node *a,
                       const struct cluster_node *b)
{
    uint64_t index = raft_last_index(a->raft);
    bool is_same = false;

    if (raft_last_index(b->raft) < index) {
        index = raft_last_index(b->raft);
    }
    /* What both have committed was compared entry by entry. */
    for (; index > a->committed || index > b->committed; index--) {
        struct raft_entry left;
        struct raft_entry right;

        if (raft_entry_get(a->raft, index, &left) != 0 ||
            raft_entry_get(b->raft, index, &right) != 0) {
            return;
        }
        if (left.term == right.term) {
            is_same = true;
        }
        if (is_same &&
            (left.term != right.term || !bytes_equal(left.data, right.data))) {
            cluster_fail(cluster,
                         "the logs of %" PRIu64 " and %" PRIu64
                         " differ at %" PRIu64 " but agree later",
                         a->id, b->id, index);
            return;
        }
    }
}

void oracle_membership(struct cluster *cluster, const struct cluster_node *node)
{
    uint64_t index = raft_last_index(node->raft);
    struct raft_entry entry;

    while (raft_entry_get(node->raft, index, &entry) == 0 &&
           entry.type != RAFT_ENTRY_CONFIG) {
        index--;
    }
    if (index >= raft_first_index(node->raft) &&
        raft_membership_index(node->raft) != index) {
        cluster_fail(cluster,
                     "node %" PRIu64 " does not use the membership at %" PRIu64,
                     node->id, index);
    }
}

void oracle_logs_match(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i].raft != NULL) {
            oracle_membership(cluster, &cluster->nodes[i]);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (cluster->nodes[i].raft != NULL &&
                cluster->nodes[j].raft != NULL) {
                check_pair(cluster, &cluster->nodes[i], &cluster->nodes[j]);
            }
        }
    }
}
