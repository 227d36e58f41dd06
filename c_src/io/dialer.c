/* SPDX-License-Identifier: Apache-2.0
 * Connects to peers:
 *
 *   host ──getaddrinfo──▶ addresses ─┬─ epmd ──▶ port ─┬─▶ connect, handshake
 *                                    └─ port is given ─┘
 *
 * Each address is tried in turn, for a short time, until a connection stands;
 * one deadline covers all of it. While somebody who dialled us shakes hands by
 * the name that is wanted, a dial makes way, once: a stranger may take any
 * name. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/epmd.h"
#include "dist/node_name.h"
#include "io/peers_internal.h"

struct dial {
    struct list link;
    struct peers *peers;
    struct resolve *resolve;   /* under way, or not yet looked at */
    struct epmd_client *query; /* under way */
    struct peer *peer;         /* connecting or in its handshake */
    struct sockaddr_storage addresses[PEERS_ADDRESSES_MAX];
    size_t address_count;
    size_t address_index; /* being tried */
    uint16_t port;        /* 0: epmd knows */
    uint64_t deadline_ms;
    uint64_t connect_by_ms; /* or else the next address; 0: it stands */
    bool is_held;           /* waits for the peer's own attempt */
    bool was_held;          /* and does so no more */
    bool has_refused;       /* the peer waits for this attempt */
    bool was_renewed;       /* for that, which is done once */
    const char *reason;     /* of the last failure */
    size_t name_size;
    char name[HANDSHAKE_NODE_NAME_MAX];
};

static void try_address(struct dial *dial);

static struct bytes name_of(const struct dial *dial)
{
    return bytes_of(dial->name, dial->name_size);
}

/* --- Ends ----------------------------------------------------------------- */

/* Lets go of all that is under way. */
static void release(struct dial *dial)
{
    struct peer *peer = dial->peer;

    resolve_free(dial->resolve);
    dial->resolve = NULL;
    epmd_client_free(dial->query);
    dial->query = NULL;
    dial->connect_by_ms = 0;
    if (peer != NULL) {
        dial->peer = NULL;
        peer->dial = NULL;
        if (peer->stage == PEER_DIALLED) {
            peer_close(peer);
        }
    }
}

void dial_free(struct dial *dial)
{
    release(dial);
    list_remove(&dial->link);
    ensure(dial->peers->dial_count > 0);
    dial->peers->dial_count--;
    mem_free(dial);
}

void dial_detach(struct dial *dial)
{
    dial->peer = NULL;
}

void dial_fail(struct dial *dial, const char *reason)
{
    release(dial);
    dial->reason = reason;
    list_remove(&dial->link);
    list_append(&dial->peers->dials_failed, &dial->link);
    loop_again(dial->peers->loop);
}

/* Once more, with all the time that an attempt has. */
static void begin_anew(struct dial *dial)
{
    struct peers *peers = dial->peers;

    release(dial);
    dial->deadline_ms = loop_now_ms(peers->loop) + peers->timing.handshake_ms;
    try_address(dial);
}

void dial_lose(struct dial *dial, const char *reason)
{
    bool has_refused = dial->has_refused && !dial->was_renewed;

    dial->was_renewed = dial->was_renewed || has_refused;
    if ((has_refused || !dial->was_held) &&
        listener_has_unproven(dial->peers, name_of(dial))) {
        dial_hold(dial);
    } else if (has_refused) {
        /* A virtual machine that was told nok does not look at its connection
         * any more: it would wait in vain. */
        begin_anew(dial);
    } else {
        dial_fail(dial, reason);
    }
}

void dials_close(struct peers *peers)
{
    while (!list_is_empty(&peers->dials)) {
        dial_free(LIST_ENTRY(peers->dials.next, struct dial, link));
    }
    while (!list_is_empty(&peers->dials_failed)) {
        dial_free(LIST_ENTRY(peers->dials_failed.next, struct dial, link));
    }
}

/* --- Steps ---------------------------------------------------------------- */

static void try_next(struct dial *dial, const char *reason)
{
    dial->reason = reason;
    dial->address_index++;
    try_address(dial);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct peer *peer = (struct peer *)connect->data;
    struct dial *dial = peer->dial;

    if (peer->stage != PEER_DIALLED) {
        return; /* given up meanwhile */
    }
    dial->connect_by_ms = 0;
    if (status != 0) {
        dial->peer = NULL;
        peer->dial = NULL;
        peer_close(peer);
        try_next(dial, uv_strerror(status));
    } else if (peer_start(peer, true) != 0) {
        dial_fail(dial, "out of memory");
    }
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    void *any = address;

    /* It is at the same place for both families. */
    ((struct sockaddr_in *)any)->sin_port = htons(port);
}

