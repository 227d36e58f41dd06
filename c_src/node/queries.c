/* SPDX-License-Identifier: Apache-2.0
 * Calls that are answered from memory. */
#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "etf/writer.h"
#include "node/requests.h"
#include "node/version.h"
#include "raft/membership.h"

static const char *my_role(const struct node *node)
{
    if (!raft_is_voter(node->raft) && !node_log_is_leader(node)) {
        return "learner";
    }
    switch (raft_role(node->raft)) {
    case RAFT_LEADER:
        return "leader";
    case RAFT_FOLLOWER:
        return "follower";
    case RAFT_PRE_CANDIDATE:
    case RAFT_CANDIDATE:
        return "candidate";
    }
    unreachable();
}

static void count_links(const struct node *node, struct results_status *status)
{
    const struct peers_counters *counters = peers_counters(node->peers);
    const uint64_t *ended = counters->ended;

    status->links.up = peers_link_count(node->peers);
    status->links.accepted = counters->accepted;
    status->links.handshakes_failed = counters->handshakes_failed;
    status->links.closed = ended[PEERS_END_CLOSED];
    status->links.silent = ended[PEERS_END_SILENT];
    status->links.replaced = ended[PEERS_END_REPLACED];
    status->links.cut_for_input = ended[PEERS_END_INPUT];
    status->links.cut_for_unread = ended[PEERS_END_UNREAD];
    status->links.cut_for_memory = ended[PEERS_END_MEMORY];
}

static void describe_snapshot(const struct node_snapshot *snapshot,
                              struct results_status *status)
{
    status->snapshot.index = snapshot->last_index;
    status->snapshot.bytes = snapshot->last_size;
    status->snapshot.time = snapshot->last_time_s;
    status->snapshot.taken = snapshot->taken_count;
    status->snapshot.failed = snapshot->failed_count;
    status->snapshot.installed = snapshot->installed_count;
}

static void put_status(struct node *node, const struct api_request *api,
                       struct buf *result)
{
    const struct registry *registry = &node->machine.registry;
    const struct member *leader =
        members_by_id(&node->members, raft_leader(node->raft));
    struct results_status status = {
        .name = node->self->name,
        .version = QUORATE_VERSION,
        .role = my_role(node),
        .leader = leader == NULL ? bytes_of(NULL, 0) : leader->name,
        .term = raft_term(node->raft),
        .commit_index = raft_commit_index(node->raft),
        .applied_index = node->machine.applied_index,
        .has_quorum = raft_has_quorum(node->raft, node->now_ms),
        .members = members_expected(&node->members),
        .members_up = members_up(&node->members),
        .workers_hung = node->counters.workers_hung,
        .workers_killed = node->counters.workers_killed,
        .sandboxes = registry->sandboxes.count,
        .provisional = provisional_count(node),
        .conflict_copies = registry->copy_count,
        .names = registry->names.count,
        .uptime_ms = node->now_ms - node->started_ms,
        .memory_bytes = sys_resident_bytes(),
        .is_local = api->route == API_LOCAL,
    };
    const struct worker *worker;
    size_t position = 0;

    while ((worker = map_next(&registry->workers, &position)) != NULL) {
        status.workers += worker->lease != 0;
    }
    count_links(node, &status);
    describe_snapshot(&node->snapshot, &status);
    results_put_status(result, &status);
}

/* What the membership of the log says of a member. */
static const char *standing_of(const struct node *node, uint32_t roles)
{
    if (membership_is_joint(raft_membership(node->raft))) {
        switch (roles & ROLES_VOTING) {
        case ROLE_VOTER:
            return "joining";
        case ROLE_VOTER_OLD:
            return "leaving";
        default:
            break;
        }
    }
    if ((roles & ROLE_VOTER) != 0) {
        return "voter";
    }
    return (roles & ROLE_LEARNER) != 0 ? "learner" : "none";
}

