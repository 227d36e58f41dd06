/* SPDX-License-Identifier: Apache-2.0
 * Calls that register and unregister names, on the leader. */
#include "api/results.h"
#include "base/err.h"
#include "etf/writer.h"
#include "node/requests.h"

/* Known by its id: what it found then is told, if it is still there. */
void names_registered(struct node *node, struct request *request,
                      const struct command_result *result)
{
    struct buf *out = node_result(node);

    if (result->rv == 0) {
        results_put_ok_tuple(out, 2);
        etf_put_u64(out, result->epoch);
    } else if (result->rv == ERR_EXISTS && result->name == NULL) {
        results_put_error_code(out, ERR_BUSY);
    } else if (result->rv == ERR_STALE_REQUEST) {
        results_put_error_code(out, ERR_TIMEOUT);
    } else if (result->rv == ERR_EXISTS) {
        results_put_name_exists(out, result->name);
    } else if (result->rv == ERR_CLOSED || result->rv == ERR_NOT_FOUND) {
        results_put_badarg_atom(out, "not_a_worker");
    } else {
        results_put_error_code(out,
                               result->rv == ERR_LIMIT ? ERR_BUSY : result->rv);
    }
    request_finish(node, request);
}

void names_unregistered(struct node *node, struct request *request,
                        const struct command_result *result)
{
    if (result->rv != 0) {
        request_fail(node, request,
                     result->rv == ERR_STALE_REQUEST ? ERR_TIMEOUT
                                                     : result->rv);
        return;
    }
    results_put_ok(node_result(node));
    request_finish(node, request);
}

void names_register(struct node *node, struct request *request)
{
    const struct command command = {.type = COMMAND_REGISTER,
                                    .request = request->id,
                                    .worker = request->api.worker,
                                    .name = request->api.name,
                                    .pid = request->api.pid,
                                    .meta = request->api.meta};

    request_propose(node, request, &command, names_registered);
}

void names_unregister(struct node *node, struct request *request)
{
    const struct command command = {.type = COMMAND_UNREGISTER,
                                    .request = request->id,
                                    .name = request->api.name,
                                    .pid = request->api.pid};

    request_propose(node, request, &command, names_unregistered);
}
