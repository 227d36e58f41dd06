/* SPDX-License-Identifier: Apache-2.0
 * Provisional starts (docs/decisions/2026-11-27-provisional.md): a member that
 * has no majority lets a worker that has no lease start an available sandbox,
 * under epoch 0, which no log grants. The worker offers it once it is attached:
 *
 *   create ──> member ── provisional ──> agent       without a majority
 *                 <────── started ───────
 *   log <── CLAIM ── member <── offer ── agent       with one
 *    └── CLAIMED ──> start, prior 0 ──────>          it goes on in place
 *
 * What this member keeps of it is who may be asked: the agents that it has just
 * refused a lease. What runs there they know, and say. */
#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/access.h"
#include "node/agents.h"
#include "node/requests.h"

enum {
    STRAYS_MAX = 4096,
    IDS_SIZE_MAX = 512 * 1024, /* bytes; twice what 1,000 of them take */
    ARGUMENTS = 3, /* of create_sandbox: id, specification, options */
    ARGUMENTS_SIZE_MAX =
        REGISTRY_SPEC_SIZE_MAX + REGISTRY_OPTIONS_SIZE_MAX + 1024,
};

/* An agent without a lease, by its last attach. */
struct stray {
    struct list node_link; /* in node->strays */
    struct link *link;     /* whose stray it is */
    uint8_t incarnation[REGISTRY_INCARNATION_SIZE];
    struct bytes pid; /* raw; behind the structure */
    struct bytes ids; /* raw: what it runs provisionally; idem */
    uint32_t count;   /* of them, at most IDS_SIZE_MAX */
};

void provisional_init(struct node *node)
{
    list_init(&node->strays);
}

/* --- Who may be asked ----------------------------------------------------- */

void provisional_attached(struct node *node, struct link *link)
{
    struct stray *stray = link->stray;

    if (stray != NULL) {
        link->stray = NULL;
        list_remove(&stray->node_link);
        ensure(node->stray_count > 0);
        node->stray_count--;
        mem_free(stray);
    }
}

/* The ids that a stray said, one after the other. */
struct ids {
    struct etf_reader reader;
    struct etf_list list;
    bool has_more;
};

static void ids_begin(struct ids *ids, const struct stray *stray)
{
    ids->reader = etf_reader_of(stray->ids);
    ids->has_more =
        stray->ids.size > 0 && etf_list_begin(&ids->reader, &ids->list) == 0;
}

static bool ids_next(struct ids *ids, struct bytes *ret_id)
{
    return ids->has_more && etf_list_next(&ids->list, &ids->has_more) == 0 &&
           ids->has_more && etf_read_binary(&ids->list.element, ret_id) == 0;
}

static uint32_t count_ids(const struct stray *stray)
{
    struct ids ids;
    struct bytes id;
    uint32_t count = 0;

    ids_begin(&ids, stray);
    while (ids_next(&ids, &id)) {
        count++;
    }
    return count;
}

void provisional_refused(struct node *node, struct link *link,
                         const struct stray_words *words)
{
    struct stray *stray;
    uint8_t *behind;

    provisional_attached(node, link);
    if (node->stray_count >= STRAYS_MAX || words->ids.size > IDS_SIZE_MAX) {
        return;
    }
    stray = mem_alloc(sizeof(*stray) + words->pid.size + words->ids.size);
    if (stray == NULL) {
        return; /* it asks again in a moment */
    }
    behind = (uint8_t *)(stray + 1);
    ensure(words->incarnation.size == sizeof(stray->incarnation));
    stray->link = link;
    memcpy(stray->incarnation, words->incarnation.data,
           sizeof(stray->incarnation));
    memcpy(behind, words->pid.data, words->pid.size);
    stray->pid = bytes_of(behind, words->pid.size);
    if (words->ids.size > 0) {
        memcpy(behind + words->pid.size, words->ids.data, words->ids.size);
    }
    stray->ids = bytes_of(behind + words->pid.size, words->ids.size);
    stray->count = count_ids(stray);
    link->stray = stray;
    list_append(&node->strays, &stray->node_link);
    node->stray_count++;
}

static bool runs(const struct stray *stray, struct bytes id)
{
    struct ids ids;
    struct bytes present;

    ids_begin(&ids, stray);
    while (ids_next(&ids, &present)) {
        if (bytes_equal(present, id)) {
            return true;
        }
    }
    return false;
}

uint64_t provisional_count(const struct node *node)
{
    uint64_t count = 0;

    LIST_FOREACH (item, &node->strays) {
        count += LIST_ENTRY(item, struct stray, node_link)->count;
    }
    return count;
}

/* The one that has it; else the same one that each member here would take, so
 * that who asks twice, or two of them, do not start it twice. */
