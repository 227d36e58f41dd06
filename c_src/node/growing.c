/* SPDX-License-Identifier: Apache-2.0
 * Adding and removing a member, on the leader, one at a time:
 *
 *   add ──▶ GREETING ──▶ NAMING ──▶ LINKING ──▶ CHANGING ──▶ answer
 *             │ who is it  │ name and  │ its link   │ learner, catch-up,
 *             │ there?     │ address   │ is up      │ joint, final (raft/)
 *             │            │ to the log│            │
 *             └────────────┴───────────┴────────────┴─▶ error; directory_keep()
 *                                                       tidies up
 *   remove ──────────────▶ NAMING ──▶ LINKING ──▶ CHANGING ──▶ answer
 *                            │ a point in the log behind which no sandbox
 *                            │ gets a replica there; are enough left of
 *                            │ those that have one?
 *
 * What is lost with a leader the next one finds in the log: it finishes a joint
 * membership, and drops a name that takes no part. */
#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "node/node.h"
#include "node/requests.h"
#include "raft/membership.h"

static const char *phase_name(enum raft_change_phase phase)
{
    static const char *const names[] = {
        [RAFT_CHANGE_NONE] = "none",
        [RAFT_CHANGE_LEARNING] = "learning",
        [RAFT_CHANGE_CATCH_UP] = "catch_up",
        [RAFT_CHANGE_JOINT] = "joint",
        [RAFT_CHANGE_FINAL] = "final",
        [RAFT_CHANGE_DONE] = "done",
        [RAFT_CHANGE_FAILED] = "failed",
    };

    return names[phase];
}

/* --- The end -------------------------------------------------------------- */

/* The request that waits, if it is still there; the change is over. */
static struct request *finish(struct node *node, const char *why)
{
    struct growing *growing = &node->growing;
    uint64_t number = growing->request;

    log_line(LOG_INFO, "members_change_ended", "member=%s kind=%s why=\"%s\"",
             growing->entry.name, growing->is_removal ? "remove" : "add", why);
    growing->phase = GROWING_IDLE;
    growing->request = 0;
    return number == 0 ? NULL : requests_find(node, number);
}

static void fail_with_atom(struct node *node, const char *atom)
{
    struct request *request = finish(node, atom);

    if (request != NULL) {
        results_put_error(node_result(node), atom);
        request_finish(node, request);
    }
}

static void fail_with_code(struct node *node, int err)
{
    fail_with_atom(node, err_atom(err));
}

static void put_voters(const struct node *node, struct buf *result)
{
    const struct raft_membership *now = raft_membership(node->raft);
    struct bytes names[RAFT_VOTERS_MAX];
    size_t count = 0;

    for (uint32_t i = 0; i < now->voter_count; i++) {
        const struct member *member =
            members_by_id(&node->members, now->voters[i]);

        if (member != NULL) {
            names[count++] = member->name;
        }
    }
    results_put_ok_tuple(result, 2);
    results_put_nodes(result, names, count);
}

static void succeed(struct node *node)
{
    struct request *request = finish(node, "done");

    if (request != NULL) {
        put_voters(node, node_result(node));
        request_finish(node, request);
    }
}

/* --- The log changes ------------------------------------------------------ */

static void without(uint64_t *ids, uint32_t *count, uint64_t id)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (ids[i] == id) {
            (*count)--;
            ids[i] = ids[*count];
            return;
        }
    }
}

static int ask_for_change(struct node *node)
{
    const struct growing *growing = &node->growing;
    struct raft_membership target = *raft_membership(node->raft);
    uint64_t id = growing->entry.id;

    if (membership_is_joint(&target)) {
        return ERR_BUSY;
    }
    without(target.learners, &target.learner_count, id);
    without(target.voters, &target.voter_count, id);
    if (!growing->is_removal) {
        if (target.voter_count == RAFT_VOTERS_MAX) {
            return ERR_LIMIT;
        }
        target.voters[target.voter_count] = id;
        target.voter_count++;
    }
    return node_log_change(node, &target);
}

static void begin_change(struct node *node)
{
    int rv;

    node->change_report =
        (struct raft_change_report){.phase = RAFT_CHANGE_NONE};
    rv = ask_for_change(node);
    if (rv == 0) {
        node->growing.phase = GROWING_CHANGING;
    } else if (rv != ERR_BUSY || node->now_ms >= node->growing.due_ms) {
        fail_with_code(node, rv == ERR_NOT_LEADER ? ERR_NO_QUORUM : rv);
    }
}

