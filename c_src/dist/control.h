/* SPDX-License-Identifier: Apache-2.0
 * Control messages (erts: erl_dist_protocol, "Protocol between Connected
 * Nodes"): what a frame says. A frame is
 *
 *     112   131 control tuple   [131 payload]
 *
 * Both terms are validated here, once, and of a long frame bit by bit while it
 * arrives; the fields are raw terms, borrowed from the frame. The forms with a
 * trace token, and those with the reason in the payload, come out as the plain
 * operation. */
#ifndef QUORATE_DIST_CONTROL_H
#define QUORATE_DIST_CONTROL_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum control_op {
    CONTROL_LINK = 1,
    CONTROL_SEND = 2,
    CONTROL_EXIT = 3,
    CONTROL_UNLINK = 4,
    CONTROL_REG_SEND = 6,
    CONTROL_GROUP_LEADER = 7,
    CONTROL_EXIT2 = 8,
    CONTROL_MONITOR_P = 19,
    CONTROL_DEMONITOR_P = 20,
    CONTROL_MONITOR_P_EXIT = 21,
    CONTROL_SPAWN_REQUEST = 29,
    CONTROL_SPAWN_REPLY = 31,
    CONTROL_ALIAS_SEND = 33,
    CONTROL_UNLINK_ID = 35,
    CONTROL_UNLINK_ID_ACK = 36,
};

/* Operations as they are sent where the plain one is not. */
enum {
    CONTROL_SEND_SENDER = 22,
    CONTROL_PAYLOAD_EXIT = 24,
    CONTROL_PAYLOAD_EXIT2 = 26,
    CONTROL_PAYLOAD_MONITOR_P_EXIT = 28,
    CONTROL_ALTACT_SIG_SEND = 37,
    /* Bits of the last one. The priority means nothing here. */
    CONTROL_ALTACT_PRIORITY = 1,
    CONTROL_ALTACT_TOKEN = 2,
    CONTROL_ALTACT_ALIAS = 4,
    CONTROL_ALTACT_NAME = 8,
    CONTROL_ALTACT_EXIT = 16,
    CONTROL_ALTACT_ALL = 31,
};

enum {
    CONTROL_PASS_THROUGH = 112,   /* first byte of every frame */
    CONTROL_SIZE_MAX = 64 * 1024, /* of the control tuple without a reason */
    CONTROL_DEPTH_MAX = 32,
    CONTROL_COUNT_MAX = 4096,
    /* Bits of SPAWN_REPLY. */
    CONTROL_SPAWN_LINKED = 1,
    CONTROL_SPAWN_MONITORED = 2,
};

/* Which fields count is in the comment of each; the others are empty. */
struct control {
    enum control_op op;
    struct bytes from; /* pid; MONITOR_P_EXIT: pid or name (raw atom); SEND:
                          only if the sender was told */
    struct bytes to;   /* pid; {DE,}MONITOR_P: pid or name (raw atom); not in
                          REG_SEND, SPAWN_REQUEST, ALIAS_SEND; EXIT2: empty if
                          it goes to an alias or a name */
    struct bytes reference; /* monitors, spawns; ALIAS_SEND, EXIT2: an alias */
    struct bytes id;        /* UNLINK_ID, UNLINK_ID_ACK: an integer */
    struct bytes reason;    /* exits, MONITOR_P_EXIT */
    struct bytes result;    /* SPAWN_REPLY: pid, or atom of the error */
    struct bytes payload;   /* sends: the message; SPAWN_REQUEST: arguments */
    struct bytes name;      /* REG_SEND, EXIT2: the atom's characters */
    struct bytes module;    /* SPAWN_REQUEST: the atom's characters */
    struct bytes function;  /* SPAWN_REQUEST: the atom's characters */
    uint64_t arity;         /* SPAWN_REQUEST */
    bool is_monitored;      /* SPAWN_REQUEST */
    bool is_linked;         /* SPAWN_REQUEST */
    bool has_bad_option;    /* SPAWN_REQUEST: to be refused with badopt */
};

/* Takes a frame (not a tick) on a link with these agreed flags: 0, or
 * ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED (not in the flags) with the cause
 * `*ret_cause`, a static text; what is in `*ret_control` counts for nothing
 * then. */
int control_decode(struct bytes frame, uint64_t flags,
                   struct control *ret_control,
                   const char **ret_cause) MUST_USE;

struct control_scan; /* dist/control_scan.h */

/* control_decode() for a frame whose scan is done: looks at the control tuple
 * only. */
int control_decode_scanned(struct bytes frame, const struct control_scan *scan,
                           struct control *ret_control,
                           const char **ret_cause) MUST_USE;

/* Encoding: begin gives the tuple's head with the operation (of either list
 * above) as the first of `arity` elements; then the other elements, then
 * perhaps a payload; frame_end() with what begin returned. */
size_t control_begin(struct buf *out, uint8_t op, uint32_t arity);
void control_payload(struct buf *out); /* a raw term follows */

#endif
