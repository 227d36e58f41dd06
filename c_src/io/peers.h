/* SPDX-License-Identifier: Apache-2.0
 * The links of this node: listens, accepts, dials, shakes hands, ticks, cuts
 * frames, registers with epmd and comes back to it. One link per peer name.
 *
 * Output is appended to peer_out() as whole frames (dist/frame.h) during a
 * turn and written once at its end. A peer whose output grows past the hard
 * limit is cut. A dead link is reported once, with its reason. */
#ifndef QUORATE_IO_PEERS_H
#define QUORATE_IO_PEERS_H

#include "base/attr.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PEERS_HANDSHAKES_MAX = 2048, /* at once, accepted and not done; fewer if
 the system gives us few descriptors */
    PEERS_CONNECTIONS_MAX = 4096,
    PEERS_OUT_SOFT_MAX = 64 * 1024 * 1024,  /* bytes: peer_is_busy() */
    PEERS_OUT_HARD_MAX = 256 * 1024 * 1024, /* bytes: the link is cut */
    PEERS_TICK_MS = 1000,     /* silence after which we send a tick */
    PEERS_PROBE_MS = 5000,    /* silence after which a peer must answer */
    PEERS_SILENCE_MS = 15000, /* silence after which such a peer is cut */
    PEERS_QUIET_MS = 60000,   /* the same of one that cannot be asked */
    PEERS_CONNECT_MS = 2000,  /* for a connection to one address */
};

struct loop;
struct peers;
struct tls;
struct peer;

struct peers_callbacks {
    void (*up)(void *arg, struct peer *peer);
    /* `frame` is borrowed for the call; never a tick. See also
     * peer_take_frame(). */
    void (*frame)(void *arg, struct peer *peer, struct bytes frame);
    /* More has come of a long frame, of which this is the beginning so far;
     * `frame` follows when all of it is there. Borrowed for the call. NULL: not
     * wanted. */
    void (*piece)(void *arg, struct peer *peer, struct bytes beginning,
                  size_t frame_size);
    /* The peer is freed after the call. */
    void (*down)(void *arg, struct peer *peer, const char *reason);
    /* peers_dial() did not succeed. */
    void (*dial_failed)(void *arg, struct bytes name, const char *reason);
};

struct peers_config {
    struct bytes name;   /* own node name NAME@HOST; copied */
    struct bytes cookie; /* copied; wiped at the end */
    /* The cookie of a peer by its name, borrowed until the next call, at most
     * 255 bytes; gets `arg`. NULL: `cookie` for all. */
    struct bytes (*find_cookie)(void *arg, struct bytes peer_name);
    const char *listen_address; /* numeric, IPv4 or IPv6; NULL: no listener */
    uint16_t listen_port;       /* 0: any */
    bool use_epmd;              /* register, and keep registered */
    uint32_t creation;          /* own; 0: random */
    struct tls *tls;            /* of all links; borrowed; NULL: plain ones */
    struct peers_callbacks callbacks;
    void *arg;
};

/* Why links that were up have ended. */
enum peers_end {
    PEERS_END_CLOSED,   /* by the peer, or the connection broke */
    PEERS_END_SILENT,   /* no sign of life */
    PEERS_END_REPLACED, /* by a newer link of that name */
    PEERS_END_INPUT,    /* cut for what the peer sent */
    PEERS_END_UNREAD,   /* cut for what the peer did not read */
    PEERS_END_MEMORY,   /* cut because we had no memory */
    PEERS_END_COUNT
};

struct peers_counters {
    uint64_t accepted;
    uint64_t handshakes_failed; /* wrong cookie, wrong bytes, too slow, ... */
    uint64_t frames_in;
    uint64_t frames_out_bytes;
    uint64_t cut; /* links that we cut: the sum of the last three ends */
    uint64_t ended[PEERS_END_COUNT]; /* links that were up */
};

/* ERR_IN_USE: the port is taken; ERR_BADARG: name or address; ERR_IO. */
int peers_new(struct loop *loop, const struct peers_config *config,
              struct peers **ret_peers) MUST_USE;
/* Closes all links (without `down`) and the listener. NULL is allowed. */
void peers_free(struct peers *peers);

uint16_t peers_port(const struct peers *peers); /* as bound */
uint32_t peers_creation(const struct peers *peers);
const struct peers_counters *peers_counters(const struct peers *peers);
size_t peers_link_count(const struct peers *peers); /* that are up */

/* Starts connecting unless a link or an attempt is there. `address` is numeric
 * with `port`; NULL asks epmd on the name's host (resolved). The outcome comes
 * as `up` or `dial_failed`, never from within this call. */
int peers_dial(struct peers *peers, struct bytes name, const char *address,
               uint16_t port) MUST_USE;

/* The link to `name`, or NULL. */
struct peer *peers_find(const struct peers *peers, struct bytes name);

struct bytes peer_name(const struct peer *peer);
/* In `frame`, of a long frame: the memory that it is in, which is the caller's
 * then. NULL: it is in memory that peers share, or there is no memory. */
struct blob *peer_take_frame(struct peer *peer) MUST_USE;
uint64_t peer_flags(const struct peer *peer); /* agreed */
uint32_t peer_creation(const struct peer *peer);
/* The role in the peer's certificate: "member", "worker", "client"; "" if it
 * names none, or the link is plain. Lives for ever. */
struct bytes peer_certificate_role(const struct peer *peer);
struct buf *peer_out(struct peer *peer); /* append whole frames */
/* The same for what may wait. The frames of this lane keep their order, but
 * those of peer_out() overtake them: at most 128 KiB of bulk (or one frame, if
 * it is longer) go to the socket at once, behind all that is urgent. */
struct buf *peer_bulk(struct peer *peer);
/* Bytes of a blob, which is held until they are sent, go where peer_out() ends
 * now: within a frame, whose length counts them. Without memory for it the link
 * is cut. */
void peer_out_shared(struct peer *peer, struct bytes bytes, struct blob *blob);
bool peer_is_busy(const struct peer *peer);
/* Whether it has had its share of this turn: more of it may wait to be read. */
bool peer_is_paused(const struct peer *peer);
/* Ends the link for what the peer sent, or because we have no memory for it;
 * `down` comes later in the turn. */
void peer_cut(struct peer *peer, const char *reason);
void peer_cut_for_memory(struct peer *peer);
void peer_cut_for_silence(struct peer *peer); /* as the shell judges it */
/* sys_tcp_traffic() of its connection. */
struct sys_tcp_traffic;
bool peer_traffic(const struct peer *peer,
                  struct sys_tcp_traffic *ret_traffic) MUST_USE;
/* What this peer sends comes at the pace of disks and networks, as a member's
 * answers do, not some microseconds after what it was sent: the loop neither
 * stays awake for it nor waits for more of it. Not so at first. */
void peer_set_paced(struct peer *peer, bool is_paced);
/* The shell's own record of the peer. */
void peer_set_data(struct peer *peer, void *data);
void *peer_data(const struct peer *peer);

#endif
