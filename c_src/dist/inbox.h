/* SPDX-License-Identifier: Apache-2.0
 * What a frame from a peer means to us, as if we were a virtual machine with
 * a few processes: calls (rpc, erpc, gen_server, rex, spawn), messages to
 * names, links and monitors in both directions, answers to our own calls.
 *
 * What can be answered at once (ping, DOWN noproc, EXIT noproc, unlink
 * acknowledgements, spawn replies) is answered here, into `out`; the rest
 * comes out as one event. Pure; one `struct inbox` serves all peers.
 *
 * Our processes: number 1 stands for the registered names INBOX_NAMES and
 * lives as long as the member; it traps exits. Spawned calls get numbers from
 * 2 on and live until they are answered, or ended by a signal. */
#ifndef QUORATE_DIST_INBOX_H
#define QUORATE_DIST_INBOX_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control_scan; /* dist/control.h */
struct process;      /* dist/relations.h */
struct relation;     /* idem */

enum {
    INBOX_PID_SIZE_MAX = 270,         /* bytes of our pids as raw terms */
    INBOX_REFERENCE_SIZE_MAX = 600,   /* bytes of our references */
    INBOX_PROCESSES_MAX = 1000000,    /* spawned calls under way */
    INBOX_PEER_RELATIONS_MAX = 65536, /* links, monitors, own calls */
    INBOX_RELATIONS_MAX = 256 * 1024, /* the same of all peers */
};

struct inbox {
    struct bytes node; /* own node name; borrowed for life */
    uint32_t creation; /* own */
    uint32_t pid_next; /* number of the next spawned process */
    uint32_t pid_serial;
    uint64_t reference_next;
    uint64_t unlink_next;
    struct map processes; /* of struct process, by number */
    struct map relations; /* of struct relation */
    void *lost;           /* what the last event of inbox_next_lost() shows */
    uint8_t self[INBOX_PID_SIZE_MAX]; /* pid 1 as a raw term, encoded once */
    size_t self_size;                 /* 0: it is encoded each time */
};

/* Names that exist on every member: monitors on them stay; messages to them
 * come out. All others are `noproc`. */
#define INBOX_NAMES "quorate", "quorate_member", "rex", "net_kernel"

void inbox_init(struct inbox *inbox, struct bytes node, uint32_t creation);
/* The seed of its tables, whose keys come from peers: before the first frame;
 * a secret random number. */
void inbox_set_seed(struct inbox *inbox, uint64_t seed);
/* All peers are gone by then (inbox_next_lost()), all calls freed. */
void inbox_close(struct inbox *inbox);

/* The sender's link. The caller sets the first four fields, the others to
 * zero; it stays in place until inbox_next_lost() has given all. */
struct inbox_peer {
    struct bytes name; /* node name */
    uint64_t flags;    /* agreed: ours and theirs */
    /* Of the frame that comes next, if it was looked at as it arrived: done,
       borrowed; else NULL. */
    const struct control_scan *scan;
    /* Where frames go that another peer gave rise to, say because it ended a
     * call that this one monitors. NULL: they are dropped. */
    struct buf *(*out)(void *arg);
    void *arg;
    struct relation *relations; /* inbox's own from here on */
    struct process *processes;
    uint32_t relation_count;
};

enum call_kind {
    CALL_GEN,         /* $gen_call: reply expected */
    CALL_GEN_CAST,    /* $gen_cast: no reply */
    CALL_SPAWN,       /* erpc:execute_call/4: result is the exit reason */
    CALL_SPAWN_CAST,  /* erpc:execute_cast/3 */
    CALL_SPAWN_PLAIN, /* erlang:spawn and its like: the exit reason tells how
                         it ended */
    CALL_BLOCK, /* rpc:block_call/4: a $gen_call with the results of rpc */
    CALL_REX,   /* {Pid, {call, M, F, A, GL}} sent to rex */
};

/* A call and how to answer it. Bytes are raw terms, borrowed from the frame;
 * call_copy() makes one that outlives it. */
