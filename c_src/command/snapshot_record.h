/* SPDX-License-Identifier: Apache-2.0
 * The state of a command machine as bytes: what is in a snapshot. A run of
 * records, each a block (32-bit length, bytes) of at most
 * SNAPSHOT_RECORD_SIZE_MAX bytes; numbers are big-endian, bytes are blocks.
 *
 *   kind (8 bits) | fields
 *
 * HEADER is the first and END the last. MEMBERs, WORKERs and COPYs come before
 * all SANDBOXes and NAMEs, which come in any order and name their worker by its
 * number: 1 is the worker of the first WORKER record, 0 is none. */
#ifndef QUORATE_COMMAND_SNAPSHOT_RECORD_H
#define QUORATE_COMMAND_SNAPSHOT_RECORD_H

enum {
    SNAPSHOT_STATE_VERSION = 1,
    SNAPSHOT_RECORD_SIZE_MAX = 128 * 1024,
};

enum snapshot_record {
    /* version:32; applied_index, burnt_index, ring_order_last,
     * copy_number_last and the directory's index, 64 bits each; how many
     * members, workers, sandboxes, names and copies there are, 32 bits each. */
    SNAPSHOT_HEADER = 1,
    /* id:64 instance:64 name address */
    SNAPSHOT_MEMBER = 2,
    /* name incarnation lease:64 renewed_index:64 renewed_clock:64 member:64
     * term_ms:32 capacity.cpu:32 capacity.memory:32 sandboxes_max:32 */
    SNAPSHOT_WORKER = 3,
    /* id spec options pid reason worker:32 birth:64 epoch:64 ring_order:64
     * need.cpu:32 need.memory:32 status:8 failures:8 priority:8
     * replica_count:8, then as many ids of 64 bits; is_restoring:8 */
    SNAPSHOT_SANDBOX = 4,
    /* name pid meta worker:32 epoch:64 ring_order:64 */
    SNAPSHOT_NAME = 5,
    /* how many records came before it: 64 bits */
    SNAPSHOT_END = 6,
    /* member index nonce used_index newest, 64 bits each. A session, by index,
     * ascending; behind the MEMBERs. */
    SNAPSHOT_SESSION = 7,
    /* Of the session that came last, as many as there are: how far the number
     * is behind the newest one:16, index:64 epoch:64, and what came of it:8, as
     * in sessions_record.c. */
    SNAPSHOT_OUTCOMES = 8,
    /* epoch_base:64 held_epoch:64; behind the header, if there ever was a
     * recovery. */
    SNAPSHOT_RECOVERY = 9,
    /* number epoch time_s size restore_epoch, 64 bits each; how:8 id about
     * outcome replica_count:8, then as many ids of 64 bits. Behind the WORKERs,
     * the oldest first. */
    SNAPSHOT_COPY = 10,
};

#endif
