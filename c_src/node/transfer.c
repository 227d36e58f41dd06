/* SPDX-License-Identifier: Apache-2.0
 * Another leader, as somebody asked for it: the leader has raft/handover.c do
 * it, and answers when it hears from the new one. If that does not come about,
 * it leads on, and says so. */
#include "api/results.h"
#include "base/err.h"
#include "node/node.h"
#include "node/requests.h"
#include "raft/membership.h"

static void fail_with_atom(struct node *node, struct request *request,
                           const char *atom)
{
    results_put_error(node_result(node), atom);
    request_finish(node, request);
}

static void succeed(struct node *node, struct request *request,
                    const struct member *leader)
{
    struct buf *result = node_result(node);

    results_put_ok_tuple(result, 2);
    results_put_node(result, leader->name);
    request_finish(node, request);
}

void transfer_begin(struct node *node, struct request *request)
{
    const struct member *member =
        members_by_name(&node->members, request->api.node);
    uint32_t roles =
        member == NULL
            ? 0
            : membership_roles(raft_membership(node->raft), member->id);
    int rv;

    if (roles == 0) {
        request_fail(node, request, ERR_NOT_FOUND);
        return;
    }
    if ((roles & ROLE_VOTER) == 0) {
        fail_with_atom(node, request, "not_a_voter");
        return;
    }
    if (member == node->self) {
        succeed(node, request, member);
        return;
    }
    if (!member->is_up) {
        fail_with_atom(node, request, "not_up");
        return;
    }
    rv = node_log_transfer(node, member->id);
    if (rv != 0) {
        request_fail(node, request, rv);
        return;
    }
    node->transfer =
        (struct transfer_wait){.request = request->number, .to = member->id};
    log_line(LOG_INFO, "transfer_begins", "to=%.*s", (int)member->name.size,
             (const char *)member->name.data);
}

void transfer_turn(struct node *node)
{
    struct transfer_wait transfer = node->transfer;
    uint64_t leader = raft_leader(node->raft);
    const struct member *now = members_by_id(&node->members, leader);
    struct request *request;

    if (transfer.request == 0 || now == NULL ||
        (now == node->self && !transfer.has_failed)) {
        return;
    }
    node->transfer = (struct transfer_wait){.request = 0};
    log_line(LOG_INFO, "transfer_ended", "leader=%.*s", (int)now->name.size,
             (const char *)now->name.data);
    request = requests_find(node, transfer.request);
    if (request == NULL) {
        return;
    }
    if (leader == transfer.to) {
        succeed(node, request, now);
    } else {
        fail_with_atom(node, request, "not_taken_over");
    }
}
