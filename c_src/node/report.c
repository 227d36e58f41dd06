/* SPDX-License-Identifier: Apache-2.0
 * What is expected: the members, the workers that have a lease, and those that
 * were named by set_expected_nodes. What is missing of that: members that this
 * one does not reach, workers of whom nobody on this side has a sign of life.
 */
#include "api/partition_report.h"
#include "api/results.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/reader.h"
#include "node/agents.h"
#include "node/partitions.h"
#include "node/requests.h"

static uint64_t since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* --- Workers -------------------------------------------------------------- */

static bool is_agent_heard(const struct node *node, const struct agent *agent)
{
    uint64_t silence_ms = since(node->now_ms, agent->sign_ms);

    return agent->link != NULL &&
           (silence_ms < PARTITIONS_WORKER_MS ||
            (silence_ms < REACH_STOPPED_MS && agent->acked_ms != 0 &&
             since(node->now_ms, agent->acked_ms) < REACH_ANSWERED_MS));
}

/* A worker that has a lease. That of another member counts as reached as long
 * as that one is heard of. */
static bool is_reached(const struct node *node, const struct worker *worker)
{
    const struct reach *reach = &node->partitions.reach;
    const struct agent *agent;

    if (worker->member == node->self->id) {
        agent = agents_find(node, worker->name);
        return agent != NULL && is_agent_heard(node, agent);
    }
    for (uint32_t i = 0; i < reach->count; i++) {
        if (reach->peers[i].id == worker->member) {
            return (reach->matrix.known & (1U << i)) != 0;
        }
    }
    return false;
}

/* All that are no members, one after the other. */
struct walk {
    size_t position;
    struct etf_reader reader;
    struct etf_list list;
    bool is_among_set;
};

static struct walk walk_begin(const struct node *node)
{
    struct walk walk = {.position = 0};

    walk.reader = etf_reader_of(node->partitions.expected);
    return walk;
}

static bool next_of_set(const struct node *node, struct walk *walk,
                        struct bytes *ret_name)
{
    bool has_more = false;

    if (!walk->is_among_set) {
        walk->is_among_set = true;
        if (node->partitions.expected.size == 0 ||
            etf_list_begin(&walk->reader, &walk->list) != 0) {
            return false;
        }
    } else if (node->partitions.expected.size == 0) {
        return false;
    }
    while (etf_list_next(&walk->list, &has_more) == 0 && has_more) {
        const struct worker *worker;

        if (etf_read_atom(&walk->list.element, ret_name) != 0) {
            return false;
        }
        worker = registry_worker(&node->machine.registry, *ret_name);
        if ((worker == NULL || worker->lease == 0) &&
            members_by_name(&node->members, *ret_name) == NULL) {
            return true;
        }
    }
    return false;
}

static bool walk_next(const struct node *node, struct walk *walk,
                      struct bytes *ret_name, bool *ret_is_reached)
{
    const struct worker *worker;

    while (!walk->is_among_set &&
           (worker = map_next(&node->machine.registry.workers,
                              &walk->position)) != NULL) {
        if (worker->lease != 0) {
            *ret_name = worker->name;
            *ret_is_reached = is_reached(node, worker);
            return true;
        }
    }
    *ret_is_reached = false;
    return next_of_set(node, walk, ret_name);
}

/* --- Pictures ------------------------------------------------------------- */

void report_picture(struct node *node, struct partitions_picture *ret_picture)
{
    const struct reach *reach = &node->partitions.reach;
    struct partitions_picture picture = {.matrix = reach->matrix,
                                         .expected = reach->count};
    struct walk walk = walk_begin(node);
    struct reach_view view;
    struct bytes name;
    bool is_there;

    reach_view(reach, &view);
    while (walk_next(node, &walk, &name, &is_there)) {
        picture.expected++;
        if (!is_there) {
            picture.missing_workers++;
            picture.missing_hash += members_id_of(name);
        }
    }
    picture.verdict = partition_verdict_of(reach->count - view.together +
                                               picture.missing_workers,
                                           picture.expected);
    picture.has_quorum = raft_has_quorum(node->raft, node->now_ms);
    *ret_picture = picture;
}

/* --- Reports -------------------------------------------------------------- */

/* Milliseconds until the first of the workers here stops its sandboxes if no
 * renewal is committed; false: there are none. */
