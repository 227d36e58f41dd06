/* SPDX-License-Identifier: Apache-2.0
 * All links of this node: who is up, whose end is to be told, and the times
 * that have run out. */
#include "io/peers.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/epmd.h"
#include "dist/flags.h"
#include "dist/node_name.h"
#include "io/peers_internal.h"
#include "io/sys.h"

#include <stdlib.h>

enum {
    SWEEP_MS = PEERS_TICK_MS / 4,
    EPMD_RETRY_MIN_MS = 1000,
    EPMD_RETRY_MAX_MS = 10000,
    /* Below are those of nodes before OTP 23 (ei_connect does the same). */
    CREATION_MIN = 4,
};

/* Far from the references that the shell gives out from 0 on. */
#define PROBE_REFERENCE_FIRST (UINT64_C(1) << 63)

/* --- Events --------------------------------------------------------------- */

void peers_settle(struct peers *peers)
{
    struct list *node;

    while ((node = list_take_first(&peers->cuts)) != NULL) {
        struct peer *peer = LIST_ENTRY(node, struct peer, link);

        peers->callbacks.down(peers->arg, peer, peer->cut_reason);
        peer_close(peer);
    }
    dials_settle(peers);
}

struct crossing peers_crossing(const struct peers *peers, struct bytes name,
                               const struct dial *dial)
{
    return (struct crossing){.own = buf_bytes(&peers->name),
                             .peer = name,
                             .is_linked = peers_find(peers, name) != NULL,
                             .dial = dial == NULL ? CROSSING_NONE
                                                  : dial_crossing(dial),
                             .is_firm = dial != NULL && dial_is_firm(dial)};
}

void peers_link_up(struct peers *peers, struct peer *peer)
{
    struct bytes name = peer_name(peer);
    struct crossing crossing;
    struct peer *older;
    struct dial *dial;

    peer_leave(peer);
    peer->stage = PEER_DIALLED; /* in no list */
    dial = peer->dial;
    if (dial != NULL) {
        peer->dial = NULL;
        dial_detach(dial);
        dial_free(dial);
    }
    older = peers_find(peers, name);
    if (older != NULL) {
        peer_end(older, PEERS_END_REPLACED, "replaced");
    }
    peers_settle(peers);
    /* One of ours that made way for this connection. */
    dial = dials_find(peers, name);
    crossing = peers_crossing(peers, name, dial);
    if (crossing_is_over(&crossing)) {
        dial_free(dial);
    }
    if (map_put(&peers->names, name, peer) != 0) {
        peer_close(peer);
        return;
    }
    peer->stage = PEER_UP;
    list_append(&peers->links, &peer->link);
    peers->callbacks.up(peers->arg, peer);
}

static void settle(void *arg)
{
    struct peers *peers = (struct peers *)arg;

    listener_resume(peers);
    dials_resume(peers);
    peers_settle(peers);
}

static void flush(void *arg)
{
    struct peers *peers = (struct peers *)arg;
    struct list dirty;
    struct list *node;

    loop_had_frames(peers->loop, peers->turn_frames);
    peers->turn_frames = 0;
    /* Who has more than a turn's share comes again in the next one. */
    list_init(&dirty);
    while ((node = list_take_first(&peers->dirty)) != NULL) {
        list_append(&dirty, node);
    }
    while ((node = list_take_first(&dirty)) != NULL) {
        peer_flush(LIST_ENTRY(node, struct peer, dirty));
    }
    if (!list_is_empty(&peers->dirty)) {
        loop_again(peers->loop);
    }
    peers_resume(peers);
    listener_end_turn(peers);
}

