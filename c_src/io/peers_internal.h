/* SPDX-License-Identifier: Apache-2.0
 * The parts of io/peers.h among themselves.
 *
 *   listener.c ──accepted──▶ peer.c ◀──connected── dialer.c ──▶ epmd_client.c
 *                              │ handshake done, frames, cuts
 *                              ▼
 *                           peers.c  (table of names, callbacks, sweep)
 *
 * A connection is a `struct peer` from its first byte on. It is in one list of
 * `struct peers` by its stage. All handles are closed asynchronously; each
 * holds a reference on `struct peers`, which goes with the last one. */
#ifndef QUORATE_IO_PEERS_INTERNAL_H
#define QUORATE_IO_PEERS_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "dist/crossing.h"
#include "dist/frame.h"
#include "dist/handshake.h"
#include "dist/inbox.h"
#include "io/loop_internal.h"
#include "io/peers.h"
#include "io/tls.h"

#include <uv.h>

enum {
    PEERS_INPUT_MAX = FRAME_HEADER_SIZE + FRAME_SIZE_MAX,
    PEERS_READ_SIZE = 64 * 1024,     /* bytes of the shared read buffer */
    PEERS_PIECE_SIZE = 256 * 1024,   /* bytes of a long frame read at once */
    PEERS_TURN_SIZE = 128 * 1024,    /* bytes of a peer taken in one turn */
    PEERS_OUT_KEEP_MAX = 256 * 1024, /* bytes of output memory kept */
    PEERS_STAGE_MAX = 256 * 1024,    /* bytes of output staged in one turn */
    PEERS_BULK_MAX = 128 * 1024,     /* bytes of bulk in one write */
    PEERS_DIALS_MAX = 256,           /* at once */
    PEERS_ADDRESSES_MAX = 8,         /* of one host that are tried */
    PEERS_BACKLOG = 4096,            /* of listen(2) */
    PEERS_ACCEPTS_MAX = 32,          /* in one turn */
    PEERS_ORIGINS = 256,             /* buckets of addresses */
    PEERS_KEEPALIVE_S = 60,          /* of TCP, in case ticks are blocked */
};

/* Times that tests make shorter. */
struct peers_timing {
    uint64_t tick_ms;
    uint64_t probe_ms;
    uint64_t silence_ms;
    uint64_t quiet_ms;
    uint64_t handshake_ms;
    uint64_t connect_ms; /* of one address */
    uint64_t epmd_retry_min_ms;
    uint64_t epmd_retry_max_ms;
    uint64_t sweep_ms; /* how often the times above are looked at */
};

enum peer_stage {
    PEER_ACCEPTED, /* handshake under way; in peers->accepted */
    PEER_DIALLED,  /* connecting or handshake under way; in no list */
    PEER_UP,       /* in peers->links and peers->names */
    PEER_CUT,      /* `down` is to come; in peers->cuts */
    PEER_CLOSED,   /* its handle is closing */
};

struct dial;
struct registration;

struct peer {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_connect_t connect;
    struct peers *peers;
    struct list link;    /* in the list of its stage */
    struct list dirty;   /* in peers->dirty while there is output */
    struct list paused;  /* in peers->paused until the turn ends */
    struct list waiting; /* PEER_ACCEPTED: in a list of its origin */
    enum peer_stage stage;
    bool is_writing;     /* `write` is under way */
    bool is_paced;       /* no reason to stay awake */
    bool is_named;       /* PEER_ACCEPTED: it waits with the named */
    const char *refusal; /* why the acceptor does not allow it */
    bool is_crossed;     /* PEER_ACCEPTED: nok, our own attempt goes on */
    struct dial *dial;   /* PEER_DIALLED */
    struct handshake *handshake; /* owned; NULL once it is over */
    const char *cut_reason;      /* PEER_CUT */
    struct buf input;            /* an incomplete frame or packet */
    size_t input_need;           /* bytes that `input` shall have at least */
    struct buf out;              /* gathered */
    size_t out_staged;           /* bytes of it that are in `staged` already */
    struct list inserts;         /* what belongs between bytes of `out` */
    size_t insert_bytes;         /* of them, not in `staged` yet */
    struct buf bulk;             /* frames that may wait */
    size_t bulk_taken;           /* bytes of `bulk` that went to `out` */
    struct buf staged;           /* a piece of the output, sealed or gathered:
                                    what the socket gets then */
    struct tls_link *tls;        /* owned; NULL: a plain connection */
    struct buf writing;          /* handed to libuv */
    uint64_t turn;               /* in which `turn_bytes` were taken */
    size_t turn_bytes;
    uint64_t started_ms;
    uint64_t sent_ms;
    uint64_t received_ms;
    uint64_t alive_ms;  /* when it last sent, or took what we sent */
    uint64_t probed_ms; /* when it was last asked for a sign of life */
    size_t unsent_size; /* output at the last look */
    uint64_t flags;
    uint32_t creation;
    uint8_t origin; /* PEER_ACCEPTED: bucket of its address */
    size_t name_size;
    char name[HANDSHAKE_NODE_NAME_MAX];
    void *data; /* the shell's */
};