static void changed(struct node *node)
{
    struct raft_change_report report = node->change_report;

    if (report.phase == RAFT_CHANGE_NONE) {
        return;
    }
    node->change_report =
        (struct raft_change_report){.phase = RAFT_CHANGE_NONE};
    log_line(LOG_INFO, "members_change", "member=%s phase=%s",
             node->growing.entry.name, phase_name(report.phase));
    if (report.phase == RAFT_CHANGE_DONE) {
        succeed(node);
    } else if (report.phase == RAFT_CHANGE_FAILED) {
        switch (report.reason) {
        case RAFT_CHANGE_STALLED:
            fail_with_atom(node, "stalled");
            return;
        case RAFT_CHANGE_TOO_SLOW:
            fail_with_atom(node, "too_slow");
            return;
        case RAFT_CHANGE_LEADER_LOST:
            fail_with_code(node, ERR_TIMEOUT);
            return;
        }
        unreachable();
    }
}

/* --- States --------------------------------------------------------------- */

/* Whether too few replicas of a state would be left for a majority of them,
 * so that what was acknowledged could not be found again. */
static bool needs(const struct node *node, const uint64_t *replicas,
                  uint32_t count, uint64_t id)
{
    const struct raft_membership *now = raft_membership(node->raft);
    uint32_t left = 0;
    bool has_one = false;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t replica = replicas[i];

        has_one |= replica == id;
        left +=
            replica != id && (membership_roles(now, replica) & ROLE_VOTER) != 0;
    }
    return has_one && left < count / 2U + 1;
}

static uint64_t count_needing(const struct node *node, uint64_t id)
{
    const struct map *sandboxes = &node->machine.registry.sandboxes;
    const struct sandbox *sandbox;
    size_t position = 0;
    uint64_t count = 0;

    while ((sandbox = map_next(sandboxes, &position)) != NULL) {
        count += needs(node, sandbox->replicas, sandbox->replica_count, id);
    }
    LIST_FOREACH (link, &node->machine.registry.copies) {
        const struct copy *copy = LIST_ENTRY(link, struct copy, link);

        count += needs(node, copy->replicas, copy->replica_count, id);
    }
    return count;
}

uint64_t growing_leaving(const struct node *node)
{
    const struct growing *growing = &node->growing;

    return growing->is_removal && growing->phase != GROWING_IDLE
               ? growing->entry.id
               : 0;
}

static bool may_leave(struct node *node)
{
    uint64_t count = count_needing(node, node->growing.entry.id);
    struct request *request;

    if (count == 0) {
        return true;
    }
    request = finish(node, "holds_states");
    if (request != NULL) {
        results_put_error_number(node_result(node), "holds_states", count);
        request_finish(node, request);
    }
    return false;
}

static void named(struct node *node, int rv)
{
    struct growing *growing = &node->growing;

    if (growing->phase != GROWING_NAMING) {
        return;
    }
    if (rv != 0) {
        fail_with_code(node, rv == ERR_LIMIT ? ERR_BUSY : rv);
        return;
    }
    if (growing->is_removal && !may_leave(node)) {
        return;
    }
    growing->phase = GROWING_LINKING;
    growing->due_ms = node->now_ms + GROWING_GREET_MS;
}

/* --- Add ------------------------------------------------------------------ */

bool growing_awaits(const struct node *node, struct bytes name)
{
    return node->growing.phase == GROWING_GREETING &&
           bytes_is(name, node->growing.entry.name);
}

void growing_greeted(struct node *node, const struct card *card)
{
    struct growing *growing = &node->growing;

    if (growing_awaits(node, bytes_of_string(card->name))) {
        growing->entry.id = card->id;
        growing->entry.instance = card->instance;
        growing->phase = GROWING_NAMING;
    }
}

void growing_refused(struct node *node, struct bytes name, const char *code)
{
    struct growing *growing = &node->growing;
    struct request *request;

    if (growing->is_removal || !bytes_is(name, growing->entry.name) ||
        (growing->phase != GROWING_GREETING &&
         growing->phase != GROWING_LINKING)) {
        return;
    }
    request = finish(node, code);
    if (request != NULL) {
        results_put_error_atoms(node_result(node), "refused", code);
        request_finish(node, request);
    }
}

