/* SPDX-License-Identifier: Apache-2.0
 * The files of one simulated node, as bytes: what the running process sees (the
 * page cache) and what a power cut leaves.
 *
 * Calls are carried out at once in the cache, and noted. Virtual time catches
 * up later: a crash happens at any of the noted calls. Then
 *   killed      what was called before it is in the cache, nothing else
 *   power cut   of that, what was flushed is there; of the rest any 512-byte
 *               sectors, and any names
 *
 * A flush that fails leaves its sectors clean: they are in the cache, or the
 * old ones are back, and no later flush writes them (Rebello et al., "Can
 * Applications Recover from fsync Failures?", ATC 2020). Whoever writes to such
 * a sector again makes all of it dirty. */
#ifndef QUORATE_TEST_SIM_STORAGE_H
#define QUORATE_TEST_SIM_STORAGE_H

#include "base/bytes.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORAGE_SECTOR_SIZE = 512,
    STORAGE_NAME_SIZE = 24,
    STORAGE_FILES_MAX = 512
};

struct storage_image {
    uint8_t *data; /* owned */
    size_t size;
};

struct storage_file {
    char name[STORAGE_NAME_SIZE];
    bool is_used;
    bool is_named; /* in the cache */
    bool is_named_on_disk;
    uint32_t open_count;
    struct storage_image cache;
    struct storage_image disk;
};

enum storage_call_type {
    STORAGE_WRITE,  /* of whole sectors */
    STORAGE_FORGET, /* the sectors of a flush that failed */
    STORAGE_FLUSH,  /* of a file, or of a part of it (`size` is not 0) */
    STORAGE_CREATE,
    STORAGE_REMOVE,
    STORAGE_FLUSH_DIR
};

/* A call that changes something, until it is on disk or undone. */
struct storage_call {
    enum storage_call_type type;
    int file;
    size_t offset;
    size_t size;
    size_t size_before; /* of the file, in the cache */
    uint8_t *before;    /* of the sectors, in the cache; owned */
    uint8_t *after;     /* owned */
};

/* What goes wrong, in permille of the calls. */
struct storage_faults {
    uint32_t write_permille; /* ends with an error */
    uint32_t flush_permille;
    uint32_t read_permille;
    uint32_t short_permille; /* writes one sector */
    bool is_full;            /* no file grows */
    bool is_full_in_place;   /* nor is one written over (copy on write) */
    bool has_no_direct;      /* O_DIRECT is refused */
};

struct storage {
    struct rng *rng; /* borrowed */
    struct storage_file files[STORAGE_FILES_MAX];
    int file_count;             /* used or free again */
    struct storage_call *calls; /* owned; oldest first */
    size_t call_count;
    size_t call_capacity;
    size_t done_count; /* of them virtual time has passed */
    struct storage_faults faults;
};

void storage_init(struct storage *storage, struct rng *rng);
void storage_close(struct storage *storage);

/* --- Calls: 0 or more, or a negative errno ------------------------------- */

/* The file's number; it is open then. */
int storage_open(struct storage *storage, const char *name, bool is_created);
void storage_release(struct storage *storage, int file);
int storage_remove(struct storage *storage, const char *name);
int storage_write(struct storage *storage, int file, struct bytes bytes,
                  size_t offset);
/* The same, and it is on disk when it returns (O_DSYNC): this, and nothing that
 * was written before. */
int storage_write_through(struct storage *storage, int file, struct bytes bytes,
                          size_t offset);
int storage_read(struct storage *storage, int file, uint8_t *data, size_t size,
                 size_t offset);
int storage_grow(struct storage *storage, int file, size_t size);
int storage_flush(struct storage *storage, int file);
int storage_flush_dir(struct storage *storage);

/* The next file that has a name, from `file` on; -1: none. */
int storage_next(const struct storage *storage, int file);

/* --- Time and power ------------------------------------------------------ */

/* All calls so far have happened. */
void storage_pass(struct storage *storage);

/* The process ends at one of the calls that virtual time has not reached, or
 * behind them; all files are closed. */
void storage_kill(struct storage *storage);

/* The same, and the power goes. */
void storage_cut_power(struct storage *storage);

/* Turns a bit over, on disk and in the cache. */
void storage_flip(struct storage *storage, int file, size_t offset,
                  uint8_t mask);

/* Of all names and bytes that the process sees. */
uint32_t storage_checksum(const struct storage *storage);

#endif
