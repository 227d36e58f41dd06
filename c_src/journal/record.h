/* SPDX-License-Identifier: Apache-2.0
 * One record of an ownership journal (docs/ownership-journal.md): what a
 * member or a worker saw or did about who owns what.
 *
 *   crc32c:32   of all that follows
 *   size:16     of the fields
 *   type:8      enum journal_type
 *   clock:64    CLOCK_BOOTTIME of the writer, ms
 *   fields      which ones, the type says; in the order of JOURNAL_FIELDS
 *
 * Numbers are big-endian. A file begins with `QUORATEJ`, a version:16 and a
 * record JOURNAL_OPEN, which says whose it is. The n-th record behind that has
 * the number `first` + n - 1 in its run. Files of version 1, of the time when
 * all sandboxes were strong, have no `mode`; they are read and not written. */
#ifndef QUORATE_JOURNAL_RECORD_H
#define QUORATE_JOURNAL_RECORD_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_VERSION = 2,
    JOURNAL_VERSION_MIN = 1, /* the oldest that is read */
    JOURNAL_MAGIC_SIZE = 8,
    JOURNAL_FILE_HEAD_SIZE = JOURNAL_MAGIC_SIZE + 2,
    JOURNAL_RECORD_HEAD_SIZE = 4 + 2 + 1 + 8,
    JOURNAL_TEXT_SIZE_MAX = 255, /* bytes of each id, name and text */
    JOURNAL_RUN_SIZE = 16,
    JOURNAL_FIELDS_SIZE_MAX = 1024, /* bytes of the fields of a record */
};

enum journal_type {
    /* of the journal itself */
    JOURNAL_OPEN = 1,  /* begins each file */
    JOURNAL_CLOSE = 2, /* the run ended in order */
    JOURNAL_GAP = 3,   /* records are missing here */

    /* applied entries of the log; each member has the same */
    JOURNAL_LEASE_GRANTED = 16,
    JOURNAL_LEASE_ENDED = 17,
    JOURNAL_CLAIMED = 18,
    JOURNAL_STARTED = 19,
    JOURNAL_START_FAILED = 20,
    JOURNAL_UNPLACED = 21,
    JOURNAL_STOPPING = 22,
    JOURNAL_REMOVED = 23,
    JOURNAL_RESTORED = 24, /* a snapshot took the place of entries */

    /* what this member saw or did by itself */
    JOURNAL_ORDERED_START = 33, /* the order leaves after this */
    JOURNAL_ORDERED_STOP = 34,
    JOURNAL_DEATH = 35, /* all of a run of a worker has ended */
    JOURNAL_KILLED = 36,
    JOURNAL_PLACED = 37, /* the leader chose a worker, and why */

    /* states */
    JOURNAL_ACCEPTED = 48,     /* by this replica */
    JOURNAL_PROMISED = 49,     /* idem: lower epochs are refused */
    JOURNAL_ACKNOWLEDGED = 50, /* by this coordinator */
    JOURNAL_SEALED = 51,       /* idem, with what it found */
    JOURNAL_FORGOTTEN = 52,    /* by this replica, up to that epoch */

    /* of workers */
    JOURNAL_LEASE = 64,    /* it holds one, or another one */
    JOURNAL_STARTING = 65, /* before the first process of the sandbox */
    JOURNAL_RUNNING = 66,  /* its child runs */
    JOURNAL_ENDED = 67,    /* all its processes have ended */
    JOURNAL_FENCED = 68,   /* those of all sandboxes have */
    JOURNAL_GONE = 69,     /* an earlier run of this worker was seen to be */
    JOURNAL_LIVE = 70,     /* begun in an earlier file, and not ended */
};

enum journal_mode {
    JOURNAL_NO_MODE, /* not told: version 1 */
    JOURNAL_STRONG,
    JOURNAL_AVAILABLE, /* it may go on when the lease of its worker ends */
};

enum journal_role { JOURNAL_MEMBER = 1, JOURNAL_WORKER = 2 };

