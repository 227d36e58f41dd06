/* SPDX-License-Identifier: Apache-2.0 */
/* A node made of the member's own dist/ and io/peers, with a few functions
 * instead of a cluster, for tests of conformance.
 *   quorate_peer NAME@HOST COOKIE_FILE ADDRESS epmd|no_epmd [PORT]
 * Prints `ready NAME PORT` and serves until SIGTERM. Links are TLS with the
 * cert.pem, key.pem and ca.pem in the directory that the environment variable
 * QUORATE_PEER_TLS names.
 *
 * The functions are those of the module `t`, also called `ct_parity`. They can
 * be called by rpc, erpc, spawn, and gen_server:call({quorate, Node}, {M, F,
 * A}).
 *
 *   echo(Term)          Term
 *   self()              the pid behind the name `quorate`
 *   sleep(Ms)           ok, after this time
 *   reply_after(Ms, T)  T, after this time
 *   throw(T), exit(T), error(T)   the exception; errors with one stack entry
 *   big(Size)           a binary of so many bytes
 *   link(Pid), unlink(Pid)        true; the process behind the name does it
 *   monitor(Pid or {Name, Node})  a reference; demonitor(Ref): true
 *   send(Pid or Alias, T)         ok
 *   exit2(Pid, Reason)  true: exit(Pid, Reason)
 *   spawn_call(Node, M, F, A)     calls that node as erpc does: {return, V},
 *                       {throw, T}, {exit, T}, {error, T}, {refused, Atom},
 *                       {signal, T} or {lost, noconnection}
 *   events()            what came for the process behind the name since the
 *                       last time: {'DOWN', Pid or {Name, Node}, Reason},
 *                       {'EXIT', Pid, Reason}, {message, T}
 *   tables()            {Spawned calls under way, links and monitors}
 *   dial(Node)          ok: connects, unless there is a link or an attempt
 *   is_linked(Node)     whether there is a link
 *
 * link, monitor, send, exit2 and spawn_call are badarg unless that node is
 * connected. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/sys.h"
#include "io/tls.h"
#include "peer/peer_node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 64, EXIT_FAILED = 74 };

/* --- Calls ---------------------------------------------------------------- */

static void reply(struct peer_node *node, struct peer_link *link,
                  const struct call *call, const struct call_result *result)
{
    call_reply(&node->inbox, &link->inbox_peer, call, result,
               peer_out(link->peer));
}

static void pending_free(struct peer_node *node, struct pending *pending)
{
    list_remove(&pending->link);
    call_free(&node->inbox, pending->call);
    buf_close(&pending->value);
    buf_close(&pending->reference);
    mem_free(pending);
}

static void pending_finish(struct peer_node *node, struct pending *pending,
                           struct bytes value)
{
    struct call_result result = {.type = CALL_VALUE, .value = value};

    if (pending->caller != NULL) {
        reply(node, pending->caller, pending->call, &result);
    }
    pending_free(node, pending);
}

/* The loop's one timer goes off when the first of them is due. */
static void set_timer(struct peer_node *node)
{
    uint64_t first_ms = UINT64_MAX;

    LIST_FOREACH (item, &node->pending) {
        uint64_t due_ms = LIST_ENTRY(item, struct pending, link)->due_ms;

        first_ms = due_ms < first_ms ? due_ms : first_ms;
    }
    loop_set_deadline(node->loop, first_ms);
}

static void answer_later(struct peer_node *node, struct peer_link *link,
                         const struct call *call, const struct answer *answer)
{
    struct pending *pending = mem_alloc(sizeof(*pending));

    ensure(pending != NULL);
    pending->caller = link;
    pending->call = call_copy(&node->inbox, &link->inbox_peer, call);
    ensure(pending->call != NULL);
    pending->call->owner = pending;
    pending->due_ms = answer->delay_ms == UINT64_MAX
                          ? UINT64_MAX
                          : loop_now_ms(node->loop) + answer->delay_ms;
    buf_init(&pending->value, PEER_VALUE_SIZE_MAX);
    buf_put_bytes(&pending->value, buf_bytes(&answer->value));
    buf_init(&pending->reference, INBOX_REFERENCE_SIZE_MAX);
    buf_put_bytes(&pending->reference, buf_bytes(&answer->reference));
    list_append(&node->pending, &pending->link);
    set_timer(node);
}

static void on_call(struct peer_node *node, struct peer_link *link,
                    const struct call *call)
{
    struct answer answer;

    functions_call(node, call, &answer);
    if (answer.is_later) {
        answer_later(node, link, call, &answer);
    } else {
        reply(node, link, call, &answer.result);
    }
    answer_close(&answer);
}

/* A call elsewhere has come to its end. */
static void on_result(struct peer_node *node, const struct inbox_event *event)
{
    struct buf value;

    LIST_FOREACH (item, &node->pending) {
        struct pending *pending = LIST_ENTRY(item, struct pending, link);

        if (bytes_equal(buf_bytes(&pending->reference), event->reference)) {
            buf_init(&value, PEER_VALUE_SIZE_MAX);
            functions_put_outcome(event, &value);
            pending_finish(node, pending, buf_bytes(&value));
            buf_close(&value);
            return;
        }
    }
}

static void on_timer(void *arg)
{
    struct peer_node *node = (struct peer_node *)arg;
    struct list *next;

    for (struct list *item = node->pending.next; item != &node->pending;
         item = next) {
        struct pending *pending = LIST_ENTRY(item, struct pending, link);

        next = item->next;
        if (pending->due_ms <= loop_now_ms(node->loop)) {
            pending_finish(node, pending, buf_bytes(&pending->value));
        }
    }
    set_timer(node);
}

/* --- Peers ---------------------------------------------------------------- */

