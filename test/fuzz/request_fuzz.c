/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: api_lookup, api_decode, api_check_terms, all of api/arguments.c.
 *
 * Byte 0 chooses a function of the table, the rest is the raw list of its
 * arguments, validated as at the gate. Whatever they are there is a request
 * within its bounds, or a reason that is a valid term. */
#include "api/request.h"
#include "base/ensure.h"
#include "base/err.h"
#include "etf/reader.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024 };

static const struct {
    const char *module;
    const char *function;
} calls[] = {
    {"quorate", "create_sandbox"},
    {"quorate", "stop_sandbox"},
    {"quorate", "sandbox"},
    {"quorate", "sandboxes"},
    {"consistency_manager", "register"},
    {"consistency_manager", "unregister"},
    {"consistency_manager", "whereis"},
    {"state_replicator", "replicate_state"},
    {"state_replicator", "recover_state"},
    {"state_replicator", "get_state"},
    {"state_replicator", "delete_state"},
    {"state_replicator", "replicas"},
    {"node_selector", "select"},
    {"node_selector", "select_optimal_node"},
    {"quorum_manager", "token"},
    {"quorate", "no_such_function"},
};

/* The number of elements, as the gate counts them; false: no proper list. */
static bool count_elements(struct bytes raw, uint32_t *ret_count)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_list list;
    bool more = true;

    *ret_count = 0;
    if (etf_list_begin(&reader, &list) != 0) {
        return false;
    }
    for (;;) {
        if (etf_list_next(&list, &more) != 0) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (etf_skip(&list.element) != 0) {
            return false;
        }
        (*ret_count)++;
    }
}

static void check_request(const struct api_request *request)
{
    ensure(request->function != NULL);
    ensure(request->timeout_ms <= API_TIMEOUT_MS_MAX);
    ensure(request->id.size <= REGISTRY_ID_SIZE_MAX);
    ensure(request->after.size <= REGISTRY_ID_SIZE_MAX);
    ensure(request->limit <= API_LIMIT_MAX);
    ensure(request->priority <= API_PRIORITY_MAX);
    ensure(request->rf <= 7);
    ensure(request->meta.size <= API_META_SIZE_MAX);
    ensure(request->state.size <= API_STATE_SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct etf_limits limits = etf_limits_default(INPUT_MAX);
    static struct api_request request;
    struct buf reason;
    struct rng rng;
    size_t args_size = 0;
    size_t reason_size = 0;
    uint32_t arity;
    size_t which;
    int rv;

    if (size < 2 || size > INPUT_MAX ||
        etf_validate(bytes_of(data + 1, size - 1), &limits, &args_size) != 0 ||
        !count_elements(bytes_of(data + 1, args_size), &arity)) {
        return 0;
    }
    which = data[0] % (sizeof(calls) / sizeof(calls[0]));
    buf_init(&reason, 2 * INPUT_MAX);
    rv = api_decode(bytes_of_string(calls[which].module),
                    bytes_of_string(calls[which].function),
                    bytes_of(data + 1, args_size), arity, &request, &reason);
    ensure(rv == 0 || rv == ERR_UNDEF || rv == ERR_BADARG);
    ensure(buf_error(&reason) == 0);
    if (rv == 0) {
        check_request(&request);
        rng_init(&rng, size);
        rv = api_check_terms(&request, SIZE_MAX, &rng, &reason);
        ensure(rv == 0 || rv == ERR_BADARG);
    }
    if (rv == ERR_BADARG) {
        ensure(etf_validate(buf_bytes(&reason), &limits, &reason_size) == 0);
        ensure(reason_size == reason.size);
    } else {
        ensure(reason.size == 0);
    }
    buf_close(&reason);
    return 0;
}
