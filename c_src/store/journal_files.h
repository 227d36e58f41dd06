/* SPDX-License-Identifier: Apache-2.0
 * The files of an ownership journal: which are there, which is written to, and
 * which one goes when there are too many. Private to journal.c. */
#ifndef QUORATE_STORE_JOURNAL_FILES_H
#define QUORATE_STORE_JOURNAL_FILES_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_FILES_KNOWN_MAX = 1024 };

struct journal_files {
    int dir_fd;        /* -1: closed */
    int fd;            /* of the file that is written to; -1: none */
    size_t size;       /* of that file, all of it whole records */
    uint64_t size_max; /* bytes of all files */
    uint64_t last;     /* the greatest number given so far */
};

/* Looks at what is there. On failure nothing is open. 0, ERR_IO. */
int journal_files_open(struct journal_files *files, const char *dir,
                       uint64_t size_max) MUST_USE;
void journal_files_close(struct journal_files *files);

/* Another file with this at its beginning; the oldest ones go. On failure there
 * is none to write to. 0, ERR_NO_SPACE, ERR_IO. */
int journal_files_begin(struct journal_files *files,
                        struct bytes head) MUST_USE;

/* Appends whole records: all of them or, on failure, none. 0, ERR_NO_SPACE,
 * ERR_IO. */
int journal_files_write(struct journal_files *files,
                        struct bytes records) MUST_USE;

#endif
