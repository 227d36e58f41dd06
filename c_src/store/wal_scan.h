/* SPDX-License-Identifier: Apache-2.0
 * One file of the write-ahead log in memory, and the question whether a bad
 * record in it is a torn write or damage. */
#ifndef QUORATE_STORE_WAL_SCAN_H
#define QUORATE_STORE_WAL_SCAN_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wal_scan {
    uint64_t number; /* of the file */
    uint8_t *data;   /* mapped, not from the heap: goes back to the system */
    size_t size;
    size_t end; /* behind the last good record */
};

/* What follows a record that is not good. */
struct wal_aftermath {
    bool is_followed; /* by a valid record */
    bool is_proven;   /* one of them says that it had been on disk */
};

/* Reads the file. ERR_IO, ERR_NOMEM, ERR_LIMIT: it is absurdly big. */
int wal_scan_open(int dir_fd, uint64_t number, struct wal_scan *scan) MUST_USE;
void wal_scan_close(struct wal_scan *scan);

/* The bytes from `offset` (0..size) on. */
struct bytes wal_scan_from(const struct wal_scan *scan, size_t offset);

/* The end of what is not zero; at least `start`. */
size_t wal_scan_dirty_end(const struct wal_scan *scan, size_t start);

/* Looks from `offset` on for records of `sequence` or later. */
struct wal_aftermath wal_scan_look_behind(const struct wal_scan *scan,
                                          size_t offset, uint64_t sequence);

/* Whether some sector's share of these bytes still holds the zeros it was
 * prepared with: the disk never got to write it. */
bool wal_scan_has_unwritten_sector(const struct wal_scan *scan, size_t offset,
                                   size_t size);

#endif