static struct stray *choose(const struct node *node, struct bytes id)
{
    const struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, id);
    struct stray *chosen = NULL;
    uint64_t weight_max = 0;

    if (sandbox != NULL && sandbox->worker != NULL) {
        const struct link *link = links_find(node, sandbox->worker->name);

        if (link != NULL && link->stray != NULL) {
            return link->stray;
        }
    }
    LIST_FOREACH (item, &node->strays) {
        struct stray *stray = LIST_ENTRY(item, struct stray, node_link);
        uint64_t weight = placement_weight(id, stray->link->inbox_peer.name);

        if (runs(stray, id)) {
            return stray;
        }
        if (chosen == NULL || weight > weight_max) {
            chosen = stray;
            weight_max = weight;
        }
    }
    return chosen;
}

/* --- Starting ------------------------------------------------------------- */

/* Nothing of it may be in a log: neither here nor at a leader who was asked.
 * One that this member knows as strong is never started without a lease. */
static bool may_start(const struct node *node, const struct request *request)
{
    const struct sandbox *sandbox;

    if (request->api.type != API_CREATE_SANDBOX || request->call == NULL ||
        request->is_unknown || request->attempts > 0 ||
        request->passed_term != 0 ||
        registry_mode_of(request->api.options) != SANDBOX_AVAILABLE) {
        return false;
    }
    sandbox = registry_sandbox(&node->machine.registry, request->api.id);
    return sandbox == NULL || sandbox->mode == SANDBOX_AVAILABLE;
}

static void send_start(struct node *node, const struct stray *stray,
                       const struct request *request)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 6);
    etf_put_atom(body, "incarnation");
    etf_put_binary(body,
                   bytes_of(stray->incarnation, sizeof(stray->incarnation)));
    etf_put_atom(body, "member");
    etf_put_atom_bytes(body, node->self->name);
    etf_put_atom(body, "number");
    etf_put_u64(body, request->number);
    etf_put_atom(body, "id");
    etf_put_binary(body, request->api.id);
    etf_put_atom(body, "spec");
    agent_put_opaque(body, request->api.spec);
    etf_put_atom(body, "options");
    agent_put_opaque(body, request->api.options);
    if (buf_error(body) == 0) {
        links_send_pid(node, stray->link, stray->pid, "provisional");
    }
}

bool provisional_begin(struct node *node, struct request *request)
{
    const struct stray *stray =
        may_start(node, request) ? choose(node, request->api.id) : NULL;

    if (stray == NULL) {
        return false;
    }
    request->is_parked = false; /* something may come of it */
    request->starts_on = stray->link;
    send_start(node, stray, request);
    return true;
}

/* {Number, started | exists | failed | refused, Epoch, Term} */
struct answer {
    uint64_t number;
    struct bytes outcome;
    uint64_t epoch;
    struct bytes term;
};

static int read_answer(struct bytes body, struct answer *answer)
{
    struct etf_reader reader = etf_reader_of(body);
    int rv = etf_read_tuple_of(&reader, 4);

    rv = rv == 0 ? etf_read_u64(&reader, &answer->number) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &answer->outcome) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &answer->epoch) : rv;
    return rv == 0 ? etf_read_raw(&reader, &answer->term) : rv;
}

static void tell_running(struct node *node, struct request *request,
                         const struct answer *answer)
{
    struct worker worker = {.name = request->starts_on->inbox_peer.name};
    const struct sandbox sandbox = {.id = request->api.id,
                                    .epoch = answer->epoch,
                                    .status = SANDBOX_RUNNING,
                                    .worker = &worker,
                                    .pid = answer->term};

    if (bytes_is(answer->outcome, "exists")) {
        results_put_sandbox_exists(node_result(node), &sandbox);
    } else {
        log_line(LOG_WARN, "provisional_start", "worker=%.*s",
                 (int)worker.name.size, worker.name.data);
        results_put_ok_sandbox(node_result(node), &sandbox);
    }
    request_finish(node, request);
}

/* Nothing was begun there. One that has a lease by now is asked no more. */
static void refused(struct node *node, struct request *request,
                    const struct answer *answer)
{
    struct etf_reader why = etf_reader_of(answer->term);
    struct link *link = request->starts_on;

    request->starts_on = NULL;
    if (etf_take_atom(&why, "busy")) {
        request_fail(node, request, ERR_BUSY);
        return;
    }
    provisional_attached(node, link);
    if (!provisional_begin(node, request)) {
        request_fail(node, request, ERR_NO_QUORUM);
    }
}

void provisional_answer(struct node *node, const struct link *link,
                        struct bytes body)
{
    struct answer answer;
    struct request *request;

    if (read_answer(body, &answer) != 0) {
        node->counters.unknown_messages++;
        return;
    }
    request = requests_find(node, answer.number);
    if (request == NULL || request->starts_on != link) {
        return; /* its caller was told that nobody knows */
    }
    if (bytes_is(answer.outcome, "refused")) {
        refused(node, request, &answer);
    } else if (bytes_is(answer.outcome, "failed")) {
        results_put_error_raw(
            node_result(node), "start_failed",
            agent_term(node, answer.term, REGISTRY_REASON_SIZE_MAX));
        request_finish(node, request);
    } else if (!bytes_is(answer.outcome, "started") &&
               !bytes_is(answer.outcome, "exists")) {
        node->counters.unknown_messages++;
    } else if (answer.term.size <= REGISTRY_PID_SIZE_MAX &&
               access_allows_pid(node, link, answer.term, "provisional")) {
        tell_running(node, request, &answer);
    }
}