static void sweep_accepted(struct peers *peers, uint64_t now_ms)
{
    while (!list_is_empty(&peers->accepted)) {
        struct peer *oldest =
            LIST_ENTRY(peers->accepted.next, struct peer, link);

        if (now_ms - oldest->started_ms < peers->timing.handshake_ms) {
            return;
        }
        peer_fail_handshake(oldest, "the handshake took too long");
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct peers *peers = (struct peers *)timer->data;
    uint64_t now_ms = loop_now_ms(peers->loop);
    struct list *next;

    if (now_ms - peers->swept_ms > peers->timing.probe_ms) {
        /* We were stopped ourselves: what the peers sent meanwhile has yet to
         * be read. */
        LIST_FOREACH (node, &peers->links) {
            LIST_ENTRY(node, struct peer, link)->alive_ms = now_ms;
        }
    }
    peers->swept_ms = now_ms;
    sweep_accepted(peers, now_ms);
    for (struct list *node = peers->links.next; node != &peers->links;
         node = next) {
        next = node->next;
        peer_tick(LIST_ENTRY(node, struct peer, link), now_ms);
    }
    dials_sweep(peers, now_ms);
    if (peers->registration != NULL) {
        registration_sweep(peers->registration, now_ms);
    }
    if (peers->is_accept_due) {
        listener_accept(peers);
    }
}

/* --- Life ----------------------------------------------------------------- */

static struct bytes cookie_of(void *arg, struct bytes peer_name)
{
    const struct peers *peers = (const struct peers *)arg;

    return peers->find_cookie == NULL
               ? buf_bytes(&peers->cookie)
               : peers->find_cookie(peers->arg, peer_name);
}

struct handshake_config peers_handshake_config(struct peers *peers)
{
    struct handshake_config config = {.name = buf_bytes(&peers->name),
                                      .cookie = cookie_of,
                                      .cookie_arg = peers,
                                      .flags = DIST_FLAGS_OFFERED,
                                      .creation = peers->creation,
                                      .digest = sys_md5};

    sys_random(&config.challenge, sizeof(config.challenge));
    return config;
}

void peers_release(struct peers *peers)
{
    ensure(peers->reference_count > 0);
    peers->reference_count--;
    if (peers->reference_count == 0) {
        map_close(&peers->names);
        buf_close(&peers->name);
        mem_free(peers->read_room);
        mem_free(peers->plain_room);
        mem_free(peers);
    }
}

static void on_close(uv_handle_t *handle)
{
    peers_release((struct peers *)handle->data);
}

static void close_peers(struct list *list)
{
    while (!list_is_empty(list)) {
        struct peer *peer = LIST_ENTRY(list->next, struct peer, link);

        if (peer->stage == PEER_UP) {
            peer_leave(peer);
            peer->stage = PEER_CUT;
        }
        peer_close(peer);
    }
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    loop_remove_hook(&peers->hook);
    dials_close(peers);
    close_peers(&peers->accepted);
    close_peers(&peers->links);
    close_peers(&peers->cuts);
    registration_free(peers->registration);
    if (peers->has_listener) {
        uv_close((uv_handle_t *)&peers->listener, on_close);
    }
    uv_close((uv_handle_t *)&peers->sweep, on_close);
    buf_wipe(&peers->cookie);
    peers_release(peers);
}

static uint16_t find_epmd_port(void)
{
    const char *text = getenv("ERL_EPMD_PORT");
    unsigned long port = text == NULL ? 0 : strtoul(text, NULL, 10);

    return port == 0 || port > UINT16_MAX ? (uint16_t)EPMD_PORT
                                          : (uint16_t)port;
}

static uint32_t choose_creation(uint32_t wanted)
{
    while (wanted < CREATION_MIN) {
        sys_random(&wanted, sizeof(wanted));
    }
    return wanted;
}

static int copy_config(struct peers *peers, const struct peers_config *config)
{
    if (!node_name_is_valid(config->name) ||
        config->cookie.size > HANDSHAKE_COOKIE_MAX) {
        return ERR_BADARG;
    }
    buf_put_bytes(&peers->name, config->name);
    buf_put_bytes(&peers->cookie, config->cookie);
    if (buf_error(&peers->name) != 0 || buf_error(&peers->cookie) != 0) {
        return ERR_NOMEM;
    }
    peers->creation = choose_creation(config->creation);
    inbox_init(&peers->prober, buf_bytes(&peers->name), peers->creation);
    peers->prober.reference_next = PROBE_REFERENCE_FIRST;
    peers->epmd_port = find_epmd_port();
    peers->callbacks = config->callbacks;
    peers->find_cookie = config->find_cookie;
    peers->arg = config->arg;
    peers->tls = config->tls;
    if (peers->tls != NULL) {
        peers->plain_room = mem_alloc(PEERS_READ_SIZE);
    }
    return peers->tls != NULL && peers->plain_room == NULL ? ERR_NOMEM : 0;
}

/* All but what can fail. */
static void init(struct peers *peers, struct loop *loop)
{
    uint64_t seed;

    peers->loop = loop;
    peers->hook =
        (struct loop_hook){.settle = settle, .flush = flush, .arg = peers};
    peers->timing =
        (struct peers_timing){.tick_ms = PEERS_TICK_MS,
                              .probe_ms = PEERS_PROBE_MS,
                              .silence_ms = PEERS_SILENCE_MS,
                              .quiet_ms = PEERS_QUIET_MS,
                              .handshake_ms = HANDSHAKE_TIMEOUT_MS,
                              .connect_ms = PEERS_CONNECT_MS,
                              .epmd_retry_min_ms = EPMD_RETRY_MIN_MS,
                              .epmd_retry_max_ms = EPMD_RETRY_MAX_MS,
                              .sweep_ms = SWEEP_MS};
    buf_init(&peers->name, HANDSHAKE_NODE_NAME_MAX);
    buf_init(&peers->cookie, HANDSHAKE_COOKIE_MAX);
    list_init(&peers->accepted);
    list_init(&peers->links);
    list_init(&peers->cuts);
    list_init(&peers->dirty);
    list_init(&peers->paused);
    list_init(&peers->dials);
    list_init(&peers->dials_failed);
    sys_random(&seed, sizeof(seed));
    map_init(&peers->names, PEERS_CONNECTIONS_MAX, seed);
    loop_add_hook(loop, &peers->hook);
    peers->reference_count = 1;
}

int peers_new(struct loop *loop, const struct peers_config *config,
              struct peers **ret_peers)
{
    struct peers *peers = mem_alloc(sizeof(*peers));
    uint8_t *room = mem_alloc(PEERS_READ_SIZE);
    int rv;

    if (peers == NULL || room == NULL) {
        mem_free(room);
        mem_free(peers);
        return ERR_NOMEM;
    }
    peers->read_room = room;
    init(peers, loop);
    ensure(uv_timer_init(loop_uv(loop), &peers->sweep) == 0);
    peers->sweep.data = peers;
    peers->reference_count++;
    peers_set_timing(peers, &peers->timing);
    rv = copy_config(peers, config);
    if (rv == 0 && config->listen_address != NULL) {
        rv = listener_start(peers, config->listen_address, config->listen_port);
    }
    if (rv == 0 && config->listen_address != NULL && config->use_epmd) {
        rv = registration_new(peers, &peers->registration);
    }
    if (rv != 0) {
        peers_free(peers);
        return rv;
    }
    *ret_peers = peers;
    return 0;
}

void peers_set_timing(struct peers *peers, const struct peers_timing *timing)
{
    peers->timing = *timing;
    peers->swept_ms = loop_now_ms(peers->loop);
    ensure(uv_timer_start(&peers->sweep, on_sweep, timing->sweep_ms,
                          timing->sweep_ms) == 0);
}

/* --- Questions ------------------------------------------------------------ */

uint16_t peers_port(const struct peers *peers)
{
    return peers->port;
}

uint32_t peers_creation(const struct peers *peers)
{
    return peers->creation;
}

size_t peers_link_count(const struct peers *peers)
{
    return peers->names.count;
}

const struct peers_counters *peers_counters(const struct peers *peers)
{
    return &peers->counters;
}

struct peer *peers_find(const struct peers *peers, struct bytes name)
{
    return (struct peer *)map_get(&peers->names, name);
}