static void put_members(const struct node *node, struct buf *result)
{
    uint64_t leader = raft_leader(node->raft);

    etf_put_list(result, node->members.count);
    for (uint32_t i = 0; i < node->members.count; i++) {
        const struct member *member = members_at(&node->members, i);
        uint32_t roles =
            membership_roles(raft_membership(node->raft), member->id);
        struct results_member row = {.name = member->name,
                                     .is_up = member->is_up,
                                     .role = "unknown",
                                     .standing = standing_of(node, roles),
                                     .address = member->address};

        if (member == node->self) {
            row.role = my_role(node);
        } else if (leader != 0 && member->is_up && member->id == leader) {
            row.role = "leader";
        } else if (leader != 0 && member->is_up) {
            row.role = (roles & ROLES_VOTING) != 0 ? "follower" : "learner";
        }
        results_put_member(result, &row);
    }
    etf_put_nil(result);
}

static void put_workers(struct node *node, struct buf *result)
{
    const struct registry *registry = &node->machine.registry;
    struct worker *worker;
    size_t position = 0;

    if (registry->workers.count > 0) {
        etf_put_list(result, (uint32_t)registry->workers.count);
    }
    while ((worker = map_next(&registry->workers, &position)) != NULL) {
        const struct member *member =
            members_by_id(&node->members, worker->member);
        const struct worker_note *note = worker_note(node, worker);
        struct results_worker view = {
            .worker = worker,
            .member = member == NULL ? bytes_of(NULL, 0) : member->name,
            .is_up = worker->lease != 0,
        };

        if (note != NULL) {
            view.cpu_load = (uint16_t)(note->cpu_load_permille / 10);
            view.memory_load = (uint16_t)(note->memory_load_permille / 10);
        }
        results_put_worker(result, &view);
    }
    etf_put_nil(result);
}

static void put_expectation(struct node *node, const struct api_request *api,
                            struct buf *result)
{
    int rv = report_expect(node, api->nodes);

    if (rv == 0) {
        results_put_ok(result);
    } else {
        results_put_error_code(result, rv);
    }
}

static void put_about_partitions(struct node *node,
                                 const struct api_request *api,
                                 struct buf *result)
{
    switch ((int)api->type) {
    case API_DETECT_PARTITION:
        etf_put_atom(result, partition_verdict_name(partitions_verdict(node)));
        return;
    case API_PARTITION_REPORT:
        report_put(node, result);
        return;
    case API_EXPECTED_NODES:
        report_put_expected(node, result);
        return;
    case API_SET_EXPECTED_NODES:
        put_expectation(node, api, result);
        return;
    case API_SUBSCRIBE:
        subscribers_add(node, api, result);
        return;
    case API_UNSUBSCRIBE:
        subscribers_remove(node, api, result);
        return;
    default:
        unreachable();
    }
}

static void put_selection(struct node *node, const struct api_request *api,
                          struct buf *result)
{
    const struct placement_request wanted = {.cpu = api->resources.cpu,
                                             .memory = api->resources.memory,
                                             .profile = api->profile};
    struct placement_view view;
    int rv = placing_select(node, &wanted, &view);

    if (rv == ERR_NO_CAPACITY && api->type == API_SELECT) {
        results_put_no_capacity(result, view.candidates, view.count);
    } else if (rv != 0) {
        results_put_error_code(result, rv);
    } else if (api->type == API_SELECT) {
        results_put_selected(result, view.candidates, view.names, view.count,
                             view.chosen);
    } else {
        results_put_ok_tuple(result, 2);
        results_put_node(result, view.names[view.chosen]);
    }
}

static void put_replicas(const struct node *node, const struct sandbox *sandbox,
                         struct buf *result)
{
    struct bytes names[REGISTRY_REPLICAS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < sandbox->replica_count; i++) {
        const struct member *member =
            members_by_id(&node->members, sandbox->replicas[i]);

        if (member != NULL) {
            names[count++] = member->name;
        }
    }
    results_put_ok_tuple(result, 2);
    results_put_nodes(result, names, count);
}