void provisional_link_down(struct node *node, struct link *link)
{
    struct request *request;
    struct list lost;
    struct list *first;
    size_t position = 0;

    provisional_attached(node, link);
    list_init(&lost);
    while ((request = map_next(&node->requests, &position)) != NULL) {
        if (request->starts_on == link) {
            list_append(&lost, &request->queue);
        }
    }
    while ((first = list_take_first(&lost)) != NULL) {
        request = LIST_ENTRY(first, struct request, queue);
        request->starts_on = NULL;
        request_fail(node, request, ERR_TIMEOUT);
    }
}

/* --- Offers --------------------------------------------------------------- */

/* What an agent says it runs, and would own. */
struct offer {
    struct bytes incarnation;
    struct bytes id;
    struct bytes pid;
    struct bytes spec;    /* raw */
    struct bytes options; /* raw */
};

static int read_opaque(struct etf_reader *reader, struct bytes *ret_raw)
{
    struct etf_limits limits = etf_limits_default(ARGUMENTS_SIZE_MAX);
    struct bytes external;
    int rv = etf_read_binary(reader, &external);

    limits.depth_max--; /* it is to be in a list */
    return rv == 0 ? etf_validate_external(external, &limits, ret_raw) : rv;
}

static int read_offer(struct bytes body, struct offer *offer)
{
    struct etf_reader reader = etf_reader_of(body);
    int rv = etf_read_tuple_of(&reader, 5);

    rv = rv == 0 ? etf_read_binary(&reader, &offer->incarnation) : rv;
    rv = rv == 0 ? etf_read_binary(&reader, &offer->id) : rv;
    rv = rv == 0 ? etf_read_raw(&reader, &offer->pid) : rv;
    rv = rv == 0 ? read_opaque(&reader, &offer->spec) : rv;
    return rv == 0 ? read_opaque(&reader, &offer->options) : rv;
}

/* As if it were created now: by the same rules, with the same right. */
static int check_create(struct node *node, const struct agent *agent,
                        struct buf *arguments, struct api_request *api)
{
    const struct api_function *function =
        api_lookup(bytes_of_string("quorate"),
                   bytes_of_string("create_sandbox"), ARGUMENTS);
    struct buf why;
    int rv = buf_error(arguments);

    ensure(function != NULL);
    buf_init(&why, 4096);
    rv = rv == 0
             ? api_decode_args(function, buf_bytes(arguments), NULL, api, &why)
             : rv;
    rv = rv == 0 ? api_check_terms(api, ARGUMENTS_SIZE_MAX, &node->rng, &why)
                 : rv;
    buf_close(&why);
    if (rv == 0 && (registry_mode_of(api->options) != SANDBOX_AVAILABLE ||
                    !access_allows_call(node, agent->link, api))) {
        rv = ERR_FORBIDDEN;
    }
    return rv;
}

static void submit_claim(struct node *node, const struct agent *agent,
                         const struct api_request *api)
{
    const struct command command =
        sandboxes_claim(node, api, agent->worker, agent->lease);

    node_log_submit(node, &command);
}

/* It comes again until something has become of it. */
static void claim(struct node *node, const struct agent *agent,
                  const struct offer *offer)
{
    struct api_request api;
    struct buf arguments;
    int rv;

    buf_init(&arguments, ARGUMENTS_SIZE_MAX);
    etf_put_list(&arguments, ARGUMENTS);
    etf_put_binary(&arguments, offer->id);
    etf_put_raw(&arguments, offer->spec);
    etf_put_raw(&arguments, offer->options);
    etf_put_nil(&arguments);
    rv = check_create(node, agent, &arguments, &api);
    if (rv == 0) {
        submit_claim(node, agent, &api);
    } else {
        node->counters.unknown_messages++;
        log_line(LOG_WARN, "offer_refused", "worker=%.*s cause=%s",
                 (int)agent->worker.size, agent->worker.data, err_atom(rv));
    }
    buf_close(&arguments);
}

void provisional_offer(struct node *node, const struct link *link,
                       struct bytes body)
{
    const struct agent *agent = agents_find(node, link->inbox_peer.name);
    const struct sandbox *sandbox;
    struct offer offer;

    if (read_offer(body, &offer) != 0) {
        node->counters.unknown_messages++;
        return;
    }
    if (agent == NULL || agent->link != link || agent->lease == 0 ||
        !agent_is_incarnation(agent, offer.incarnation) ||
        !access_allows_pid(node, link, offer.pid, "offer")) {
        return;
    }
    sandbox = registry_sandbox(&node->machine.registry, offer.id);
    if (sandbox == NULL) {
        claim(node, agent, &offer);
    } else if (sandbox->worker == NULL || sandbox->status != SANDBOX_STARTING ||
               sandbox->worker->lease != agent->lease ||
               !bytes_equal(sandbox->worker->name, agent->worker)) {
        const struct command running = {.id = offer.id};

        conflicts_not_owner(node, agent, &running, sandbox);
    } /* else the order to start says what becomes of it */
}