static bool may_begin(struct node *node, struct request *request)
{
    if (!controller_is_up_to_date(node)) {
        /* It leads since just now: what the log says of members comes first. */
        request_read(node, request);
        return false;
    }
    if (node->growing.phase != GROWING_IDLE ||
        membership_is_joint(raft_membership(node->raft))) {
        request_fail(node, request, ERR_BUSY);
        return false;
    }
    return true;
}

static void begin(struct node *node, const struct request *request,
                  bool is_removal)
{
    struct growing *growing = &node->growing;
    struct directory_entry *entry = &growing->entry;
    struct bytes name = request->api.node;
    struct bytes address = request->api.address;

    ensure(growing->phase == GROWING_IDLE);
    *entry = (struct directory_entry){.id = 0};
    memcpy(entry->name, name.data, name.size);
    if (address.size > 0) {
        memcpy(entry->address, address.data, address.size);
    }
    growing->is_removal = is_removal;
    growing->request = request->number;
    growing->due_ms = node->now_ms + GROWING_GREET_MS;
    growing->redial = (struct redial){.due_ms = 0};
    log_line(LOG_INFO, "members_change_begins", "member=%s kind=%s address=%s",
             entry->name, is_removal ? "remove" : "add",
             entry->address[0] == '\0' ? "-" : entry->address);
}

void growing_add(struct node *node, struct request *request)
{
    const struct raft_membership *now = raft_membership(node->raft);
    struct growing *growing = &node->growing;
    const struct member *member =
        members_by_name(&node->members, request->api.node);
    uint32_t roles = member == NULL ? 0 : membership_roles(now, member->id);

    if (!may_begin(node, request)) {
        return;
    }
    if ((roles & ROLES_VOTING) != 0) {
        results_put_error(node_result(node), "already_member");
        request_finish(node, request);
        return;
    }
    if (now->voter_count == RAFT_VOTERS_MAX) {
        request_fail(node, request, ERR_LIMIT);
        return;
    }
    begin(node, request, false);
    growing->phase = GROWING_GREETING;
    if (roles != 0) {
        /* What an earlier change has left: it learns already. */
        growing->entry.id = member->id;
        growing->phase = GROWING_LINKING;
    }
    greeting_all(node);
}

/* --- Remove --------------------------------------------------------------- */

void growing_remove(struct node *node, struct request *request)
{
    const struct raft_membership *now = raft_membership(node->raft);
    const struct member *member =
        members_by_name(&node->members, request->api.node);
    uint32_t roles = member == NULL ? 0 : membership_roles(now, member->id);

    if (!may_begin(node, request)) {
        return;
    }
    if (roles == 0) {
        request_fail(node, request, ERR_NOT_FOUND);
        return;
    }
    if ((roles & ROLE_VOTER) != 0 && now->voter_count == 1) {
        results_put_error(node_result(node), "last_member");
        request_finish(node, request);
        return;
    }
    begin(node, request, true);
    members_entry(member, &node->growing.entry);
    node->growing.phase = GROWING_NAMING;
}

/* --- Every turn ----------------------------------------------------------- */

static void link_new(struct node *node)
{
    const struct member *member =
        members_by_id(&node->members, node->growing.entry.id);

    if (node->growing.is_removal || (member != NULL && member->is_up)) {
        begin_change(node);
    } else if (node->now_ms >= node->growing.due_ms) {
        fail_with_atom(node, "unreachable");
    }
}

void growing_tick(struct node *node)
{
    struct growing *growing = &node->growing;

    if (growing->phase == GROWING_CHANGING) {
        changed(node);
    }
    if (growing->phase != GROWING_IDLE && !node_log_is_leader(node)) {
        fail_with_code(node, ERR_TIMEOUT);
    }
    switch (growing->phase) {
    case GROWING_GREETING:
        if (node->now_ms >= growing->due_ms) {
            fail_with_atom(node, "unreachable");
        }
        break;
    case GROWING_NAMING:
        /* Once only; the entry may be there from an earlier attempt. */
        if (!growing->is_naming) {
            (void)directory_propose(node, &growing->entry, false, named);
        }
        break;
    case GROWING_LINKING:
        link_new(node);
        break;
    case GROWING_CHANGING:
    case GROWING_IDLE:
        break;
    }
}