static struct buf *out_of_peer(void *arg)
{
    return peer_out((struct peer *)arg);
}

static void on_up(void *arg, struct peer *peer)
{
    struct peer_link *link = mem_alloc(sizeof(*link));

    (void)arg;
    ensure(link != NULL);
    link->peer = peer;
    link->inbox_peer = (struct inbox_peer){.name = peer_name(peer),
                                           .flags = peer_flags(peer),
                                           .out = out_of_peer,
                                           .arg = peer};
    peer_set_data(peer, link);
}

static void on_event(struct peer_node *node, struct peer_link *link,
                     const struct inbox_event *event)
{
    switch (event->type) {
    case INBOX_NONE:
        break;
    case INBOX_CALL:
        on_call(node, link, &event->call);
        break;
    case INBOX_RESULT:
        on_result(node, event);
        break;
    case INBOX_CANCEL:
        pending_free(node, (struct pending *)event->owner);
        set_timer(node);
        break;
    case INBOX_MESSAGE:
    case INBOX_DOWN:
    case INBOX_EXIT:
        functions_event(node, link, event);
        break;
    }
}

static void on_down(void *arg, struct peer *peer, const char *reason)
{
    struct peer_node *node = (struct peer_node *)arg;
    struct peer_link *link = (struct peer_link *)peer_data(peer);
    struct inbox_event event;

    (void)reason;
    while (inbox_next_lost(&node->inbox, &link->inbox_peer, &event)) {
        on_event(node, link, &event);
    }
    LIST_FOREACH (item, &node->pending) {
        struct pending *pending = LIST_ENTRY(item, struct pending, link);

        if (pending->caller == link) {
            pending->caller = NULL;
        }
    }
    peer_set_data(peer, NULL);
    mem_free(link);
}

static void on_frame(void *arg, struct peer *peer, struct bytes frame)
{
    struct peer_node *node = (struct peer_node *)arg;
    struct peer_link *link = (struct peer_link *)peer_data(peer);
    struct inbox_event event;
    const char *cause = "";

    if (inbox_receive(&node->inbox, &link->inbox_peer, frame, peer_out(peer),
                      &event, &cause) != 0) {
        (void)fprintf(stderr, "cut: %s\n", cause);
        peer_cut(peer, cause);
        return;
    }
    on_event(node, link, &event);
}

static void on_dial_failed(void *arg, struct bytes name, const char *reason)
{
    (void)arg;
    (void)name;
    (void)reason;
}

/* --- Life ----------------------------------------------------------------- */

static void on_turn(void *arg)
{
    (void)arg;
}

static void on_signal(void *arg, int signum)
{
    (void)signum;
    loop_stop(((struct peer_node *)arg)->loop);
}

enum { PATH_SIZE_MAX = 4096 };

static int open_tls(struct tls **ret_tls, struct buf *error)
{
    static char paths[3][PATH_SIZE_MAX];
    static const char *const files[] = {"cert.pem", "key.pem", "ca.pem"};
    const struct tls_config config = {.cert_file = paths[0],
                                      .key_file = paths[1],
                                      .ca_file = paths[2],
                                      .verify_name = true};
    const char *dir = getenv("QUORATE_PEER_TLS");

    if (dir == NULL) {
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(paths[i], PATH_SIZE_MAX, "%s/%s", dir, files[i]);
    }
    return tls_new(&config, ret_tls, error);
}

static int start(struct peer_node *node, char *argv[], int argc)
{
    struct loop_config loop = {.turn = on_turn,
                               .timer = on_timer,
                               .on_signal = on_signal,
                               .arg = node};
    struct peers_config config = {.name = bytes_of_string(argv[1]),
                                  .listen_address = argv[3],
                                  .use_epmd = strcmp(argv[4], "epmd") == 0,
                                  .callbacks = {.up = on_up,
                                                .frame = on_frame,
                                                .down = on_down,
                                                .dial_failed = on_dial_failed},
                                  .arg = node};
    struct buf cookie;
    struct buf error;
    uint64_t seed;
    int rv;

    if (argc > 5) {
        config.listen_port = (uint16_t)strtoul(argv[5], NULL, 10);
    }
    buf_init(&cookie, 1024);
    buf_init(&error, 1024);
    rv = sys_read_cookie(argv[2], &cookie, &error);
    rv = rv != 0 ? rv : open_tls(&config.tls, &error);
    rv = rv != 0 ? rv : loop_new(&loop, &node->loop);
    config.cookie = buf_bytes(&cookie);
    rv = rv != 0 ? rv : peers_new(node->loop, &config, &node->peers);
    buf_wipe(&cookie);
    buf_close(&error);
    if (rv == 0) {
        inbox_init(&node->inbox, config.name, peers_creation(node->peers));
        sys_random(&seed, sizeof(seed));
        inbox_set_seed(&node->inbox, seed);
    }
    return rv;
}

int main(int argc, char *argv[])
{
    static struct peer_node node;
    int rv;

    if (argc < 5 || argc > 6) {
        (void)fprintf(stderr,
                      "usage: %s NAME@HOST COOKIE_FILE ADDRESS "
                      "epmd|no_epmd [PORT]\n",
                      argv[0]);
        return EXIT_USAGE;
    }
    list_init(&node.pending);
    buf_init(&node.events, PEER_EVENTS_SIZE_MAX);
    rv = start(&node, argv, argc);
    if (rv != 0) {
        (void)fprintf(stderr, "%s: %s\n", argv[0], err_text(rv));
        return EXIT_FAILED;
    }
    (void)printf("ready %s %u\n", argv[1], peers_port(node.peers));
    (void)fflush(stdout);
    return loop_run(node.loop) == 0 ? 0 : EXIT_FAILED;
}