struct call {
    enum call_kind kind;
    struct bytes from; /* pid of the caller */
    struct bytes tag; /* GEN, BLOCK: the tag; spawns: the request's reference */
    struct bytes result; /* SPAWN: ResRef of erpc */
    uint32_t pid_id;     /* all spawns: our process number */
    uint32_t pid_serial;
    bool is_monitored; /* spawn options */
    bool is_linked;
    struct bytes module;           /* atom name, not raw */
    struct bytes function;         /* atom name, not raw */
    struct bytes args;             /* raw list (NIL, LIST or STRING) */
    const struct etf_spans *spans; /* of long arguments; borrowed; or NULL */
    uint32_t arity;
    struct process *process; /* copies of spawned calls: the process */
    void *owner;             /* copies: the shell's own */
};

/* How a call of ours (outbox_spawn()) ended. */
enum call_outcome {
    OUTCOME_RETURN,  /* message: the value */
    OUTCOME_THROW,   /* message: what was thrown */
    OUTCOME_EXIT,    /* message: the reason */
    OUTCOME_ERROR,   /* message: the reason */
    OUTCOME_REFUSED, /* message: an atom of the peer or of erpc */
    OUTCOME_SIGNAL,  /* message: the reason by which its process was ended */
    OUTCOME_LOST,    /* message: noconnection; nobody knows */
};

enum inbox_event_type {
    INBOX_NONE,    /* done here */
    INBOX_CALL,    /* event.call; answer by call_reply() now or later */
    INBOX_MESSAGE, /* to a name of ours: event.name, event.message */
    INBOX_DOWN,    /* our monitor fired: event.reference (raw), event.from
                      (pid or name), event.reason */
    INBOX_EXIT,    /* an exit signal for the process behind our names:
                      event.from, event.reason */
    INBOX_RESULT,  /* of a call of ours: event.reference, .outcome, .message */
    INBOX_CANCEL,  /* a copied call was ended by a signal, and those who watch
                      it know: event.owner; it is still to be freed */
};

/* Only what its type names is set. */
struct inbox_event {
    enum inbox_event_type type;
    struct call call;
    struct bytes name;    /* atom name */
    struct bytes from;    /* raw pid (or name) of the sender, if it was told */
    struct bytes message; /* raw term */
    struct bytes reference; /* raw term */
    struct bytes reason;    /* raw term */
    enum call_outcome outcome;
    void *owner; /* of the call */
};

/* Takes one frame (not a tick). 0, or ERR_MALFORMED, ERR_LIMIT,
 * ERR_UNSUPPORTED: cut the link with the cause `*ret_cause` (static text).
 * gen_call's that are not {M, F, Args} are answered {error, {badarg, ...}}. */
int inbox_receive(struct inbox *inbox, struct inbox_peer *peer,
                  struct bytes frame, struct buf *out,
                  struct inbox_event *ret_event,
                  const char **ret_cause) MUST_USE;

/* The link is gone: call it until it is false. Each time there is one event:
 * our monitors, links and calls there end with `noconnection`, the calls of
 * the peer with INBOX_CANCEL. The event is borrowed until the next call. */
bool inbox_next_lost(struct inbox *inbox, struct inbox_peer *peer,
                     struct inbox_event *ret_event) MUST_USE;

/* A copy that outlives the frame; NULL: no memory, or too many processes. It
 * has no module, function and args. Until call_reply() a spawned one is a
 * process to which peers can link, which they can monitor and end. */
struct call *call_copy(struct inbox *inbox, struct inbox_peer *peer,
                       const struct call *call) MUST_USE;
void call_free(struct inbox *inbox, struct call *call); /* NULL is allowed */

enum call_result_type {
    CALL_VALUE, /* `value` is the raw result */
    CALL_UNDEF, /* no such function: call.module, .function, .args count */
    /* Exceptions: `value` is the raw reason. */
    CALL_ERROR,
    CALL_THROW,
    CALL_EXIT,
};

struct blob;

/* A long part of a raw term that is elsewhere. `put` is called where it
 * belongs, as often as the term is written: it appends the bytes to `out`, or
 * sees to it that they go there, and gives the number of those that are not in
 * `out`; only the buffer that call_reply() was given may lack some. */
struct call_insert {
    size_t at; /* in the rest of the term */
    struct bytes bytes;
    struct blob *blob; /* in which they are */
    size_t (*put)(const struct call_insert *insert, struct buf *out);
    void *arg;
};