static void start_connecting(struct dial *dial, uint16_t port)
{
    void *address = &dial->addresses[dial->address_index];
    struct peer *peer;
    int rv;

    if (!dial->was_held && listener_has_unproven(dial->peers, name_of(dial))) {
        dial_hold(dial);
        return;
    }
    rv = peer_new(dial->peers, PEER_DIALLED, &peer);
    if (rv != 0) {
        dial_fail(dial, err_text(rv));
        return;
    }
    peer->dial = dial;
    dial->peer = peer;
    peer->name_size = dial->name_size;
    memcpy(peer->name, dial->name, dial->name_size);
    peer->connect.data = peer;
    set_port(&dial->addresses[dial->address_index], port);
    rv = uv_tcp_connect(&peer->connect, &peer->tcp,
                        (const struct sockaddr *)address, on_connect);
    if (rv != 0) {
        dial_fail(dial, uv_strerror(rv));
    }
}

static void on_epmd(void *arg, int status, struct bytes input)
{
    struct dial *dial = (struct dial *)arg;
    struct epmd_node node;
    size_t used;
    int rv = status;

    if (rv != 0) {
        dial->query = NULL; /* it has closed itself */
        try_next(dial, "epmd of the peer's host cannot be reached");
        return;
    }
    rv = epmd_decode_port(input, &node, &used);
    if (rv == ERR_TRUNCATED) {
        return;
    }
    epmd_client_free(dial->query);
    dial->query = NULL;
    if (rv == 0) {
        start_connecting(dial, node.port);
    } else {
        try_next(dial, rv == ERR_NOT_FOUND ? "epmd does not know the peer"
                                           : err_text(rv));
    }
}

static void ask_epmd(struct dial *dial)
{
    void *address = &dial->addresses[dial->address_index];
    struct bytes alive;
    struct bytes host;
    struct buf request;
    int rv;

    ensure(node_name_split(name_of(dial), &alive, &host) == 0);
    set_port(&dial->addresses[dial->address_index], dial->peers->epmd_port);
    buf_init(&request, EPMD_RESPONSE_MAX);
    epmd_encode_port(&request, alive);
    rv = buf_error(&request);
    if (rv == 0) {
        rv = epmd_client_new(dial->peers, (const struct sockaddr *)address,
                             buf_bytes(&request), on_epmd, dial, &dial->query);
    }
    buf_close(&request);
    if (rv != 0) {
        dial_fail(dial, "epmd of the peer's host cannot be asked");
    }
}

static void try_address(struct dial *dial)
{
    struct peers *peers = dial->peers;

    dial->connect_by_ms = loop_now_ms(peers->loop) + peers->timing.connect_ms;
    if (dial->address_index >= dial->address_count) {
        dial_fail(dial, dial->reason);
    } else if (dial->port == 0) {
        ask_epmd(dial);
    } else {
        start_connecting(dial, dial->port);
    }
}

/* --- Addresses ------------------------------------------------------------ */

static void add_addresses(struct dial *dial, const struct addrinfo *all,
                          int family)
{
    for (const struct addrinfo *one = all;
         one != NULL && dial->address_count < PEERS_ADDRESSES_MAX;
         one = one->ai_next) {
        if (one->ai_family == family &&
            one->ai_addrlen <= sizeof(dial->addresses[0])) {
            memcpy(&dial->addresses[dial->address_count++], one->ai_addr,
                   one->ai_addrlen);
        }
    }
}

static void take_addresses(struct dial *dial, const struct addrinfo *first)
{
    /* Erlang nodes listen on IPv4 unless told otherwise. */
    add_addresses(dial, first, AF_INET);
    add_addresses(dial, first, AF_INET6);
    resolve_free(dial->resolve);
    dial->resolve = NULL;
    dial->reason = "the peer's host name cannot be resolved";
    try_address(dial);
}

/* Goes on with the dials whose hosts have been looked up. */
static void settle_resolved(struct peers *peers)
{
    const struct addrinfo *first;
    struct list *next;

    for (struct list *node = peers->dials.next; node != &peers->dials;
         node = next) {
        struct dial *dial = LIST_ENTRY(node, struct dial, link);

        next = node->next;
        if (dial->resolve != NULL && resolve_is_done(dial->resolve, &first)) {
            take_addresses(dial, first);
        }
    }
}

/* The numeric address, or what the host has in the end. */
static int find_addresses(struct dial *dial, const char *host)
{
    void *first = &dial->addresses[0];

    if (uv_ip4_addr(host, 0, (struct sockaddr_in *)first) != 0 &&
        uv_ip6_addr(host, 0, (struct sockaddr_in6 *)first) != 0) {
        dial->addresses[0] = (struct sockaddr_storage){0};
        return resolve_new(dial->peers->loop, host, &dial->resolve);
    }
    dial->address_count = 1;
    try_address(dial);
    return 0;
}

