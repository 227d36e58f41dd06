/* SPDX-License-Identifier: Apache-2.0
 * What a frame from a peer means to us, as if we were a virtual machine with
 * a few processes: calls (rpc, erpc, gen_server, rex), messages to names,
 * monitors and links on our names and pids, answers to our own monitors.
 *
 * What can be answered at once (ping, DOWN noproc, EXIT noproc, unlink
 * acknowledgements, spawn replies) is answered here, into `out`; the rest
 * comes out as one event. Pure; one `struct inbox` serves all peers.
 *
 * Our processes: number 1 stands for the registered names INBOX_NAMES and
 * lives as long as the member; spawned calls get numbers from 2 on. */
#ifndef QUORATE_DIST_INBOX_H
#define QUORATE_DIST_INBOX_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INBOX_PID_SIZE_MAX = 270 }; /* bytes of our pids as raw terms */

struct inbox {
    struct bytes node; /* own node name; borrowed for life */
    uint32_t creation; /* own */
    uint32_t pid_next; /* number of the next spawned process */
    uint32_t pid_serial;
    uint64_t reference_next;
    uint8_t self[INBOX_PID_SIZE_MAX]; /* pid 1 as a raw term, encoded once */
    size_t self_size;                 /* 0: it is encoded each time */
};

/* Names that exist on every member: monitors on them stay; messages to them
 * come out. All others are `noproc`. */
#define INBOX_NAMES "quorate", "quorate_member", "rex", "net_kernel"

void inbox_init(struct inbox *inbox, struct bytes node, uint32_t creation);

/* What must be known of the sender's link. */
struct inbox_peer {
    struct bytes name; /* node name */
    uint64_t flags;    /* agreed: ours and theirs */
};

enum call_kind {
    CALL_GEN,        /* $gen_call: reply expected */
    CALL_GEN_CAST,   /* $gen_cast: no reply */
    CALL_SPAWN,      /* erpc:execute_call/4: result is the exit reason */
    CALL_SPAWN_CAST, /* erpc:execute_cast/3 */
    CALL_REX,        /* {Pid, {call, M, F, A, GL}} sent to rex */
};

/* A call and how to answer it. Bytes are raw terms, borrowed from the frame;
 * call_copy() makes one that outlives it. */
struct call {
    enum call_kind kind;
    struct bytes from;   /* pid of the caller */
    struct bytes tag;    /* GEN: the tag; SPAWN: the request reference */
    struct bytes result; /* SPAWN: ResRef of erpc */
    uint32_t pid_id;     /* SPAWN: our process number */
    uint32_t pid_serial;
    bool is_monitored; /* SPAWN options */
    bool is_linked;
    struct bytes module;   /* atom name, not raw */
    struct bytes function; /* atom name, not raw */
    struct bytes args;     /* raw list (NIL, LIST or STRING) */
    uint32_t arity;
};

enum inbox_event_type {
    INBOX_NONE,    /* done here */
    INBOX_CALL,    /* event.call; answer by call_reply() now or later */
    INBOX_MESSAGE, /* to a name of ours: event.name, event.message */
    INBOX_DOWN,    /* our monitor fired: event.reference (raw), event.reason */
    INBOX_CANCEL,  /* the caller of a CALL_SPAWN gave up: event.reference is
                      its `tag` */
};

struct inbox_event {
    enum inbox_event_type type;
    struct call call;
    struct bytes name;      /* atom name */
    struct bytes from;      /* raw pid of the sender, if it was told */
    struct bytes message;   /* raw term */
    struct bytes reference; /* raw term */
    struct bytes reason;    /* raw term */
};

/* Takes one frame (not a tick). 0, or ERR_MALFORMED, ERR_LIMIT,
 * ERR_UNSUPPORTED: cut the link with the cause `*ret_cause` (static text).
 * gen_call's that are not {M, F, Args} are answered {error, {badarg, ...}}. */
int inbox_receive(struct inbox *inbox, const struct inbox_peer *peer,
                  struct bytes frame, struct buf *out,
                  struct inbox_event *ret_event,
                  const char **ret_cause) MUST_USE;

/* A copy in one allocation, to be freed by mem_free(); NULL: no memory. The
 * copy has no module, function and args. */
struct call *call_copy(const struct call *call) MUST_USE;

enum call_result_type {
    CALL_VALUE, /* `value` is the raw result */
    CALL_UNDEF, /* no such function: call.module, .function, .args count */
    CALL_ERROR, /* an exception of class error: `value` is the raw reason */
};

struct call_result {
    enum call_result_type type;
    struct bytes value;
};

/* Appends the frame(s) that answer the call; nothing for casts. For GEN,
 * CALL_UNDEF is {error, {undef, {M, F, Arity}}}, CALL_ERROR {error, Reason}. */
void call_reply(struct inbox *inbox, const struct inbox_peer *peer,
                const struct call *call, const struct call_result *result,
                struct buf *out);

/* Appends a frame that sends `message` (raw) to a pid (raw) or to a registered
 * name of the peer. */
void outbox_send(struct inbox *inbox, struct bytes to_pid, struct bytes message,
                 struct buf *out);
void outbox_send_name(struct inbox *inbox, const char *name,
                      struct bytes message, struct buf *out);

/* A message {quorate, 1, Kind, Body} in parts, without a copy of the body:
 * begin, append the raw body to `out`, end. `to_pid` empty: to `name`. */
size_t outbox_begin(struct inbox *inbox, struct bytes to_pid, const char *name,
                    const char *kind, struct buf *out);
void outbox_end(struct buf *out, size_t begin);

/* Appends a monitor of a pid of the peer. Gives the raw reference that
 * INBOX_DOWN will carry (written to `ret_reference`, at most 600 bytes). */
void outbox_monitor(struct inbox *inbox, struct bytes pid, struct buf *out,
                    struct buf *ret_reference);
/* Appends a monitor of a name that no peer has: one that lives answers at once
 * with INBOX_DOWN, `noproc`. For peers with DIST_FLAG_DIST_MONITOR_NAME. */
void outbox_probe(struct inbox *inbox, struct buf *out);
void outbox_demonitor(struct inbox *inbox, struct bytes pid,
                      struct bytes reference, struct buf *out);

#endif
