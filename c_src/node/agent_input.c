/* SPDX-License-Identifier: Apache-2.0
 * What agents say (docs/protocol.md, section 2): attach, keep-alives, reports.
 */
#include "base/err.h"
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/access.h"
#include "node/agents.h"
#include "node/requests.h"

static int replace_bytes(struct bytes *field, struct bytes value)
{
    void *copy = mem_copy(value.data, value.size);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    mem_free((void *)(uintptr_t)field->data);
    *field = bytes_of(copy, value.size);
    return 0;
}

static struct agent *agent_new(struct node *node, struct bytes worker)
{
    struct agent *agent = mem_alloc(sizeof(*agent) + worker.size);

    if (agent == NULL) {
        return NULL;
    }
    memcpy(agent + 1, worker.data, worker.size);
    agent->node = node;
    agent->worker = bytes_of(agent + 1, worker.size);
    if (map_put(&node->agents, agent->worker, agent) != 0) {
        mem_free(agent);
        return NULL;
    }
    return agent;
}

static void process_exited(void *arg)
{
    struct agent *agent = (struct agent *)arg;

    recorder_death(agent->node, agent, JOURNAL_CAUSE_EXITED);
    /* The release is submitted by the next tick, and again until applied. */
    agent->is_proven_dead = true;
    process_watch_free(agent->watch);
    agent->watch = NULL;
}

/* What attach says, taken apart. */
struct attach {
    struct bytes pid;
    struct bytes incarnation;
    uint64_t clock;
    struct resources capacity;
    uint64_t sandboxes_max;
    struct bytes running;
    struct bytes provisional; /* ids of what runs without a log; or empty */
    uint64_t os_pid;
    uint64_t start_time;
    struct bytes boot_id;
    struct bytes pid_namespace;
};

static uint32_t capped(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int read_capacity(struct etf_reader *reader, struct attach *attach)
{
    uint32_t pairs;
    int rv = etf_read_map(reader, &pairs);

    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        struct bytes key;
        uint64_t value = 0;

        rv = etf_read_atom(reader, &key);
        rv = rv == 0 ? etf_read_u64(reader, &value) : rv;
        if (rv != 0) {
            return rv;
        }
        if (bytes_is(key, "cpu")) {
            attach->capacity.cpu = capped(value);
        } else if (bytes_is(key, "memory")) {
            attach->capacity.memory = capped(value);
        } else if (bytes_is(key, "sandboxes")) {
            attach->sandboxes_max = value;
        }
    }
    return rv;
}

static int read_os(struct etf_reader *reader, struct attach *attach)
{
    uint32_t pairs;
    int rv = etf_read_map(reader, &pairs);

    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        struct bytes key;

        rv = etf_read_atom(reader, &key);
        if (rv != 0) {
            return rv;
        }
        if (bytes_is(key, "pid")) {
            rv = etf_read_u64(reader, &attach->os_pid);
        } else if (bytes_is(key, "start_time")) {
            rv = etf_read_u64(reader, &attach->start_time);
        } else if (bytes_is(key, "boot_id")) {
            rv = etf_read_binary(reader, &attach->boot_id);
        } else if (bytes_is(key, "pid_namespace")) {
            rv = etf_read_binary(reader, &attach->pid_namespace);
        } else {
            rv = etf_skip(reader);
        }
    }
    return rv;
}

static int read_attach(struct bytes body, struct attach *attach)
{
    struct etf_reader reader = etf_reader_of(body);
    uint32_t pairs;
    int rv = etf_read_map(&reader, &pairs);

    *attach = (struct attach){.clock = 0};
    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        struct bytes key;

        rv = etf_read_atom(&reader, &key);
        if (rv != 0) {
            return rv;
        }
        if (bytes_is(key, "pid")) {
            rv = etf_read_raw(&reader, &attach->pid);
        } else if (bytes_is(key, "incarnation")) {
            rv = etf_read_binary(&reader, &attach->incarnation);
        } else if (bytes_is(key, "clock")) {
            rv = etf_read_u64(&reader, &attach->clock);
        } else if (bytes_is(key, "capacity")) {
            rv = read_capacity(&reader, attach);
        } else if (bytes_is(key, "os")) {
            rv = read_os(&reader, attach);
        } else if (bytes_is(key, "running")) {
            rv = etf_read_raw(&reader, &attach->running);
        } else if (bytes_is(key, "provisional")) {
            rv = etf_read_raw(&reader, &attach->provisional);
        } else {
            rv = etf_skip(&reader);
        }
    }
    if (rv == 0 &&
        (attach->incarnation.size != REGISTRY_INCARNATION_SIZE ||
         attach->pid.size == 0 || attach->pid.size > REGISTRY_PID_SIZE_MAX ||
         attach->running.size == 0)) {
        rv = ERR_BADARG;
    }
    return rv;
}