/* Peers in `accepted` whose addresses share a bucket, by `waiting`. */
struct peers_origin {
    struct list nameless; /* have not said their name; longest first */
    struct list named;    /* in the order in which they said it */
    uint16_t count;       /* of both */
};

struct peers {
    struct loop *loop;
    struct loop_hook hook;
    struct peers_callbacks callbacks;
    void *arg;
    struct peers_counters counters;
    struct peers_timing timing;
    uint64_t turn;       /* number of the loop's turn */
    size_t turn_frames;  /* that came in it, of peers that are not paced */
    struct inbox prober; /* what probes come from: references of its own */
    uint64_t swept_ms;   /* when the times were last looked at */
    struct buf name;     /* own */
    struct buf cookie;   /* wiped at the end */
    struct bytes (*find_cookie)(void *arg, struct bytes peer_name);
    uint32_t creation;
    uint16_t port;
    uint16_t epmd_port;
    bool has_listener;
    bool is_accept_due;    /* a connection could not be accepted for want of
                              memory; the sweep tries again */
    bool is_accept_held;   /* one waits for the next turn */
    size_t handshakes_max; /* at once */
    size_t turn_accepts;   /* connections accepted in this turn */
    uint64_t origin_seed;  /* random: nobody chooses a bucket */
    struct peers_origin origins[PEERS_ORIGINS];
    size_t reference_count;  /* handles and requests, and the owner */
    size_t connection_count; /* of struct peer */
    size_t accepted_count;   /* in `accepted` */
    size_t dial_count;       /* in `dials` and `dials_failed` */
    uv_tcp_t listener;
    uv_timer_t sweep;
    struct list accepted;     /* of struct peer, oldest first */
    struct list links;        /* of struct peer that are up */
    struct list cuts;         /* of struct peer */
    struct list dirty;        /* of struct peer, by `dirty` */
    struct list paused;       /* of struct peer, by `paused` */
    struct list dials;        /* of struct dial */
    struct list dials_failed; /* of struct dial: dial_failed() is to come */
    struct map names;         /* of struct peer that are up */
    struct registration *registration; /* NULL: epmd is not used */
    struct tls *tls;                   /* borrowed; NULL: links are plain */
    uint8_t *read_room;                /* owned, PEERS_READ_SIZE bytes */
    uint8_t *plain_room;               /* the same, of TLS; else NULL */
};

/* peers.c */
struct handshake_config peers_handshake_config(struct peers *peers);
void peers_release(struct peers *peers); /* drops one reference */
void peers_settle(struct peers *peers);  /* tells `down` and `dial_failed` */
/* How things stand with that name; `dial` may be NULL. */
struct crossing peers_crossing(const struct peers *peers, struct bytes name,
                               const struct dial *dial);
/* Makes the link known in place of an older one of that name. */
void peers_link_up(struct peers *peers, struct peer *peer);
/* Tests only: in force at once. */
void peers_set_timing(struct peers *peers, const struct peers_timing *timing);

/* peer_input.c, peer_output.c */
int peer_read_start(struct peer *peer) MUST_USE;
void peer_mark_dirty(struct peer *peer); /* has output for the flush */
void peer_flush(struct peer *peer);
void peer_tick(struct peer *peer, uint64_t now_ms);

/* What the socket of a plain connection has brought. */
void peer_take_plain(struct peer *peer, struct bytes input);
void peer_trim_output(struct buf *buf); /* empties it, gives back much memory */
void peer_write_last(struct peer *peer); /* an answer before it is closed */

/* peer_sealed.c */
void peer_take_sealed(struct peer *peer, struct bytes sealed);

/* peer_staged.c: output that does not go to the socket as it is in `out`. */
bool peer_is_staged(const struct peer *peer);
/* Whether some of it is not in `staged` yet. */
bool peer_has_unstaged(const struct peer *peer);
/* Stages the next piece: 0, ERR_MALFORMED, ERR_NOMEM, ERR_LIMIT. */
int peer_stage(struct peer *peer) MUST_USE;
void peer_drop_inserts(struct peer *peer);

