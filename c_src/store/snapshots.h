/* SPDX-License-Identifier: Apache-2.0
 * The snapshots of a data directory, behind one thread: the member hands over
 * pieces to write and asks for pieces to read, and never waits for the disk.
 *
 *   own:       begin, append..., finish        ──> SNAPSHOTS_TAKEN
 *   leader's:  store...                        ──> SNAPSHOTS_STORED, each
 *              finish_received                 ──> SNAPSHOTS_RECEIVED
 *   to send:   read                            ──> SNAPSHOTS_READ
 *
 * What is asked for is carried out in order. A snapshot that is whole and on
 * disk makes older ones go, and what was left over of others. One that fails
 * leaves all others as they are, and the member goes on without it.
 *
 * At a start, snapshot_reader.h reads the newest one. */
#ifndef QUORATE_STORE_SNAPSHOTS_H
#define QUORATE_STORE_SNAPSHOTS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "store/snapshot_file.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SNAPSHOTS_QUEUE_SIZE_MAX = 64 * 1024 * 1024, /* bytes; then ERR_BUSY */
    SNAPSHOTS_QUEUE_COUNT_MAX = 65536,           /* idem */
};

struct snapshots;

/* Something is done: there may be a result, or room for what was refused as
 * ERR_BUSY. Called on the thread. */
typedef void snapshots_ready_cb(void *arg);

struct snapshots_config {
    const char *dir; /* exists; locked by the caller */
    snapshots_ready_cb *ready;
    void *arg;
};

enum snapshots_result_type {
    SNAPSHOTS_TAKEN,    /* the own one is on disk; meta has size and checksum */
    SNAPSHOTS_STORED,   /* a chunk of a leader's is stored up to `end` */
    SNAPSHOTS_RECEIVED, /* the leader's is on disk */
    SNAPSHOTS_READ,     /* `data` is what was asked for */
};

struct snapshots_result {
    enum snapshots_result_type type;
    int status; /* 0, ERR_NO_SPACE, ERR_CORRUPT, ERR_NOT_FOUND, ERR_NOMEM,
                   ERR_IO */
    struct snapshot_meta meta; /* index; the rest where it is known */
    uint64_t end;              /* STORED: the offset behind it */
    uint64_t offset;           /* READ */
    uint64_t tag;              /* not TAKEN: as it was given */
    struct buf data;           /* READ; the taker closes it */
};

/* 0, ERR_NOMEM, ERR_IO. */
int snapshots_open(const struct snapshots_config *config,
                   struct snapshots **ret_snapshots) MUST_USE;

/* Carries out what waits and ends the thread; what is half written stays to be
 * resumed (a leader's) or goes (the own). NULL is allowed. */
void snapshots_close(struct snapshots *snapshots);

/* All below copy and queue: 0, ERR_BUSY (too much waits: try again when called
 * back), ERR_NOMEM. */

/* Begins the own one, in place of one that was begun and not finished. */
int snapshots_begin(struct snapshots *snapshots, uint64_t index) MUST_USE;
int snapshots_append(struct snapshots *snapshots, struct bytes data) MUST_USE;
/* Size and checksum of `meta` are filled in. */
int snapshots_finish(struct snapshots *snapshots,
                     const struct snapshot_meta *meta) MUST_USE;

/* A chunk of a leader's. `meta` has index, size, and the checksum if it is
 * known (else 0). It must begin where the one before ended, at 0, or, with a
 * checksum, where the STORED of one that did not fit says: that has an `end`
 * other than the chunk's. */
int snapshots_store(struct snapshots *snapshots,
                    const struct snapshot_meta *meta, uint64_t offset,
                    struct bytes data, uint64_t tag) MUST_USE;
int snapshots_finish_received(struct snapshots *snapshots,
                              const struct snapshot_meta *meta,
                              uint64_t tag) MUST_USE;

/* A piece to send, of at most SNAPSHOT_CHUNK_SIZE bytes. */
int snapshots_read(struct snapshots *snapshots, uint64_t index, uint64_t offset,
                   uint32_t size, uint64_t tag) MUST_USE;

/* Whole ones from this index on stay, also behind a newer one. */
void snapshots_need(struct snapshots *snapshots, uint64_t index);

/* Bytes that are queued, in either direction. */
uint64_t snapshots_waiting(struct snapshots *snapshots);

/* The next result: 0 or ERR_NOT_FOUND. */
int snapshots_take(struct snapshots *snapshots,
                   struct snapshots_result *ret_result) MUST_USE;

#endif