static void watch_process(struct node *node, struct agent *agent,
                          const struct attach *attach)
{
    if (agent->watch != NULL || attach->os_pid == 0 ||
        attach->os_pid > INT32_MAX || attach->boot_id.size == 0 ||
        attach->pid_namespace.size == 0 ||
        !bytes_is(attach->boot_id, host_boot_id()) ||
        !bytes_is(attach->pid_namespace, host_pid_namespace())) {
        return;
    }
    /* Without a watch its lease runs out instead: slower, no less safe. */
    if (process_watch_new(node->loop, (uint32_t)attach->os_pid,
                          attach->start_time, process_exited, agent,
                          &agent->watch) != 0) {
        agent->watch = NULL;
    }
}

static void refuse(struct node *node, struct link *link, struct bytes pid,
                   const char *why)
{
    struct buf *body = node_result(node);

    etf_put_atom(body, why);
    links_send_pid(node, link, pid, "refused");
}

static void submit_attach(struct node *node, const struct agent *agent)
{
    const struct command command = {
        .type = COMMAND_ATTACH,
        .worker = agent->worker,
        .incarnation = bytes_of(agent->incarnation, sizeof(agent->incarnation)),
        .clock = agent->clock,
        .member = node->self->id,
        .term_ms = node->settings->ttl_leader_ms,
        .capacity = agent->capacity,
        .sandboxes_max = agent->sandboxes_max};

    node_log_submit(node, &command);
}

/* Whether a new run says that something of the one before goes on. */
static bool has_outlived(const struct attach *attach)
{
    struct etf_reader reader = etf_reader_of(attach->running);
    struct etf_list list;
    bool more = false;

    return etf_list_begin(&reader, &list) == 0 &&
           etf_list_next(&list, &more) == 0 && more;
}

static void receive_attach(struct node *node, struct link *link,
                           struct bytes body)
{
    struct bytes worker = link->inbox_peer.name;
    struct agent *agent = agents_find(node, worker);
    struct attach attach;

    if (read_attach(body, &attach) != 0) {
        node->counters.unknown_messages++;
        log_line(LOG_WARN, "attach_refused", "worker=%.*s cause=malformed",
                 (int)worker.size, worker.data);
        return;
    }
    if (!access_allows_pid(node, link, attach.pid, "attach")) {
        return;
    }
    if (agent != NULL && !agent->is_fenced && !has_outlived(&attach) &&
        !agent_is_incarnation(agent, attach.incarnation)) {
        recorder_death(node, agent, JOURNAL_CAUSE_REPLACED);
        agent->is_proven_dead = true; /* a new one ends all of the one before */
    }
    if (!raft_has_quorum(node->raft, node->now_ms)) {
        provisional_refused(node, link,
                            &(struct stray_words){attach.incarnation,
                                                  attach.pid,
                                                  attach.provisional});
        refuse(node, link, attach.pid, "no_quorum");
        return;
    }
    provisional_attached(node, link);
    if (node->machine.held_epoch != 0) {
        refuse(node, link, attach.pid, "recovering");
        return;
    }
    agent = agent != NULL ? agent : agent_new(node, worker);
    if (agent == NULL || replace_bytes(&agent->pid, attach.pid) != 0 ||
        replace_bytes(&agent->running, attach.running) != 0) {
        refuse(node, link, attach.pid, "busy");
        return;
    }
    if (!agent_is_incarnation(agent, attach.incarnation)) {
        process_watch_free(agent->watch);
        agent->watch = NULL;
        agent->is_proven_dead = false;
        agent->is_fenced = false;
        memcpy(agent->incarnation, attach.incarnation.data,
               sizeof(agent->incarnation));
    }
    agent->link = link;
    agent->lease = 0;
    agent->clock = attach.clock;
    agent->heard_ms = node->now_ms;
    agent->sign_ms = node->now_ms;
    agent->asked_clock = agent->clock;
    agent->asked_heard_ms = agent->heard_ms;
    agent->capacity = attach.capacity;
    agent->sandboxes_max = capped(attach.sandboxes_max);
    watch_process(node, agent, &attach);
    submit_attach(node, agent);
}