/* peer_bulk.c: bytes that wait; the next of them are put behind the output. */
size_t peer_bulk_size(const struct peer *peer);
void peer_take_bulk(struct peer *peer);

/* peer_long.c */
void peer_give_piece(struct peer *peer); /* if a long frame is in `input` */
void peer_pause(struct peer *peer);      /* reads no more in this turn */
/* What was read and handled; pauses a peer that has had its share. */
void peer_count_input(struct peer *peer, size_t size);
void peers_resume(struct peers *peers);

/* peer.c: `peer_new` gives a peer with an initialized handle, in no list. */
int peer_new(struct peers *peers, enum peer_stage stage,
             struct peer **ret_peer) MUST_USE;
/* The connection stands: sends or awaits the first packet. On error the peer
 * still has to be closed. */
int peer_start(struct peer *peer, bool is_initiator) MUST_USE;
/* Ends a handshake that came to nothing, and the peer with it. */
void peer_fail_handshake(struct peer *peer, const char *reason);
/* The connection broke, in whatever stage it is. */
void peer_break(struct peer *peer, const char *reason);
/* Ends a link that is up and counts it; `down` is to come. */
void peer_end(struct peer *peer, enum peers_end end, const char *reason);
void peer_starve(struct peer *peer); /* ends it for want of memory */
/* Closes the handle; the memory goes with it. Idempotent. */
void peer_close(struct peer *peer);
void peer_leave(struct peer *peer); /* the list of its stage */
uv_stream_t *peer_stream(struct peer *peer);

/* listener.c */
int listener_start(struct peers *peers, const char *address,
                   uint16_t port) MUST_USE;
void listener_accept(struct peers *peers);
void listener_wait(struct peer *peer); /* accepted: takes a place */
void listener_wait_no_more(struct peer *peer);
void listener_heard(struct peer *peer);      /* it may have said its name */
void listener_resume(struct peers *peers);   /* before the work of a turn */
void listener_end_turn(struct peers *peers); /* after it */
enum handshake_verdict listener_verdict(void *arg, struct bytes name);
/* Whether somebody shakes hands as `name` who has yet to prove it. */
bool listener_has_unproven(const struct peers *peers, struct bytes name);
void listener_drop_unproven(struct peers *peers, struct bytes name);

/* dialer.c */
struct dial *dials_find(const struct peers *peers, struct bytes name);
/* The dial is over without a link; `dial_failed` comes later in the turn. */
void dial_fail(struct dial *dial, const char *reason);
/* Its handshake has come to nothing: it fails, or begins anew if the peer waits
 * for it. */
void dial_lose(struct dial *dial, const char *reason);
/* Makes way for the peer's own attempt: lets go of its connection, and begins
 * anew when that attempt has come to nothing. */
void dial_hold(struct dial *dial);
void dial_refuses(struct dial *dial); /* the peer's, which waits for this one */
void dial_free(struct dial *dial);    /* without a word */
void dial_detach(struct dial *dial);  /* its peer goes its own way */
enum crossing_dial dial_crossing(const struct dial *dial);
bool dial_is_firm(const struct dial *dial); /* makes way no more */
/* The peer goes along with it: who still says that it is that peer is not, or
 * has been given up by it. */
void dial_is_answered(struct dial *dial);
void dials_resume(struct peers *peers); /* those that made way for nothing */
void dials_sweep(struct peers *peers, uint64_t now_ms);
void dials_settle(struct peers *peers);
void dials_close(struct peers *peers);

/* resolver.c: the addresses of a host. The loop is woken when they are there;
 * NULL: there are none. They are borrowed from the resolve. */
struct resolve;
int resolve_new(struct loop *loop, const char *host,
                struct resolve **ret_resolve) MUST_USE;
bool resolve_is_done(struct resolve *resolve,
                     const struct addrinfo **ret_first);
void resolve_free(struct resolve *resolve); /* at any time; NULL is allowed */

/* epmd_client.c: one request to epmd. The callback gets all that has arrived
 * so far with status 0, or an error (input empty), after which the client has
 * closed itself. */
struct epmd_client;
typedef void epmd_client_cb(void *arg, int status, struct bytes input);
int epmd_client_new(struct peers *peers, const struct sockaddr *address,
                    struct bytes request, epmd_client_cb *cb, void *arg,
                    struct epmd_client **ret_client) MUST_USE;
void epmd_client_free(struct epmd_client *client); /* NULL is allowed */

/* registration.c */
int registration_new(struct peers *peers,
                     struct registration **ret_registration) MUST_USE;
void registration_free(struct registration *registration); /* NULL allowed */
void registration_sweep(struct registration *registration, uint64_t now_ms);

#endif
