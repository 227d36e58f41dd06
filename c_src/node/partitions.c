/* SPDX-License-Identifier: Apache-2.0
 * The shell of the detector: members that take part, links and what the system
 * counts on them go in, probes and ends of links come out. */
#include "node/partitions.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/agents.h"
#include "raft/membership.h"

#include <string.h>

static struct reach_effects step(struct node *node, struct reach_event *event)
{
    struct reach_effects effects = {.is_probe_due = false};
    int rv;

    event->now_ms = node->now_ms;
    rv = reach_step(&node->partitions.reach, event, &effects);
    ensure(rv == 0); /* only probes can be refused */
    return effects;
}

void partitions_init(struct node *node)
{
    list_init(&node->partitions.subscribers);
}

void partitions_start(struct node *node)
{
    const struct reach_config config = {.self = node->self->id,
                                        .number = sys_wall_s() * 1000000};

    node->partitions.since_ms = node->now_ms;
    reach_init(&node->partitions.reach, &config);
}

void partitions_close(struct node *node)
{
    subscribers_close(node);
    mem_free((void *)(uintptr_t)node->partitions.expected.data);
    node->partitions.expected = bytes_of(NULL, 0);
}

void partitions_link(struct node *node, const struct member *member, bool is_up)
{
    struct reach_event event = {.type = is_up ? REACH_LINK_UP : REACH_LINK_DOWN,
                                .from = member->id};

    (void)step(node, &event);
}

int partitions_receive(struct node *node, const struct link *link,
                       struct bytes probe)
{
    struct reach_event event = {.type = REACH_PROBE,
                                .now_ms = node->now_ms,
                                .now_us = loop_clock_us(),
                                .from = link->member->id,
                                .bytes = probe};
    struct reach_effects effects;
    int rv = reach_step(&node->partitions.reach, &event, &effects);

    if (rv == ERR_UNSUPPORTED) {
        /* Of a newer release: it is missed, but its link is kept. */
        node->counters.unknown_messages++;
        return 0;
    }
    return rv;
}

/* --- What goes in --------------------------------------------------------- */

static void follow_members(struct node *node)
{
    const struct reach *reach = &node->partitions.reach;
    uint64_t ids[MEMBERS_MAX];
    struct reach_event event = {.type = REACH_MEMBERS, .ids = ids};
    bool is_same = true;

    for (uint32_t i = 0; i < node->members.count; i++) {
        const struct member *member = members_at(&node->members, i);

        if (member->is_expected) {
            ids[event.count++] = member->id;
            is_same = is_same && reach_peer(reach, member->id) != NULL;
        }
    }
    if (is_same && event.count == reach->count) {
        return;
    }
    (void)step(node, &event);
    for (uint32_t i = 0; i < event.count; i++) {
        const struct reach_peer *peer = reach_peer(reach, ids[i]);
        const struct member *member = members_by_id(&node->members, ids[i]);

        if (links_member(node, ids[i]) != NULL && !peer->is_linked) {
            partitions_link(node, member, true);
        }
    }
}

static void count_traffic(struct node *node)
{
    const struct reach *reach = &node->partitions.reach;

    for (uint32_t i = 0; i < reach->count; i++) {
        struct reach_event event = {.type = REACH_COUNTERS,
                                    .from = reach->peers[i].id};
        const struct link *link = links_member(node, event.from);

        struct sys_tcp_traffic traffic;

        if (link != NULL && peer_traffic(link->peer, &traffic)) {
            event.packets = traffic.packets;
            event.received = traffic.received;
            event.acked = traffic.acked;
            (void)step(node, &event);
        }
    }
}

/* Workers are not judged for the time in which this member did not run. */
static void look_at_agents(struct node *node, uint64_t held_up_ms)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        struct sys_tcp_traffic traffic;

        agent->sign_ms += held_up_ms;
        if (agent->sign_ms > node->now_ms) {
            agent->sign_ms = node->now_ms;
        }
        if (agent->link != NULL && peer_traffic(agent->link->peer, &traffic) &&
            traffic.acked != agent->acked) {
            agent->acked = traffic.acked;
            agent->acked_ms = node->now_ms;
        }
    }
}

/* --- What comes out ------------------------------------------------------- */

static void send_probes(struct node *node)
{
    const struct reach *reach = &node->partitions.reach;

    for (uint32_t i = 0; i < reach->count; i++) {
        struct link *link = links_member(node, reach->peers[i].id);
        struct buf probe;

        if (link == NULL) {
            continue;
        }
        buf_init(&probe, REACH_PROBE_SIZE_MAX);
        reach_put_probe(reach, reach->peers[i].id, node->now_ms,
                        loop_clock_us(), &probe);
        if (buf_error(&probe) == 0) {
            links_send_binary(node, link, "probe", buf_bytes(&probe));
        }
        buf_close(&probe);
    }
}

