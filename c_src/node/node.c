/* SPDX-License-Identifier: Apache-2.0
 * The life of a member: open, serve, close. */
#include "node/node.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/tls.h"
#include "node/member.h"
#include "node/requests.h"
#include "node/secrets.h"
#include "node/version.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_SOFTWARE = 70,
    EXIT_IOERR = 74,
    EXIT_CONFIG = 78,
    MAPPED_SIZE_MIN = 1024 * 1024,
};

void node_fail(struct node *node, int exit_code, const char *event,
               const char *why)
{
    log_line(LOG_ERROR, event, "why=\"%s\"", why);
    if (node->exit_code == 0) {
        node->exit_code = exit_code;
    }
    node->is_stopping = true;
    loop_stop(node->loop);
}

static void command_event(void *arg, const struct command_event *event)
{
    struct node *node = (struct node *)arg;

    node->has_new_members |= event->type == EVENT_MEMBERS_CHANGED;
    recorder_event(node, event);
    controller_event(node, event);
    pacing_event(node, event);
    takeovers_before(node, event);
    agents_event(node, event);
    orders_event(node, event);
    takeovers_event(node, event);
    conflicts_event(node, event);
    sandboxes_event(node, event);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The supervisor goes on once calls are answered, if only by `no_quorum`: a
 * member that waits to be added may do so for long. */
static void tell_supervisor(struct node *node)
{
    if (!node->settings->supervised || node->is_announced) {
        return;
    }
    node->is_announced = true;
    (void)printf("ready %s %u\n", node->settings->name,
                 (unsigned)peers_port(node->peers));
    (void)fflush(stdout);
}

static void announce_ready(struct node *node)
{
    if (identity_is_waiting(node)) {
        tell_supervisor(node);
        return;
    }
    if (node->is_ready || raft_leader(node->raft) == 0 ||
        node->machine.applied_index < raft_commit_index(node->raft)) {
        return;
    }
    node->is_ready = true;
    log_line(LOG_INFO, "ready", "name=%s port=%u", node->settings->name,
             (unsigned)peers_port(node->peers));
    tell_supervisor(node);
}

static void housekeeping(struct node *node)
{
    if (node->tick_due_ms > node->now_ms) {
        return;
    }
    node->tick_due_ms = node->now_ms + NODE_TICK_MS;
    links_dial(node);
    directory_keep(node);
    partitions_tick(node);
    agents_tick(node);
    orders_tick(node);
    takeovers_tick(node);
    requests_tick(node);
    recorder_tick(node);
}

/* Once per turn of the loop, after its input: everything that the input made
 * necessary is done here, together. */
static void turn(void *arg)
{
    struct node *node = (struct node *)arg;

    if (node->is_stopping) {
        return;
    }
    node->now_ms = loop_now_ms(node->loop);
    hung_turn(node);
    node_log_drain(node);
    states_drain(node);
    node_snapshot_tick(node);
    node_log_tick(node);
    node_log_apply(node);
    routes_turn(node);
    directory_follow(node);
    growing_tick(node);
    transfer_turn(node);
    housekeeping(node);
    states_tick(node);
    controller_tick(node);
    node_log_flush(node);
    node_log_apply(node);
    announce_ready(node);
    loop_set_deadline(
        node->loop,
        earlier(node->tick_due_ms, earlier(raft_deadline_ms(node->raft),
                                           state_deadline_ms(node->states))));
}

/* New certificates for new links; those that are up stay. */
static void reload_tls(struct node *node)
{
    struct buf error;

    if (node->tls == NULL) {
        return;
    }
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    if (tls_reload(node->tls, &error) == 0) {
        log_line(LOG_INFO, "tls_reloaded", "cert_file=%s",
                 node->settings->tls_cert_file);
    } else {
        log_line(LOG_ERROR, "tls_reload_failed", "why=\"%.*s\"",
                 (int)error.size, (const char *)error.data);
    }
    buf_close(&error);
}

static void on_signal(void *arg, int signum)
{
    struct node *node = (struct node *)arg;

    log_line(LOG_INFO, "signal", "signal=%d", signum);
    if (signum == SIGHUP) {
        secrets_reload(node);
        reload_tls(node);
        return;
    }
    if (signum == SIGTERM || signum == SIGINT) {
        node->is_stopping = true;
        loop_stop(node->loop);
    }
}

static void on_stdin(void *arg, struct bytes bytes)
{
    struct node *node = (struct node *)arg;

    if (bytes.size == 0) {
        log_line(LOG_INFO, "supervisor_gone", "why=\"end of standard input\"");
        node->is_stopping = true;
        loop_stop(node->loop);
    }
}

static void states_ready(void *arg)
{
    const struct node *node = (const struct node *)arg;

    loop_wake(node->loop);
}

static void state_changed(void *arg, enum state_db_change change,
                          struct bytes id, uint64_t epoch, uint64_t seq)
{
    recorder_stored(arg, change, id, epoch, seq);
}

static int open_stores(struct node *node, struct buf *error)
{
    struct state_db_config config = {
        .dir = node->settings->data_dir,
        .map_size = node->settings->state_map_size,
        .ready = states_ready,
        .changed = state_changed,
        .ready_arg = node,
    };
    int rv = sys_lock_dir(node->settings->data_dir, &node->lock, error);

    if (rv == 0) {
        node->is_locked = true;
        rv = recorder_lock(node, error);
    }
    if (rv == 0) {
        rv = identity_open(node, error);
    }
    if (rv == 0) {
        rv = node_log_open(node, error);
    }
    if (rv == 0) {
        rv = identity_check(node, error);
    }
    if (rv == 0 && node->is_card_saved) {
        rv = state_db_require(node->settings->data_dir, error);
    }
    if (rv == 0) {
        rv = state_db_open(&config, error, &node->db);
    }
    if (rv == 0 && !node->is_card_saved) {
        rv = identity_begin(node, error);
    }
    if (rv == 0) {
        rv = state_table_new(node->self->id, rng_next(&node->rng),
                             &node->states);
    }
    if (rv == 0) {
        /* Last: a start that is refused changes nothing. */
        recorder_open(node);
        if (node->snapshot.last_index > 0) {
            recorder_restored(node, node->snapshot.last_index);
        }
    }
    return rv;
}

static int open_peers(struct node *node, struct buf *error)
{
    const struct settings *settings = node->settings;
    struct peers_config config = {
        .name = bytes_of_string(settings->name),
        .find_cookie = secrets_find_cookie,
        .listen_address = settings->listen.host,
        .listen_port = settings->listen.port,
        .use_epmd = settings->epmd,
        .tls = node->tls,
        .arg = node,
    };
    int rv;

    links_config(&config.callbacks);
    rv = peers_new(node->loop, &config, &node->peers);
    if (rv != 0) {
        buf_printf(error, "cannot listen on %s: %s%s", settings->listen.text,
                   err_text(rv),
                   rv == ERR_IN_USE
                       ? "; choose another port with --listen ADDR:PORT, or "
                         "end the process that has it"
                       : "");
        return rv;
    }
    identity_listening(node);
    inbox_init(&node->inbox, node->self->name, peers_creation(node->peers));
    inbox_set_seed(&node->inbox, rng_next(&node->rng));
    return 0;
}

static int open_node(struct node *node, struct buf *error)
{
    struct loop_config loop = {
        .turn = turn, .on_signal = on_signal, .arg = node};
    int rv;

    if (node->settings->supervised) {
        loop.on_stdin = on_stdin;
    }
    rv = loop_new(&loop, &node->loop);
    if (rv != 0) {
        buf_printf(error, "the event loop cannot be made: %s", err_text(rv));
        return rv;
    }
    node->now_ms = loop_now_ms(node->loop);
    node->started_ms = node->now_ms;
    node->quorum_seen_ms = node->now_ms;
    sys_random(&node->seed, sizeof(node->seed));
    rng_init(&node->rng, node->seed);
    command_machine_init(&node->machine, rng_next(&node->rng), command_event,
                         node);
    list_init(&node->links);
    partitions_init(node);
    agents_init(node);
    orders_init(node);
    takeovers_init(node);
    provisional_init(node);
    pacing_init(node);
    requests_init(node);
    rv = tls_open(node->settings, &node->tls, error);
    if (rv == 0) {
        rv = open_stores(node, error);
    }
    if (rv == 0) {
        partitions_start(node);
        rv = open_peers(node, error);
    }
    return rv;
}

static void close_node(struct node *node)
{
    struct sandbox *sandbox;
    size_t position = 0;

    if (node->loop == NULL) {
        return;
    }
    /* Those who wait are told nothing: their links are gone first. They wait in
     * lists of what is closed after them. */
    links_close(node);
    requests_close(node);
    partitions_close(node);
    peers_free(node->peers);
    tls_free(node->tls);
    node_log_close(node);
    takeovers_leave(node);
    while ((sandbox = map_next(&node->machine.registry.sandboxes, &position)) !=
           NULL) {
        mem_free(sandbox->shell);
        sandbox->shell = NULL;
    }
    inbox_close(&node->inbox);
    agents_close(node);
    orders_close(node);
    state_db_close(node->db);
    state_table_free(node->states);
    command_machine_close(&node->machine);
    members_close(&node->members);
    mem_free(node->view.candidates);
    mem_free(node->view.names);
    mem_free(node->view.workers);
    recorder_close(node);
    if (node->is_locked) {
        sys_unlock_dir(&node->lock);
    }
    loop_free(node->loop);
}

static int exit_code_of(int rv)
{
    switch (rv) {
    case 0:
        return 0;
    case ERR_NOMEM:
        return EXIT_SOFTWARE;
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_NO_SPACE:
        return EXIT_IOERR;
    default:
        return EXIT_CONFIG;
    }
}

int member_run(const struct settings *settings)
{
    struct node *node = mem_alloc(sizeof(*node));
    struct buf error;
    int rv;

    if (node == NULL) {
        return EXIT_SOFTWARE;
    }
    /* Big buffers grow by moving their pages, not their bytes, and give them
     * back when they are freed. If it cannot be set, it is slower. */
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_SIZE_MIN);
    node->settings = settings;
    log_set_level((enum log_level)settings->log_level);
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    rv = secrets_open(node, &error);
    if (rv == 0) {
        log_line(LOG_INFO, "starting", "version=%s name=%s data_dir=%s",
                 QUORATE_VERSION, settings->name, settings->data_dir);
        rv = open_node(node, &error);
    }
    if (rv == 0) {
        node->tick_due_ms = node->now_ms;
        loop_wake(node->loop);
        rv = loop_run(node->loop);
    } else {
        log_line(LOG_ERROR, "start_failed", "why=\"%.*s\"", (int)error.size,
                 (const char *)error.data);
    }
    rv = rv != 0 ? exit_code_of(rv) : node->exit_code;
    buf_close(&error);
    close_node(node);
    secrets_close(node);
    log_line(LOG_INFO, "stopped", "exit_code=%d", rv);
    mem_free(node);
    return rv;
}
