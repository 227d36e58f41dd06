/* SPDX-License-Identifier: Apache-2.0
 * The table of functions: every documented one is there, nothing else is. */
#include "api/functions.h"
#include "lib/test.h"

static const struct {
    const char *module;
    const char *function;
    uint32_t arity;
    enum api_type type;
    enum api_route route;
} documented[] = {
    {"quorate", "version", 0, API_VERSION, API_LOCAL},
    {"quorate", "status", 0, API_STATUS, API_READ},
    {"quorate", "status", 1, API_STATUS, API_READ},
    {"quorate", "members", 0, API_MEMBERS, API_LOCAL},
    {"quorate", "workers", 0, API_WORKERS, API_LOCAL},
    {"quorate", "create_sandbox", 2, API_CREATE_SANDBOX, API_LEADER},
    {"quorate", "create_sandbox", 3, API_CREATE_SANDBOX, API_LEADER},
    {"quorate", "stop_sandbox", 1, API_STOP_SANDBOX, API_LEADER},
    {"quorate", "sandbox", 1, API_SANDBOX, API_READ},
    {"quorate", "sandbox", 2, API_SANDBOX, API_READ},
    {"quorate", "sandboxes", 0, API_SANDBOXES, API_LOCAL},
    {"quorate", "sandboxes", 1, API_SANDBOXES, API_LOCAL},
    {"quorum_manager", "has_quorum", 0, API_HAS_QUORUM, API_LOCAL},
    {"quorum_manager", "status", 0, API_STATUS, API_READ},
    {"quorum_manager", "status", 1, API_STATUS, API_READ},
    {"quorum_manager", "token", 0, API_TOKEN, API_READ},
    {"quorum_manager", "token", 1, API_TOKEN, API_READ},
    {"quorum_manager", "execute_with_quorum", 1, API_EXECUTE, API_READ},
    {"quorum_manager", "execute_with_quorum", 2, API_EXECUTE, API_READ},
    {"partition_detector", "detect_partition", 0, API_DETECT_PARTITION,
     API_LOCAL},
    {"partition_detector", "partition_report", 0, API_PARTITION_REPORT,
     API_LOCAL},
    {"partition_detector", "expected_nodes", 0, API_EXPECTED_NODES, API_LOCAL},
    {"partition_detector", "set_expected_nodes", 1, API_SET_EXPECTED_NODES,
     API_LOCAL},
    {"quorate", "subscribe", 2, API_SUBSCRIBE, API_LOCAL},
    {"quorate", "unsubscribe", 1, API_UNSUBSCRIBE, API_LOCAL},
    {"consistency_manager", "register", 3, API_REGISTER, API_LEADER},
    {"consistency_manager", "unregister", 2, API_UNREGISTER, API_LEADER},
    {"consistency_manager", "whereis", 1, API_WHEREIS, API_READ},
    {"consistency_manager", "whereis", 2, API_WHEREIS, API_READ},
    {"consistency_manager", "lookup", 1, API_LOOKUP, API_READ},
    {"consistency_manager", "lookup", 2, API_LOOKUP, API_READ},
    {"consistency_manager", "names", 0, API_NAMES, API_READ},
    {"consistency_manager", "names", 1, API_NAMES, API_READ},
    {"state_replicator", "replicate_state", 3, API_REPLICATE_STATE, API_STATE},
    {"state_replicator", "replicate_state", 4, API_REPLICATE_STATE, API_STATE},
    {"state_replicator", "recover_state", 1, API_RECOVER_STATE, API_STATE},
    {"state_replicator", "get_state", 1, API_GET_STATE, API_LOCAL},
    {"state_replicator", "delete_state", 2, API_DELETE_STATE, API_STATE},
    {"state_replicator", "replicas", 1, API_REPLICAS, API_LOCAL},
    {"node_selector", "select_optimal_node", 1, API_SELECT_OPTIMAL_NODE,
     API_LEADER},
    {"node_selector", "select", 2, API_SELECT, API_LEADER},
    {"quorum_manager", "add_member", 2, API_ADD_MEMBER, API_LEADER},
    {"quorum_manager", "remove_member", 1, API_REMOVE_MEMBER, API_LEADER},
    {"quorum_manager", "remove_member", 2, API_REMOVE_MEMBER, API_LEADER},
    {"quorum_manager", "transfer_leadership", 1, API_TRANSFER_LEADERSHIP,
     API_LEADER},
    {"quorum_manager", "transfer_leadership", 2, API_TRANSFER_LEADERSHIP,
     API_LEADER},
    {"conflict_resolver", "conflicts", 0, API_CONFLICTS, API_READ},
    {"conflict_resolver", "copies", 1, API_COPIES, API_READ},
    {"conflict_resolver", "copy", 2, API_COPY, API_STATE},
    {"conflict_resolver", "restore_copy", 2, API_RESTORE_COPY, API_LEADER},
    {"conflict_resolver", "restore_copy", 3, API_RESTORE_COPY, API_LEADER},
    {"conflict_resolver", "discard_copy", 2, API_DISCARD_COPY, API_LEADER},
    {"conflict_resolver", "resolve_duplicate_sandboxes", 1,
     API_RESOLVE_DUPLICATES, API_LEADER},
    {"conflict_resolver", "keep_copy", 4, API_KEEP_COPY, API_LEADER},
    {"conflict_resolver", "restored", 4, API_RESTORED, API_LEADER},
};
enum { DOCUMENTED = sizeof(documented) / sizeof(documented[0]) };