static void end_links(struct node *node, uint16_t cut)
{
    const struct reach *reach = &node->partitions.reach;

    for (uint32_t i = 0; i < reach->count; i++) {
        const struct link *link = (cut & (1U << i)) == 0
                                      ? NULL
                                      : links_member(node, reach->peers[i].id);

        if (link != NULL) {
            peer_cut_for_silence(link->peer);
        }
    }
}

static void tell_partition(struct node *node, bool is_new)
{
    const struct partitions_picture *picture = &node->partitions.picture;

    if (is_new) {
        log_line(
            LOG_WARN, "partition", "verdict=%s quorum=%s",
            partition_verdict_name((enum partition_verdict)picture->verdict),
            picture->has_quorum ? "yes" : "no");
    }
    subscribers_tell(node, "partition");
}

static bool is_same_matrix(const struct reach_matrix *a,
                           const struct reach_matrix *b)
{
    return a->known == b->known &&
           memcmp(a->links, b->links, sizeof(a->links)) == 0 &&
           memcmp(a->one_way, b->one_way, sizeof(a->one_way)) == 0;
}

static bool is_same_picture(const struct partitions_picture *a,
                            const struct partitions_picture *b)
{
    return is_same_matrix(&a->matrix, &b->matrix) && a->verdict == b->verdict &&
           a->expected == b->expected &&
           a->missing_workers == b->missing_workers &&
           a->has_quorum == b->has_quorum && a->missing_hash == b->missing_hash;
}

static void look(struct node *node)
{
    struct partitions *partitions = &node->partitions;
    struct partitions_picture old = partitions->picture;
    struct partitions_picture *new = &partitions->picture;

    partitions->looked_ms = node->now_ms;
    report_picture(node, new);
    if (is_same_picture(&old, new)) {
        return;
    }
    if (old.verdict != new->verdict) {
        partitions->since_ms = node->now_ms;
    }
    if (new->verdict != PARTITION_NONE) {
        tell_partition(node, old.verdict != new->verdict);
    } else if (old.verdict != PARTITION_NONE) {
        log_line(LOG_INFO, "partition_healed", "expected=%u", new->expected);
        subscribers_tell(node, "healed");
    }
}

void partitions_tick(struct node *node)
{
    struct partitions *partitions = &node->partitions;
    struct reach_event event = {.type = REACH_TICK,
                                .has_unread = links_have_unread(node)};
    uint64_t pause_ms = node->now_ms - partitions->ticked_ms;
    bool is_late = partitions->ticked_ms != 0 && pause_ms > REACH_LATE_MS;
    struct reach_effects effects;

    partitions->ticked_ms = node->now_ms;
    look_at_agents(node, is_late ? pause_ms - REACH_TICK_MS : 0);
    follow_members(node);
    count_traffic(node);
    effects = step(node, &event);
    if (effects.is_probe_due) {
        send_probes(node);
    }
    end_links(node, effects.cut);
    if (effects.is_probe_due || !is_same_matrix(&partitions->picture.matrix,
                                                &partitions->reach.matrix)) {
        look(node);
    }
}

/* As it is now: calls come between two looks. */
enum partition_verdict partitions_verdict(struct node *node)
{
    look(node);
    return (enum partition_verdict)node->partitions.picture.verdict;
}

/* --- The majority --------------------------------------------------------- */

static enum partitions_majority look_at_voter(const struct node *node,
                                              uint64_t id)
{
    const struct reach *reach = &node->partitions.reach;
    const struct reach_peer *self = reach_peer(reach, node->self->id);
    const struct reach_peer *peer = reach_peer(reach, id);
    uint16_t reached;

    if (id == node->self->id) {
        return MAJORITY_THERE;
    }
    if (self == NULL || peer == NULL || peer->heard_ms == 0) {
        return MAJORITY_IN_DOUBT;
    }
    reached = reach->matrix.links[self - reach->peers];
    if ((reached & (1U << (peer - reach->peers))) == 0) {
        return MAJORITY_GONE;
    }
    return node->now_ms < peer->heard_ms + REACH_SILENCE_MS ? MAJORITY_THERE
                                                            : MAJORITY_IN_DOUBT;
}

static enum partitions_majority
look_at_voters(const struct node *node, const uint64_t *ids, uint32_t count)
{
    uint32_t seen[MAJORITY_GONE + 1] = {0};

    for (uint32_t i = 0; i < count; i++) {
        seen[look_at_voter(node, ids[i])]++;
    }
    if (seen[MAJORITY_THERE] > count / 2) {
        return MAJORITY_THERE;
    }
    return count - seen[MAJORITY_GONE] > count / 2 ? MAJORITY_IN_DOUBT
                                                   : MAJORITY_GONE;
}

enum partitions_majority partitions_majority(const struct node *node)
{
    const struct raft_membership *now = raft_membership(node->raft);
    enum partitions_majority half =
        look_at_voters(node, now->voters, now->voter_count);
    enum partitions_majority old_half = half;

    if (membership_is_joint(now)) {
        old_half = look_at_voters(node, now->voters_old, now->voter_old_count);
    }
    return old_half > half ? old_half : half;
}
