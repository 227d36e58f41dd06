/* SPDX-License-Identifier: Apache-2.0
 * The state store's journal: makes a batch durable with one write and one
 * flush of a preallocated file, so that LMDB needs to commit only now and
 * then. Private to state_db.
 *
 *   file   [ record | record | ... | older generation or zeros ]
 *   record magic, generation, number, size, crc32c, data; starts on a page
 *
 * Records of a generation are numbered from 0. Once LMDB has committed what
 * they hold, the next generation begins at the start of the file. Records that
 * are found after a crash are carried out again, which changes nothing that
 * was committed: versions and promises only grow. */
#ifndef QUORATE_STORE_STATE_JOURNAL_H
#define QUORATE_STORE_STATE_JOURNAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    STATE_JOURNAL_SIZE = 8 * 1024 * 1024, /* bytes of the file */
    STATE_JOURNAL_PAGE = 4096,            /* records start on one */
    STATE_JOURNAL_HEADER_SIZE = 32,
};

struct state_journal {
    int fd;              /* owned; -1: closed */
    uint64_t generation; /* of the records written now */
    uint64_t number;     /* of the next record */
    uint64_t offset;     /* where it goes */
    struct buf record;   /* under construction; begins with its header */
};

/* Opens or makes the file `state.journal` in `dir`; state_journal_next() then
 * gives what it holds. ERR_NO_SPACE, ERR_IO, ERR_NOMEM, with a line in
 * `error`. */
int state_journal_open(struct state_journal *journal, const char *dir,
                       struct buf *error) MUST_USE;
void state_journal_close(struct state_journal *journal);

/* The data of the next record after a crash, borrowed until the next call:
 * ERR_NOT_FOUND at the end, ERR_CORRUPT if a damaged record has a whole one
 * of its generation behind it (a torn last one has not), ERR_IO, ERR_NOMEM. */
int state_journal_next(struct state_journal *journal,
                       struct bytes *ret_data) MUST_USE;

/* A record: begin, append to `journal->record`, then write. ERR_LIMIT: no room
 * until the next state_journal_reset(). ERR_IO: it may or may not be on disk;
 * the journal is of no use any more. */
void state_journal_begin(struct state_journal *journal);
bool state_journal_has_room(const struct state_journal *journal, size_t size);
int state_journal_write(struct state_journal *journal) MUST_USE;

/* Everything so far is in LMDB, durably: begins the next generation. */
void state_journal_reset(struct state_journal *journal);

#endif