static uint16_t permille(double percent)
{
    if (!(percent > 0)) {
        return 0;
    }
    return percent >= 100 ? 1000 : (uint16_t)(percent * 10);
}

static int read_load(struct etf_reader *reader, struct agent *agent)
{
    uint32_t pairs;
    int rv = etf_read_map(reader, &pairs);

    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        struct bytes key;
        double value = 0;

        rv = etf_read_atom(reader, &key);
        rv = rv == 0 ? etf_read_double(reader, &value) : rv;
        if (rv == 0 && bytes_is(key, "cpu")) {
            agent->cpu_load_permille = permille(value);
        } else if (rv == 0 && bytes_is(key, "memory")) {
            agent->memory_load_permille = permille(value);
        }
    }
    return rv;
}

static void receive_keepalive(struct node *node, struct link *link,
                              struct bytes body)
{
    struct agent *agent = agents_find(node, link->inbox_peer.name);
    struct etf_reader reader = etf_reader_of(body);
    struct bytes incarnation = bytes_of(NULL, 0);
    uint64_t clock = 0;
    uint32_t pairs;
    int rv = etf_read_map(&reader, &pairs);

    if (agent == NULL || agent->link != link) {
        return; /* It finds out: no renewal comes, and it attaches again. */
    }
    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        struct bytes key;

        rv = etf_read_atom(&reader, &key);
        if (rv == 0 && bytes_is(key, "incarnation")) {
            rv = etf_read_binary(&reader, &incarnation);
        } else if (rv == 0 && bytes_is(key, "clock")) {
            rv = etf_read_u64(&reader, &clock);
        } else if (rv == 0 && bytes_is(key, "load")) {
            rv = read_load(&reader, agent);
        } else if (rv == 0) {
            rv = etf_skip(&reader);
        }
    }
    if (rv != 0) {
        node->counters.unknown_messages++;
    } else if (agent_is_incarnation(agent, incarnation)) {
        agent->clock = clock > agent->clock ? clock : agent->clock;
        agent->heard_ms = node->now_ms;
        agent->sign_ms = node->now_ms;
        agent->is_renew_due = true;
    }
}

/* {Id, Epoch, Term}: started, failed, stopped. */
static void receive_report(struct node *node, const struct link *link,
                           struct bytes body, enum command_type type)
{
    struct etf_reader reader = etf_reader_of(body);
    struct command command = {.type = type};
    struct sandbox *sandbox;
    struct bytes term;
    size_t term_max = type == COMMAND_STARTED ? REGISTRY_PID_SIZE_MAX
                                              : REGISTRY_REASON_SIZE_MAX;
    int rv = etf_read_tuple_of(&reader, 3);

    rv = rv == 0 ? etf_read_binary(&reader, &command.id) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &command.epoch) : rv;
    rv = rv == 0 ? etf_read_raw(&reader, &term) : rv;
    if (rv != 0 || command.id.size == 0 ||
        command.id.size > REGISTRY_ID_SIZE_MAX) {
        node->counters.unknown_messages++;
        return;
    }
    /* Only the owner speaks for a sandbox. */
    sandbox = registry_sandbox(&node->machine.registry, command.id);
    if (sandbox == NULL || sandbox->worker == NULL ||
        !bytes_equal(sandbox->worker->name, link->inbox_peer.name)) {
        return;
    }
    if (type == COMMAND_STARTED &&
        !access_allows_pid(node, link, term, "started")) {
        return;
    }
    term = agent_term(node, term, term_max);
    if (type == COMMAND_STARTED) {
        orders_confirmed(sandbox, command.epoch);
        command.pid = term;
    } else {
        command.reason = term;
    }
    node_log_submit(node, &command);
}