/* --- For others ----------------------------------------------------------- */

struct dial *dials_find(const struct peers *peers, struct bytes name)
{
    LIST_FOREACH (node, &peers->dials) {
        struct dial *dial = LIST_ENTRY(node, struct dial, link);

        if (bytes_equal(name_of(dial), name)) {
            return dial;
        }
    }
    return NULL;
}

enum crossing_dial dial_crossing(const struct dial *dial)
{
    return dial->peer == NULL ? CROSSING_UNSAID
                              : crossing_dial_of(dial->peer->handshake);
}

bool dial_is_firm(const struct dial *dial)
{
    return dial->was_held && !dial->is_held;
}

void dial_is_answered(struct dial *dial)
{
    listener_drop_unproven(dial->peers, name_of(dial));
}

void dial_hold(struct dial *dial)
{
    struct peers *peers = dial->peers;

    if (dial->is_held || dial->resolve != NULL) {
        return; /* makes way when it is about to connect, if it has to then */
    }
    release(dial);
    dial->is_held = true;
    dial->was_held = true;
    dial->deadline_ms = loop_now_ms(peers->loop) + peers->timing.handshake_ms;
}

void dial_refuses(struct dial *dial)
{
    dial->has_refused = true;
}

void dials_resume(struct peers *peers)
{
    struct list *next;

    for (struct list *node = peers->dials.next; node != &peers->dials;
         node = next) {
        struct dial *dial = LIST_ENTRY(node, struct dial, link);

        next = node->next;
        if (dial->is_held && !listener_has_unproven(peers, name_of(dial))) {
            dial->is_held = false;
            begin_anew(dial);
        }
    }
}

void dials_settle(struct peers *peers)
{
    struct list failed;
    struct list *node;

    settle_resolved(peers);
    /* The callback may dial again and fail at once; that is for the next
     * turn. */
    list_init(&failed);
    while ((node = list_take_first(&peers->dials_failed)) != NULL) {
        list_append(&failed, node);
    }
    while ((node = list_take_first(&failed)) != NULL) {
        struct dial *dial = LIST_ENTRY(node, struct dial, link);

        peers->callbacks.dial_failed(peers->arg, name_of(dial), dial->reason);
        dial_free(dial);
    }
}

void dials_sweep(struct peers *peers, uint64_t now_ms)
{
    struct list *next;

    for (struct list *node = peers->dials.next; node != &peers->dials;
         node = next) {
        struct dial *dial = LIST_ENTRY(node, struct dial, link);

        next = node->next;
        if (dial->connect_by_ms != 0 && now_ms >= dial->connect_by_ms) {
            /* The system would try that one again ever more seldom. */
            release(dial);
            try_next(dial, "connecting took too long");
        } else if (now_ms >= dial->deadline_ms) {
            if (dial->is_held) {
                dial->is_held = false;
                begin_anew(dial);
            } else if (dial_crossing(dial) != CROSSING_UNSAID) {
                peer_fail_handshake(dial->peer, "the handshake took too long");
            } else {
                dial_fail(dial, "the peer was too slow");
            }
        }
    }
}

int peers_dial(struct peers *peers, struct bytes name, const char *address,
               uint16_t port)
{
    char host_text[HANDSHAKE_NODE_NAME_MAX + 1];
    struct bytes alive;
    struct bytes host;
    struct dial *dial;
    int rv = node_name_split(name, &alive, &host);

    if (rv != 0 || bytes_equal(name, buf_bytes(&peers->name))) {
        return ERR_BADARG;
    }
    if (peers_find(peers, name) != NULL || dials_find(peers, name) != NULL) {
        return 0;
    }
    if (peers->dial_count >= PEERS_DIALS_MAX) {
        return ERR_LIMIT;
    }
    dial = mem_alloc(sizeof(*dial));
    if (dial == NULL) {
        return ERR_NOMEM;
    }
    dial->peers = peers;
    dial->port = port;
    dial->deadline_ms = loop_now_ms(peers->loop) + peers->timing.handshake_ms;
    dial->name_size = name.size;
    memcpy(dial->name, name.data, name.size);
    memcpy(host_text, host.data, host.size);
    host_text[host.size] = '\0';
    list_append(&peers->dials, &dial->link);
    peers->dial_count++;
    rv = find_addresses(dial, address == NULL ? host_text : address);
    if (rv != 0) {
        dial_free(dial);
    }
    return rv;
}