static bool find_deadline(struct node *node, uint64_t *ret_ms)
{
    struct agent *agent;
    size_t position = 0;
    bool has_one = false;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        struct worker *worker =
            registry_worker(&node->machine.registry, agent->worker);
        const struct worker_note *note =
            worker == NULL || worker->lease != agent->lease ||
                    worker->lease == 0
                ? NULL
                : worker_note(node, worker);
        uint64_t end_ms;
        uint64_t left_ms;

        if (note == NULL) {
            continue;
        }
        end_ms = note->renewed_ms + node->settings->ttl_owner_ms;
        left_ms = since(end_ms, node->now_ms);
        if (!has_one || left_ms < *ret_ms) {
            *ret_ms = left_ms;
        }
        has_one = true;
    }
    return has_one;
}

struct names {
    struct bytes *all;
    size_t count;
    struct bytes *missing;
    size_t missing_count;
};

static void add_name(struct names *names, struct bytes name, bool is_missing)
{
    names->all[names->count++] = name;
    if (is_missing) {
        names->missing[names->missing_count++] = name;
    }
}

static void fill_names(struct node *node, const struct reach_view *view,
                       struct names *names)
{
    const struct reach *reach = &node->partitions.reach;
    struct walk walk = walk_begin(node);
    struct bytes name;
    bool is_there;

    for (uint32_t i = 0; i < reach->count; i++) {
        const struct member *member =
            members_by_id(&node->members, reach->peers[i].id);

        if (member != NULL) {
            add_name(names, member->name, (view->missing & (1U << i)) != 0);
        }
    }
    while (walk_next(node, &walk, &name, &is_there)) {
        add_name(names, name, !is_there);
    }
}

/* ERR_NOMEM, told in `result`. */
static int find_names(struct node *node, const struct reach_view *view,
                      struct names *names, struct buf *result)
{
    size_t most = MEMBERS_MAX + REGISTRY_WORKERS_MAX + API_NODES_MAX;

    *names =
        (struct names){.all = mem_alloc_array(most, sizeof(struct bytes)),
                       .missing = mem_alloc_array(most, sizeof(struct bytes))};
    if (names->all == NULL || names->missing == NULL) {
        mem_free(names->all);
        mem_free(names->missing);
        result->error = ERR_NOMEM;
        return ERR_NOMEM;
    }
    fill_names(node, view, names);
    return 0;
}

static void close_names(struct names *names)
{
    mem_free(names->all);
    mem_free(names->missing);
}

void report_put(struct node *node, struct buf *result)
{
    const struct partitions *partitions = &node->partitions;
    const struct reach *reach = &partitions->reach;
    struct partition_report report = {
        .verdict = partition_verdict_name(
            (enum partition_verdict)partitions->picture.verdict),
        .since_ms = since(node->now_ms, partitions->since_ms),
        .has_quorum = partitions->picture.has_quorum != 0,
        .member_count = reach->count,
        .one_way = reach->matrix.one_way};
    struct reach_view view;
    struct names names;

    reach_view(reach, &view);
    if (find_names(node, &view, &names, result) != 0) {
        return;
    }
    for (uint32_t i = 0; i < reach->count; i++) {
        const struct reach_peer *peer = &reach->peers[i];
        const struct member *member = members_by_id(&node->members, peer->id);

        report.members[i].name =
            member == NULL ? bytes_of(NULL, 0) : member->name;
        report.members[i].has_rtt =
            reach_rtt(peer, &report.members[i].rtt_last_us,
                      &report.members[i].rtt_median_us);
    }
    report.expected = names.all;
    report.expected_count = names.count;
    report.missing = names.missing;
    report.missing_count = names.missing_count;
    report.groups = view.groups;
    report.group_count = view.group_count;
    report.unheard = view.unheard;
    report.has_deadline =
        !report.has_quorum && find_deadline(node, &report.deadline_ms);
    partition_report_put(result, &report);
    close_names(&names);
}

void report_put_expected(struct node *node, struct buf *result)
{
    struct reach_view view;
    struct names names;

    reach_view(&node->partitions.reach, &view);
    if (find_names(node, &view, &names, result) == 0) {
        results_put_nodes(result, names.all, names.count);
        close_names(&names);
    }
}

int report_expect(struct node *node, struct bytes nodes)
{
    uint8_t *copy = mem_alloc(nodes.size);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    memcpy(copy, nodes.data, nodes.size);
    mem_free((void *)(uintptr_t)node->partitions.expected.data);
    node->partitions.expected = bytes_of(copy, nodes.size);
    return 0;
}
