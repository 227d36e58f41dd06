/* SPDX-License-Identifier: Apache-2.0
 * The bytes that members exchange; all numbers big-endian.
 *
 *   version:8 type:8 term:64, then
 *   pre-vote          last_index:64 last_term:64
 *   vote              last_index:64 last_term:64 handover:8
 *   their replies     granted:8
 *   append            prev_index:64 prev_term:64 commit:64 read_seq:64
 *                     count:32, count times { term:64 type:8 size:32 data }
 *   append reply      matched:8 index:64 hint_index:64 hint_term:64
 *                     read_seq:64
 *   snapshot          index:64 term:64 size:64 offset:64
 *                     membership: size:32 bytes, chunk: size:32 bytes
 *   snapshot reply    index:64 offset:64
 *   timeout now       nothing more
 *   read              read_id:64
 *   read reply        read_id:64 index:64
 *
 * The term of a pre-vote, and of its reply if granted, is the one that the
 * sender would start. */
#ifndef QUORATE_RAFT_MESSAGE_H
#define QUORATE_RAFT_MESSAGE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MESSAGE_VERSION = 1,
    MESSAGE_ENTRY_OVERHEAD = 13, /* bytes of an entry besides its data */
    MESSAGE_HEADER_SIZE_MAX = 64,
    MESSAGE_CHUNK_HEADER_SIZE_MAX = 256
};

/* Terms and indexes of peers are below this, so that sums cannot overflow. */
#define MESSAGE_NUMBER_MAX (UINT64_MAX / 4)

enum message_type {
    MESSAGE_PRE_VOTE = 1,
    MESSAGE_PRE_VOTE_REPLY = 2,
    MESSAGE_VOTE = 3,
    MESSAGE_VOTE_REPLY = 4,
    MESSAGE_APPEND = 5,
    MESSAGE_APPEND_REPLY = 6,
    MESSAGE_SNAPSHOT = 7,
    MESSAGE_SNAPSHOT_REPLY = 8,
    MESSAGE_TIMEOUT_NOW = 9,
    MESSAGE_READ = 10,
    MESSAGE_READ_REPLY = 11
};

struct message {
    enum message_type type;
    uint64_t term;
    uint64_t index;       /* vote: last; append: prev; reply: matched up to, or
                             the prev that was refused; snapshot and its
                             reply: its last entry; read reply: to apply
                             before the answer */
    uint64_t index_term;  /* vote, append, snapshot: the term at `index` */
    bool is_granted;      /* vote reply: yes; append reply: matched */
    bool is_handover;     /* vote: the leader itself wants it */
    uint64_t commit;      /* append: the leader's commit index */
    uint64_t read_seq;    /* append: round of reads; reply: the same again */
    uint64_t read_id;     /* read: drawn by the asker; reply: the same */
    uint64_t hint_index;  /* append reply: try a prev not above this, */
    uint64_t hint_term;   /* and with a term not above this */
    uint32_t entry_count; /* append */
    uint64_t size;        /* snapshot: bytes of the whole */
    uint64_t offset;      /* snapshot: of the chunk; reply: of the next one */
    struct bytes membership; /* snapshot: borrowed, checked */
    /* Borrowed. Append: checked, for message_next_entry(); snapshot: the
     * chunk. */
    struct bytes entries;
};

/* Appends the message; an append's entries follow by message_put_entry(). Of a
 * snapshot's chunk only the size is appended: its bytes are to follow. */
void message_put(struct buf *buf, const struct message *message);
void message_put_entry(struct buf *buf, const struct raft_entry *entry);

/* 0 or ERR_MALFORMED; borrows from `bytes`. Entries are checked: terms never
 * fall, sizes are within limits. */
int message_decode(struct bytes bytes, struct message *ret_message) MUST_USE;

/* 0 or ERR_MALFORMED: the data is what an entry of that type may hold. */
int message_check_entry(enum raft_entry_type type, struct bytes data) MUST_USE;

/* The next of the entries of a decoded message; `entry->index` is the
 * caller's. */
void message_next_entry(struct cursor *cursor, struct raft_entry *ret_entry);

#endif