static void every_documented_function_is_there(void **state)
{
    bool seen[API_TYPES] = {false};

    (void)state;
    for (size_t i = 0; i < DOCUMENTED; i++) {
        const struct api_function *function = api_lookup(
            bytes_of_string(documented[i].module),
            bytes_of_string(documented[i].function), documented[i].arity);
        uint32_t arguments = 0;

        assert_non_null(function);
        assert_int_equal(function->type, documented[i].type);
        assert_int_equal(function->route, documented[i].route);
        /* One that was forgotten could not be called by anybody. */
        assert_in_range(function->right, RIGHT_NONE + 1, RIGHTS - 1);
        assert_true(role_may(ROLE_MEMBER, function->right));
        while (arguments < API_ARITY_MAX &&
               function->arguments[arguments] != API_ARG_NONE) {
            arguments++;
        }
        assert_int_equal(arguments, function->arity);
        seen[function->type] = true;
    }
    for (int type = 0; type < API_TYPES; type++) {
        assert_true(seen[type]);
    }
}

/* What changes something beyond sandboxes is not for clients. */
static void clients_only_read_and_run_sandboxes(void **state)
{
    static const char *const denied[] = {"register",
                                         "unregister",
                                         "replicate_state",
                                         "delete_state",
                                         "add_member",
                                         "remove_member",
                                         "transfer_leadership",
                                         "set_expected_nodes",
                                         "keep_copy",
                                         "restored"};

    (void)state;
    for (size_t i = 0; i < DOCUMENTED; i++) {
        const struct api_function *function = api_lookup(
            bytes_of_string(documented[i].module),
            bytes_of_string(documented[i].function), documented[i].arity);
        bool is_denied = false;

        for (size_t j = 0; j < sizeof(denied) / sizeof(denied[0]); j++) {
            is_denied = is_denied || bytes_is(function->function, denied[j]);
        }
        assert_int_equal(role_may(ROLE_CLIENT, function->right), !is_denied);
        assert_int_equal(role_may(ROLE_WORKER, function->right),
                         function->right != RIGHT_MANAGE);
    }
}

static void other_arities_modules_and_names_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < DOCUMENTED; i++) {
        struct bytes module = bytes_of_string(documented[i].module);
        struct bytes function = bytes_of_string(documented[i].function);

        for (uint32_t arity = 0; arity < 8; arity++) {
            bool is_documented = false;

            for (size_t j = 0; j < DOCUMENTED; j++) {
                is_documented |= bytes_is(module, documented[j].module) &&
                                 bytes_is(function, documented[j].function) &&
                                 documented[j].arity == arity;
            }
            assert_true(is_documented ==
                        (api_lookup(module, function, arity) != NULL));
        }
        assert_null(api_lookup(bytes_of(module.data, module.size - 1), function,
                               documented[i].arity));
        assert_null(api_lookup(module,
                               bytes_of(function.data, function.size - 1),
                               documented[i].arity));
    }
    assert_null(
        api_lookup(bytes_of_string("erlang"), bytes_of_string("halt"), 0));
    assert_null(api_lookup(bytes_of(NULL, 0), bytes_of(NULL, 0), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_function_is_there),
        cmocka_unit_test(clients_only_read_and_run_sandboxes),
        cmocka_unit_test(other_arities_modules_and_names_are_not),
    };

    return cmocka_run_group_tests_name("api_functions", tests, NULL, NULL);
}