/* Why a lease ended, or how a death was known. */
enum journal_cause {
    JOURNAL_CAUSE_NONE,
    JOURNAL_CAUSE_EXPIRED,  /* not renewed in time */
    JOURNAL_CAUSE_RELEASED, /* given back */
    JOURNAL_CAUSE_REPLACED, /* another run of the worker attached */
    JOURNAL_CAUSE_EXITED,   /* the process was seen to exit */
    JOURNAL_CAUSE_DETACHED, /* the agent said so */
    JOURNAL_CAUSE_FAILED,   /* a start, or a kill */
    JOURNAL_CAUSE_STOPPED,
    JOURNAL_CAUSE_KILLED,
    JOURNAL_CAUSE_HANDED_OVER,
    JOURNAL_CAUSE_FULL,      /* no room on the disk, or it failed */
    JOURNAL_CAUSE_TOO_FAST,  /* the writer could not keep up */
    JOURNAL_CAUSE_FENCED,    /* all has ended but for available sandboxes */
    JOURNAL_CAUSE_TAKEN_OVER /* it goes on, under a later epoch */
};

/* Fields in their order: kind, name. u64, u32, u8; text: a length:8, bytes;
 * run: 16 bytes. */
#define JOURNAL_FIELDS(X)                                          \
    X(u8, code)     /* enum journal_role, journal_cause */         \
    X(u64, index)   /* of the entry of the log */                  \
    X(text, id)     /* of the sandbox */                           \
    X(u64, epoch)   /* of the ownership */                         \
    X(u64, prior)   /* the epoch that it follows; 0: none */       \
    X(u64, seq)     /* of the version `prior`, or `epoch` */       \
    X(text, worker) /* its name; OPEN: of the writer */            \
    X(run, run)     /* incarnation; OPEN: of the writer */         \
    X(u64, lease)                                                  \
    X(u64, worker_clock) /* a reading of the worker's clock, ms */ \
    X(u64, until)        /* on that clock: the lease ends */       \
    X(u64, heard)        /* own clock when that was applied, ms */ \
    X(u64, count)        /* how many */                            \
    X(u64, since)        /* own clock of the first of them, ms */  \
    X(u64, first)        /* OPEN: number of the next record */     \
    X(u32, pid)          /* of the process in its system */        \
    X(u64, start_time)   /* idem; field 22 of /proc/PID/stat */    \
    X(u32, resolution)   /* OPEN: of the clock, ms */              \
    X(text, boot)        /* which boot of which machine */         \
    X(text, space)       /* pid namespace that `pid` counts in */  \
    X(text, text)        /* for people */                          \
    X(u8, mode)          /* enum journal_mode */

typedef uint64_t journal_u64;
typedef uint32_t journal_u32;
typedef uint8_t journal_u8;
typedef struct bytes journal_text;
typedef struct bytes journal_run; /* 16 bytes */

struct journal_record {
    enum journal_type type;
    uint64_t clock; /* ms */
#define X(kind, name) journal_##kind name;
    JOURNAL_FIELDS(X)
#undef X
};

/* Appends the record; texts that are too long are cut, a `run` that is not of
 * 16 bytes becomes zeros. Errors are the buffer's. */
void journal_record_encode(struct buf *buf,
                           const struct journal_record *record);

/* Reads the record at the start of `bytes`, which are of a file of this
 * version; texts are borrowed from there, and
 * fields that its type does not have are 0. 0; ERR_TRUNCATED (it would go past
 * the end), ERR_CORRUPT (the checksum), ERR_UNSUPPORTED (a type that this
 * release does not know), ERR_MALFORMED. */
int journal_record_read(uint16_t version, struct bytes bytes,
                        struct journal_record *ret_record,
                        size_t *ret_size) MUST_USE;

/* Appends what a file begins with, before its OPEN. */
void journal_file_head(struct buf *buf);

/* Whether a file begins so, and in which version: 0; ERR_TRUNCATED,
 * ERR_MALFORMED (foreign), ERR_UNSUPPORTED (a version that is not read). */
int journal_file_check(struct bytes bytes, uint16_t *ret_version) MUST_USE;

/* Whether the type has the field at this place of JOURNAL_FIELDS. */
bool journal_has_field(enum journal_type type, unsigned field);

/* "claimed", "expired". Never NULL. */
const char *journal_type_name(enum journal_type type);
const char *journal_cause_name(uint8_t cause);
const char *journal_mode_name(uint8_t mode);

#endif
