/* SPDX-License-Identifier: Apache-2.0
 * The table of functions, and its look-up. */
#include "api/functions.h"

/* Sizes are known here, so that a look-up compares bytes only when they are
 * right. */
#define NAME(text)                                                \
    {                                                             \
        .data = (const uint8_t *)(text), .size = sizeof(text) - 1 \
    }

#define QUORATE    NAME("quorate")
#define MANAGER    NAME("quorum_manager")
#define PARTITION  NAME("partition_detector")
#define CONSISTENT NAME("consistency_manager")
#define REPLICATOR NAME("state_replicator")
#define SELECTOR   NAME("node_selector")

#define CREATE_OPTIONS                                              \
    (API_OPTION_TIMEOUT | API_OPTION_RESOURCES | API_OPTION_RF |    \
     API_OPTION_MODE | API_OPTION_DURABILITY | API_OPTION_PROFILE | \
     API_OPTION_PRIORITY | API_OPTION_CHECKPOINT)
#define LIST_OPTIONS (API_OPTION_LIMIT | API_OPTION_AFTER | API_OPTION_WORKER)

#define ID        API_ARG_ID
#define SPEC      API_ARG_SPEC
#define EPOCH     API_ARG_EPOCH
#define STATE     API_ARG_STATE
#define TERM      API_ARG_NAME
#define PID       API_ARG_PID
#define META      API_ARG_META
#define RESOURCES API_ARG_RESOURCES
#define OPTIONS   API_ARG_OPTIONS
#define NODE      API_ARG_NODE

static const struct api_function functions[] = {
    {QUORATE, NAME("version"), 0, API_VERSION, API_LOCAL, RIGHT_READ, {0}, 0},
    {QUORATE, NAME("status"), 0, API_STATUS, API_LOCAL, RIGHT_READ, {0}, 0},
    {QUORATE, NAME("members"), 0, API_MEMBERS, API_LOCAL, RIGHT_READ, {0}, 0},
    {QUORATE, NAME("workers"), 0, API_WORKERS, API_LOCAL, RIGHT_READ, {0}, 0},
    {QUORATE,
     NAME("create_sandbox"),
     2,
     API_CREATE_SANDBOX,
     API_LEADER,
     RIGHT_SANDBOX,
     {ID, SPEC},
     0},
    {QUORATE,
     NAME("create_sandbox"),
     3,
     API_CREATE_SANDBOX,
     API_LEADER,
     RIGHT_SANDBOX,
     {ID, SPEC, OPTIONS},
     CREATE_OPTIONS},
    {QUORATE,
     NAME("stop_sandbox"),
     1,
     API_STOP_SANDBOX,
     API_LEADER,
     RIGHT_SANDBOX,
     {ID},
     0},
    {QUORATE, NAME("sandbox"), 1, API_SANDBOX, API_READ, RIGHT_READ, {ID}, 0},
    {QUORATE,
     NAME("sandbox"),
     2,
     API_SANDBOX,
     API_READ,
     RIGHT_READ,
     {ID, OPTIONS},
     API_OPTION_TIMEOUT | API_OPTION_CONSISTENCY},
    {QUORATE,
     NAME("sandboxes"),
     0,
     API_SANDBOXES,
     API_LOCAL,
     RIGHT_READ,
     {0},
     0},
    {QUORATE,
     NAME("sandboxes"),
     1,
     API_SANDBOXES,
     API_LOCAL,
     RIGHT_READ,
     {OPTIONS},
     API_OPTION_TIMEOUT | LIST_OPTIONS},
    {MANAGER,
     NAME("has_quorum"),
     0,
     API_HAS_QUORUM,
     API_LOCAL,
     RIGHT_READ,
     {0},
     0},
    {MANAGER, NAME("status"), 0, API_STATUS, API_LOCAL, RIGHT_READ, {0}, 0},
    {MANAGER, NAME("token"), 0, API_TOKEN, API_READ, RIGHT_READ, {0}, 0},
    {PARTITION,
     NAME("detect_partition"),
     0,
     API_DETECT_PARTITION,
     API_LOCAL,
     RIGHT_READ,
     {0},
     0},
    {PARTITION,
     NAME("partition_report"),
     0,
     API_PARTITION_REPORT,
     API_LOCAL,
     RIGHT_READ,
     {0},
     0},
    {PARTITION,
     NAME("expected_nodes"),
     0,
     API_EXPECTED_NODES,
     API_LOCAL,
     RIGHT_READ,
     {0},
     0},
    {CONSISTENT,
     NAME("register"),
     3,
     API_REGISTER,
     API_LEADER,
     RIGHT_NAME,
     {TERM, PID, META},
     0},
    {CONSISTENT,
     NAME("unregister"),
     2,
     API_UNREGISTER,
     API_LEADER,
     RIGHT_NAME,
     {TERM, PID},
     0},
    {CONSISTENT,
     NAME("whereis"),
     1,
     API_WHEREIS,
     API_READ,
     RIGHT_READ,
     {TERM},
     0},
    {REPLICATOR,
     NAME("replicate_state"),
     3,
     API_REPLICATE_STATE,
     API_STATE,
     RIGHT_STATE,
     {ID, EPOCH, STATE},
     0},
    {REPLICATOR,
     NAME("replicate_state"),
     4,
     API_REPLICATE_STATE,
     API_STATE,
     RIGHT_STATE,
     {ID, EPOCH, STATE, OPTIONS},
     API_OPTION_TIMEOUT | API_OPTION_SEQ},
    {REPLICATOR,
     NAME("recover_state"),
     1,
     API_RECOVER_STATE,
     API_STATE,
     RIGHT_READ,
     {ID},
     0},
    {REPLICATOR,
     NAME("get_state"),
     1,
     API_GET_STATE,
     API_LOCAL,
     RIGHT_READ,
     {ID},
     0},
    {REPLICATOR,
     NAME("delete_state"),
     2,
     API_DELETE_STATE,
     API_STATE,
     RIGHT_STATE,
     {ID, EPOCH},
     0},
    {REPLICATOR,
     NAME("replicas"),
     1,
     API_REPLICAS,
     API_LOCAL,
     RIGHT_READ,
     {ID},
     0},
    {SELECTOR,
     NAME("select_optimal_node"),
     1,
     API_SELECT_OPTIMAL_NODE,
     API_LEADER,
     RIGHT_SELECT,
     {RESOURCES},
     0},
    {SELECTOR,
     NAME("select"),
     2,
     API_SELECT,
     API_LEADER,
     RIGHT_SELECT,
     {RESOURCES, OPTIONS},
     API_OPTION_TIMEOUT | API_OPTION_PROFILE},
    {MANAGER,
     NAME("add_member"),
     2,
     API_ADD_MEMBER,
     API_LEADER,
     RIGHT_MANAGE,
     {NODE, OPTIONS},
     API_OPTION_TIMEOUT | API_OPTION_ADDRESS},
    {MANAGER,
     NAME("remove_member"),
     1,
     API_REMOVE_MEMBER,
     API_LEADER,
     RIGHT_MANAGE,
     {NODE},
     0},
    {MANAGER,
     NAME("remove_member"),
     2,
     API_REMOVE_MEMBER,
     API_LEADER,
     RIGHT_MANAGE,
     {NODE, OPTIONS},
     API_OPTION_TIMEOUT},
};

const struct api_function *api_lookup(struct bytes module,
                                      struct bytes function, uint32_t arity)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        const struct api_function *row = &functions[i];

        if (row->arity == arity && bytes_equal(row->function, function) &&
            bytes_equal(row->module, module)) {
            return row;
        }
    }
    return NULL;
}