/* {incarnation => I} alone: the agent of this link, if it is that one. */
static struct agent *
read_incarnation(struct node *node, const struct link *link, struct bytes body)
{
    struct agent *agent = agents_find(node, link->inbox_peer.name);
    struct etf_reader reader = etf_reader_of(body);
    struct bytes incarnation;
    uint32_t pairs;
    int rv = etf_read_map(&reader, &pairs);

    if (rv != 0 || pairs != 1 || !etf_take_atom(&reader, "incarnation") ||
        etf_read_binary(&reader, &incarnation) != 0) {
        node->counters.unknown_messages++;
        return NULL;
    }
    return agent != NULL && agent->link == link &&
                   agent_is_incarnation(agent, incarnation)
               ? agent
               : NULL;
}

/* {Incarnation, [{Id, Epoch, Pid}]}: what it runs of what it was asked for. */
static void receive_running(struct node *node, const struct link *link,
                            struct bytes body)
{
    struct agent *agent = agents_find(node, link->inbox_peer.name);
    struct etf_reader reader = etf_reader_of(body);
    struct bytes incarnation;
    struct bytes running;
    int rv = etf_read_tuple_of(&reader, 2);

    rv = rv == 0 ? etf_read_binary(&reader, &incarnation) : rv;
    rv = rv == 0 ? etf_read_raw(&reader, &running) : rv;
    if (rv != 0) {
        node->counters.unknown_messages++;
    } else if (agent != NULL && agent->link == link && agent->lease != 0 &&
               agent_is_incarnation(agent, incarnation)) {
        (void)orders_reconcile_some(node, agent, running); /* it was said */
    }
}

/* A planned end: nothing runs there any more, which is as good as a death. */
static void receive_detach(struct node *node, const struct link *link,
                           struct bytes body)
{
    struct agent *agent = read_incarnation(node, link, body);

    if (agent != NULL) {
        recorder_death(node, agent, JOURNAL_CAUSE_DETACHED);
        agent->is_proven_dead = true;
    }
}

/* The end of a lease which not all has ended with: available sandboxes go on,
 * and wait for what becomes of them. So nothing is given back before its time,
 * but nothing hangs either. */
static void receive_fenced(struct node *node, const struct link *link,
                           struct bytes body)
{
    struct agent *agent = read_incarnation(node, link, body);

    if (agent != NULL && !agent->is_fenced) {
        recorder_death(node, agent, JOURNAL_CAUSE_FENCED);
        agent->is_fenced = true;
    }
}

/* It holds its lease by another member now, so it is not ours to judge. */
static void receive_left(struct node *node, const struct link *link,
                         struct bytes body)
{
    struct agent *agent = read_incarnation(node, link, body);

    if (agent != NULL) {
        agent_remove(node, agent);
    }
}

void agents_receive(struct node *node, struct link *link, struct bytes kind,
                    struct bytes body)
{
    if (bytes_is(kind, "keepalive")) {
        receive_keepalive(node, link, body);
    } else if (bytes_is(kind, "started")) {
        receive_report(node, link, body, COMMAND_STARTED);
    } else if (bytes_is(kind, "failed")) {
        receive_report(node, link, body, COMMAND_FAILED);
    } else if (bytes_is(kind, "stopped")) {
        receive_report(node, link, body, COMMAND_STOPPED);
    } else if (bytes_is(kind, "attach")) {
        receive_attach(node, link, body);
    } else if (bytes_is(kind, "running")) {
        receive_running(node, link, body);
    } else if (bytes_is(kind, "detach")) {
        receive_detach(node, link, body);
    } else if (bytes_is(kind, "fenced")) {
        receive_fenced(node, link, body);
    } else if (bytes_is(kind, "provisional")) {
        provisional_answer(node, link, body);
    } else if (bytes_is(kind, "offer")) {
        provisional_offer(node, link, body);
    } else if (bytes_is(kind, "left")) {
        receive_left(node, link, body);
    } else {
        node->counters.unknown_messages++;
    }
}
