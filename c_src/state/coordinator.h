/* SPDX-License-Identifier: Apache-2.0
 * Replicated sandbox state, the coordinating half: writes, seals and reads
 * over the replicas of one sandbox, each done at a majority. Versions are
 * {epoch, seq}; a replica that promised epoch E refuses lower ones (after
 * Lamport's Paxos, "promise", and Attiya, Bar-Noy, Dolev, "Sharing memory
 * robustly in message-passing systems", 1995, for the write-back of reads).
 *
 *   write(E, S, value)   send to all; done when a majority stored it
 *   seal(E)              all promise E and tell their newest; the newest of a
 *                        majority is written to a majority as {E, 0}; it may
 *                        be done again, and then finds the same
 *   read()               newest of a majority; written back under its own
 *                        version unless that majority agrees on it
 *
 * Pure: requests to replicas come out as messages, the own replica's too
 * (`to` is then the own id); answers come in by state_receive(). */
#ifndef QUORATE_STATE_COORDINATOR_H
#define QUORATE_STATE_COORDINATOR_H

#include "base/attr.h"
#include "base/blob.h"
#include "base/bytes.h"
#include "state/version.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    STATE_SIZE_MAX = 64 * 1024 * 1024,
    STATE_REPLICAS_MAX = 7,
    STATE_OPERATIONS_MAX = 65536,                  /* then ERR_BUSY */
    STATE_OPERATION_BYTES_MAX = 512 * 1024 * 1024, /* values held, ERR_BUSY */
    STATE_SHARED_MIN = 64 * 1024, /* bytes: smaller values are always copied */
    STATE_RETRY_MS = 250, /* silent replicas are asked again; big values get
                             1 ms more for each 16 KiB */
};

enum state_operation_type { STATE_WRITE, STATE_SEAL, STATE_READ };

struct state_request {
    enum state_operation_type type;
    struct bytes id;
    uint64_t birth; /* older versions belong to a predecessor of the same id:
                       epoch < birth counts as nothing stored */
    uint64_t epoch; /* WRITE, SEAL */
    uint64_t seq;   /* WRITE; 0: read the newest first and take the next */
    struct bytes value; /* WRITE; copied, unless ... */
    struct blob *blob;  /* ... it lies in this, and is most of it; held */
    bool has_crc;       /* `crc` is known to be that of the value */
    uint32_t crc;
    uint64_t replicas[STATE_REPLICAS_MAX]; /* member ids */
    uint32_t replica_count;
    uint64_t deadline_ms;
    uint64_t user; /* comes back in the completion */
};

struct state_send {
    uint64_t to;
    struct bytes message; /* state/message.h; borrowed until the next call */
    struct bytes value;   /* what is to follow it */
    struct blob *blob;    /* `value` lies in it; NULL: there is none */
};

struct state_completion {
    uint64_t user;
    enum state_operation_type type;
    int rv; /* 0; ERR_STALE_EPOCH (version.epoch is the current epoch);
               ERR_STALE_VERSION (version is the stored one); ERR_TIMEOUT;
               ERR_NO_SPACE, ERR_IO, ERR_CORRUPT (no majority without) */
    struct state_version version;
    struct state_version found; /* SEAL: the newest that a majority held */
    bool has_value;             /* SEAL, READ: something is stored */
    struct bytes value;         /* borrowed until the next call */
    struct blob *blob; /* `value` lies in it; NULL: in nothing to be held */
};

struct state_effects {
    const struct state_send *sends;
    size_t send_count;
    const struct state_completion *completions;
    size_t completion_count;
};

struct state_table;

int state_table_new(uint64_t own_id, uint64_t seed,
                    struct state_table **ret_table) MUST_USE;
void state_table_free(struct state_table *table);

/* Starts an operation. ERR_BUSY, ERR_LIMIT (the value), ERR_NOMEM, ERR_BADARG
 * (id, numbers or replicas that cannot be): nothing was started. */
int state_start(struct state_table *table, const struct state_request *request,
                uint64_t now_ms, struct state_effects *effects) MUST_USE;

/* An answer from a replica; with the blob that it lies in, or NULL, a big
 * value is held instead of copied. ERR_MALFORMED: the sender is at fault.
 * Answers to operations that are over are ignored. ERR_NOMEM: it counts as
 * lost. */
int state_receive(struct state_table *table, uint64_t from,
                  struct bytes message, struct blob *blob, uint64_t now_ms,
                  struct state_effects *effects) MUST_USE;

/* Retries and deadlines, a bounded number in one call: the deadline is then
 * still in the past, and the next call goes on. */
uint64_t state_deadline_ms(const struct state_table *table);
int state_tick(struct state_table *table, uint64_t now_ms,
               struct state_effects *effects) MUST_USE;

#endif