/* False: it is too big to be read by the loop's thread. */
static bool put_own_state(struct node *node, const struct api_request *api,
                          struct buf *result)
{
    const struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, api->id);
    struct buf value;
    uint64_t epoch;
    uint64_t seq;
    int rv;

    if (sandbox == NULL) {
        results_put_error_code(result, ERR_NOT_FOUND);
        return true;
    }
    buf_init(&value, STATE_SHARED_MIN);
    rv = state_db_get(node->db, sandbox->id, sandbox->birth, &epoch, &seq,
                      &value);
    if (rv == ERR_LIMIT) {
        buf_close(&value);
        return false;
    }
    if (rv != 0 || value.size == 0) {
        results_put_error_code(result, rv != 0 ? rv : ERR_NOT_FOUND);
    } else {
        results_put_state(result, buf_bytes(&value), epoch, seq);
    }
    buf_close(&value);
    return true;
}

static void put_about_sandbox(struct node *node, const struct api_request *api,
                              struct buf *result)
{
    const struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, api->id);

    if (sandbox == NULL) {
        results_put_error_code(result, ERR_NOT_FOUND);
    } else if (api->type == API_REPLICAS) {
        put_replicas(node, sandbox, result);
    } else if (api->route == API_LOCAL) {
        results_put_local_sandbox(result, sandbox, node->machine.applied_index);
    } else {
        results_put_ok_sandbox(result, sandbox);
    }
}

static void put_about_name(const struct node *node,
                           const struct api_request *api, struct buf *result)
{
    const struct registered_name *name =
        registry_name(&node->machine.registry, api->name);

    if (name == NULL) {
        results_put_error_code(result, ERR_NOT_FOUND);
    } else if (api->type == API_LOOKUP) {
        results_put_ok_name(result, name);
    } else {
        results_put_whereis(result, name);
    }
}

static void put_token(const struct node *node, const struct api_request *api,
                      struct buf *result)
{
    uint32_t up = members_up(&node->members);

    if (up < api->required) {
        results_put_error_number(result, "too_few_members", up);
        return;
    }
    results_put_ok_tuple(result, 2);
    etf_put_u64(result,
                command_epoch(&node->machine, node->machine.applied_index));
}

bool queries_answer(struct node *node, const struct api_request *api,
                    struct buf *result)
{
    switch (api->type) {
    case API_VERSION:
        etf_put_string_binary(result, QUORATE_VERSION);
        return true;
    case API_STATUS:
        put_status(node, api, result);
        return true;
    case API_MEMBERS:
        put_members(node, result);
        return true;
    case API_WORKERS:
        put_workers(node, result);
        return true;
    case API_SANDBOXES:
    case API_NAMES:
    case API_CONFLICTS:
    case API_COPIES:
        listings_put(node, api, result);
        return true;
    case API_HAS_QUORUM:
        etf_put_bool(result, raft_has_quorum(node->raft, node->now_ms));
        return true;
    case API_TOKEN:
        put_token(node, api, result);
        return true;
    case API_DETECT_PARTITION:
    case API_PARTITION_REPORT:
    case API_EXPECTED_NODES:
    case API_SET_EXPECTED_NODES:
    case API_SUBSCRIBE:
    case API_UNSUBSCRIBE:
        put_about_partitions(node, api, result);
        return true;
    case API_SANDBOX:
    case API_REPLICAS:
        put_about_sandbox(node, api, result);
        return true;
    case API_GET_STATE:
        return put_own_state(node, api, result);
    case API_WHEREIS:
    case API_LOOKUP:
        put_about_name(node, api, result);
        return true;
    case API_SELECT:
    case API_SELECT_OPTIMAL_NODE:
        put_selection(node, api, result);
        return true;
    case API_CREATE_SANDBOX:
    case API_STOP_SANDBOX:
    case API_REGISTER:
    case API_UNREGISTER:
    case API_REPLICATE_STATE:
    case API_DELETE_STATE:
    case API_RECOVER_STATE:
    case API_ADD_MEMBER:
    case API_REMOVE_MEMBER:
    case API_TRANSFER_LEADERSHIP:
    case API_EXECUTE:
    case API_COPY:
    case API_RESTORE_COPY:
    case API_DISCARD_COPY:
    case API_RESOLVE_DUPLICATES:
    case API_KEEP_COPY:
    case API_RESTORED:
    case API_TYPES:
        return false;
    }
    unreachable();
}
