/* SPDX-License-Identifier: Apache-2.0
 * Which files of the log hold entries up to where, and which of them a
 * snapshot makes needless. The last one is written to and always stays.
 *
 * An entry that was replaced later counts too: a file goes only if all that
 * was ever written to it, and to those before it, is covered. */
#ifndef QUORATE_STORE_WAL_FILES_H
#define QUORATE_STORE_WAL_FILES_H

#include "base/attr.h"
#include "store/wal_record.h"

#include <stddef.h>
#include <stdint.h>

struct wal_file {
    uint64_t number;
    uint64_t index_max; /* of the entries in it; 0: none that counts */
};

struct wal_files {
    struct wal_file *items; /* owned; oldest first */
    size_t count;
    size_t capacity;
};

void wal_files_init(struct wal_files *files);
void wal_files_close(struct wal_files *files);

/* Another file begins: 0 or ERR_NOMEM. */
int wal_files_add(struct wal_files *files, uint64_t number) MUST_USE;

/* This went to the last file. A base makes all older entries needless. */
void wal_files_note(struct wal_files *files, const struct wal_payload *payload);

/* Removes the first file from the list and from the directory, durably, if all
 * in it is covered up to `index`: 0, ERR_NOT_FOUND if there is none, ERR_IO
 * (it is off the list then, and may or may not be there). */
int wal_files_cut(struct wal_files *files, int dir_fd, uint64_t index) MUST_USE;

#endif