struct call_result {
    enum call_result_type type;
    struct bytes value;
    const struct call_insert *insert; /* CALL_VALUE; NULL: `value` is whole */
    struct bytes stack; /* CALL_ERROR, CALL_THROW: raw list; empty: [] */
};

/* Appends the frame(s) that answer the call; nothing for casts. For GEN,
 * CALL_UNDEF is {error, {undef, {M, F, Arity}}}, CALL_ERROR {error, Reason},
 * CALL_THROW and CALL_EXIT {error, {throw or exit, Reason}}. Whoever else
 * watches the process of a spawned call is told, too. */
void call_reply(struct inbox *inbox, const struct inbox_peer *peer,
                const struct call *call, const struct call_result *result,
                struct buf *out);

/* --- What we send of our own accord, always as the process of number 1 -----
 */

/* Appends a frame that sends `message` (raw) to a pid (raw), to a registered
 * name of the peer, or to an alias (a raw reference). */
void outbox_send(struct inbox *inbox, const struct inbox_peer *peer,
                 struct bytes to_pid, struct bytes message, struct buf *out);
void outbox_send_name(struct inbox *inbox, const char *name,
                      struct bytes message, struct buf *out);
void outbox_send_alias(struct inbox *inbox, const struct inbox_peer *peer,
                       struct bytes alias, struct bytes message,
                       struct buf *out);

/* A message {quorate, 1, Kind, Body} in parts, without a copy of the body:
 * begin, append the raw body to `out`, end. */
size_t outbox_begin(struct inbox *inbox, const char *name, const char *kind,
                    struct buf *out);
size_t outbox_begin_pid(struct inbox *inbox, const struct inbox_peer *peer,
                        struct bytes to_pid, const char *kind, struct buf *out);
void outbox_end(struct buf *out, size_t begin);
/* The same when `absent` bytes of the body are not in `out`. */
void outbox_end_without(struct buf *out, size_t begin, size_t absent);

/* The raw term {quorate, 1, Kind, Body} up to its body. */
void outbox_put_envelope(const char *kind, struct buf *out);

/* Monitors a pid, or a name (a raw atom), of the peer. Appends to
 * `ret_reference` the raw reference that INBOX_DOWN will carry (at most
 * INBOX_REFERENCE_SIZE_MAX bytes). ERR_LIMIT, ERR_NOMEM: nothing was sent. */
int outbox_monitor(struct inbox *inbox, struct inbox_peer *peer,
                   struct bytes target, struct buf *out,
                   struct buf *ret_reference) MUST_USE;
/* Appends a monitor of a name that no peer has: one that lives answers at once.
 * The answer is no event. For peers with DIST_FLAG_DIST_MONITOR_NAME. */
void outbox_probe(struct inbox *inbox, struct buf *out);
/* No INBOX_DOWN, INBOX_RESULT comes after it; an unknown reference is ignored.
 */
void outbox_demonitor(struct inbox *inbox, struct inbox_peer *peer,
                      struct bytes reference, struct buf *out);

/* Links with a pid of the peer; does nothing if that is so already. */
int outbox_link(struct inbox *inbox, struct inbox_peer *peer, struct bytes pid,
                struct buf *out) MUST_USE;
/* No INBOX_EXIT for the link comes after it. */
void outbox_unlink(struct inbox *inbox, struct inbox_peer *peer,
                   struct bytes pid, struct buf *out);

/* exit(Pid, Reason); the reason is raw. */
void outbox_exit2(struct inbox *inbox, const struct inbox_peer *peer,
                  struct bytes pid, struct bytes reason, struct buf *out);

/* Calls module:function(args...) on the peer, as erpc does; one INBOX_RESULT
 * with the reference follows. `args` is a raw list. ERR_UNSUPPORTED: the peer
 * cannot spawn; ERR_LIMIT, ERR_NOMEM. Nothing was sent then. */
struct outbox_call {
    struct bytes module;   /* atom names, UTF-8 */
    struct bytes function; /* idem */
    struct bytes args;
};
int outbox_spawn(struct inbox *inbox, struct inbox_peer *peer,
                 const struct outbox_call *call, struct buf *out,
                 struct buf *ret_reference) MUST_USE;

#endif
