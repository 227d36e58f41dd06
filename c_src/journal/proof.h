/* SPDX-License-Identifier: Apache-2.0
 * Takes the ownership journals of a cluster and proves or refutes that each
 * strong sandbox had one owner at a time (docs/ownership-journal.md has the
 * rules). Pure, and never surer than what it was given: what cannot be decided
 * is a finding with its reason.
 *
 *   file, record, record, ... file, record, ... ──▶ check ──▶ findings
 *
 * Files of one run come one after the other, in the order of their numbers. */
#ifndef QUORATE_JOURNAL_PROOF_H
#define QUORATE_JOURNAL_PROOF_H

#include "base/attr.h"
#include "base/bytes.h"
#include "journal/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proof;

enum {
    PROOF_SANDBOXES_MAX = 4 * 1000 * 1000,
    PROOF_FILES_MAX = 65536,
    PROOF_REASON_SIZE_MAX = 256,
};

/* Where a record is: the i-th file, bytes from its beginning. */
struct proof_place {
    uint32_t file;
    uint64_t offset; /* 0: no record */
};

enum proof_kind {
    PROOF_VIOLATION,  /* two records that cannot both be right */
    PROOF_LATE,       /* its lease was over, its processes were not */
    PROOF_UNDECIDED,  /* the journals do not tell */
    PROOF_INCOMPLETE, /* records are missing */
    PROOF_KINDS
};

/* Borrowed for the time of the call. */
struct proof_finding {
    enum proof_kind kind;
    const char *rule;         /* "overlap", "epoch", ... */
    struct bytes sandbox;     /* empty: of none */
    const char *reason;       /* a sentence */
    struct proof_place first; /* what contradicts ... */
    struct proof_place second;
};

typedef void proof_finding_cb(void *arg, const struct proof_finding *finding);

/* How the ends of owners were known to come before the next beginning. */
enum proof_basis {
    PROOF_BY_ORDER, /* one journal has both */
    PROOF_BY_CLOCK, /* both were read from one clock */
    PROOF_BY_DEATH, /* the process was seen to end */
    PROOF_BY_LOG,   /* the end was reported before the log gave it away */
    PROOF_BY_LEASE, /* it had ended when its lease did, long before */
    PROOF_BASES
};

/* "clock". */
const char *proof_basis_name(enum proof_basis basis);
const char *proof_kind_name(enum proof_kind kind);

struct proof_counts {
    uint64_t records;
    uint64_t runs;
    uint64_t sandboxes;
    uint64_t claims;    /* ownerships granted */
    uint64_t intervals; /* of sandboxes on workers */
    uint64_t writes;    /* of states, accepted or acknowledged */
    uint64_t unseen;    /* claims from before the journals of their workers */
    uint64_t unread;    /* intervals from before the journals of members */
    uint64_t unclosed;  /* runs that ended without saying so */
    uint64_t together;  /* pairs of owners of which the first, of an
                           available sandbox, went on beside the other */
    uint64_t maybe_together;     /* the same, as far as can be told */
    uint64_t provisional;        /* intervals of epoch 0, which no log grants */
    uint64_t bases[PROOF_BASES]; /* pairs of owners, by what proves them */
    uint64_t findings[PROOF_KINDS];
};

int proof_new(uint64_t seed, struct proof **ret_proof) MUST_USE;
void proof_free(struct proof *proof); /* NULL is allowed */

/* Another file begins, with its first record. ERR_MALFORMED: that is no OPEN;
 * ERR_EXISTS: these records were there before; ERR_BADARG: out of order;
 * ERR_LIMIT, ERR_NOMEM. */
int proof_file(struct proof *proof, const struct journal_record *open,
               uint64_t offset) MUST_USE;

/* Its next record. ERR_MALFORMED: not one for this place; ERR_LIMIT,
 * ERR_NOMEM. */
int proof_add(struct proof *proof, const struct journal_record *record,
              uint64_t offset) MUST_USE;

/* Once, when all has been added: calls for each finding. ERR_NOMEM. */
int proof_check(struct proof *proof, proof_finding_cb *cb, void *arg) MUST_USE;

void proof_counts(const struct proof *proof, struct proof_counts *ret_counts);

#endif
