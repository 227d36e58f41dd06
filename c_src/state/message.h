/* SPDX-License-Identifier: Apache-2.0
 * What coordinators and replicas say to one another: three requests and their
 * answers, all in one form.
 *
 *   u8 format, u8 kind, u8 status, u8 flags
 *   u64 ticket, birth, epoch, seq, ballot, promised, promised_ballot
 *   u32 crc32c of the value, u8 size of the id, u32 size of the value
 *   id, value
 *
 * A request's fixed fields have fixed places, so that one encoded message can
 * be sent again under another ticket or version without a copy of its value. */
#ifndef QUORATE_STATE_MESSAGE_H
#define QUORATE_STATE_MESSAGE_H

#include "base/attr.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "state/version.h"

#include <stdbool.h>
#include <stdint.h>

enum state_kind {
    STATE_KIND_WRITE = 1,
    STATE_KIND_PROMISE,
    STATE_KIND_READ,
    STATE_KIND_WRITE_ACK,
    STATE_KIND_PROMISE_ACK,
    STATE_KIND_READ_ACK,
};

enum state_status {
    STATE_STATUS_OK,
    STATE_STATUS_STALE_EPOCH,   /* below the promise */
    STATE_STATUS_STALE_BALLOT,  /* another seal of this epoch is ahead */
    STATE_STATUS_STALE_VERSION, /* not newer than what is stored */
    STATE_STATUS_NO_SPACE,
    STATE_STATUS_IO,
    STATE_STATUS_CORRUPT,
    STATE_STATUS_COUNT
};

enum {
    STATE_ID_SIZE_MAX = 255,
    STATE_MESSAGE_HEADER_SIZE = 4 + 7 * 8 + 4 + 1 + 4,
    STATE_MESSAGE_SIZE_MAX =
        STATE_MESSAGE_HEADER_SIZE + STATE_ID_SIZE_MAX + 64 * 1024 * 1024,
};

struct state_message {
    enum state_kind kind;
    enum state_status status; /* answers; requests: OK */
    bool has_version;         /* answers: something is stored */
    bool has_value;           /* a value comes with the version */
    uint64_t ticket;          /* of the request; comes back in the answer */
    uint64_t birth;           /* requests: lower epochs count as absent */
    struct state_stamp
        stamp;                /* requests: WRITE the version to store, PROMISE
                                 the epoch and ballot; answers: what is stored */
    uint64_t promised;        /* answers: the epoch promised, 0 if none */
    uint64_t promised_ballot; /* answers */
    uint32_t crc;             /* of the value, made by the coordinator */
    struct bytes id;          /* requests; borrowed */
    struct bytes value;       /* WRITE, PROMISE_ACK, READ_ACK; borrowed */
    struct blob *blob;        /* in which `value` lies, if it can be held;
                                 neither encoded nor decoded */
};

static inline bool state_kind_is_request(enum state_kind kind)
{
    return kind <= STATE_KIND_READ;
}

/* The kind of the answer to a request. */
static inline enum state_kind state_kind_answer(enum state_kind request)
{
    return (enum state_kind)(request + 3);
}

/* Appends the message. ERR_NOMEM or ERR_LIMIT, as the buffer says; the buffer
 * then holds no whole message. */
int state_message_encode(const struct state_message *message,
                         struct buf *buf) MUST_USE;

/* The same without the bytes of the value, which are to follow. */
int state_message_encode_head(const struct state_message *message,
                              struct buf *buf) MUST_USE;

/* Reads one message; id and value are borrowed from `bytes`. ERR_MALFORMED,
 * ERR_TRUNCATED. The checksum is not looked at: see state_message_is_intact. */
int state_message_decode(struct bytes bytes,
                         struct state_message *ret_message) MUST_USE;

/* The same for a message of which `head` is all but the value; with an empty
 * value, `head` is all of it. */
int state_message_decode_pieces(struct bytes head, struct bytes value,
                                struct state_message *ret_message) MUST_USE;

/* How many bytes of an encoded message are in front of its value; all of them
 * if it is no message. */
size_t state_message_head_size(struct bytes bytes);

/* Whether the value has its checksum. */
bool state_message_is_intact(const struct state_message *message);

/* Whether these bytes claim to be a request; looks at the kind only. */
bool state_message_is_request(struct bytes bytes);

/* Rewrites ticket and stamp of the encoded message in `buf`. */
void state_message_restamp(struct buf *buf, uint64_t ticket,
                           struct state_stamp stamp);

/* The value in the encoded message of a request, if it is there; borrowed. */
struct bytes state_message_value(const struct buf *buf);

#endif
