/* SPDX-License-Identifier: Apache-2.0
 * What a proof remembers of the records. Private to journal/.
 *
 *   proof ──< run ──< span (open ones)
 *     │                 │
 *     ├──< subject ──< span, claim ──< order
 *     ├──< lease ──< hearing
 *     └──< life ──< death
 */
#ifndef QUORATE_JOURNAL_PROOF_PARTS_H
#define QUORATE_JOURNAL_PROOF_PARTS_H

#include "base/list.h"
#include "base/map.h"
#include "journal/proof.h"

/* A text that is there once. */
struct proof_name {
    struct bytes text;   /* behind the structure; the map's key */
    bool is_worker;      /* it has a journal as one */
    bool is_missed;      /* and that it has none was said */
    uint64_t index_from; /* of the log, that its journals know of */
};

/* One run of a process that keeps a journal. */
struct proof_run {
    struct list link; /* in proof->runs */
    uint8_t key[JOURNAL_RUN_SIZE];
    enum journal_role role;
    struct proof_name *name;
    const struct proof_name *boot; /* same boot, same clock */
    uint32_t resolution;           /* of its readings, ms */
    uint64_t next;                 /* number of the record to come */
    uint64_t last_clock;
    uint64_t number; /* of records, in the order of this run */
    bool is_closed;
    bool is_closing; /* its last record so far says so */
    struct proof_place last;
    uint64_t gaps;       /* places where records are missing, so far */
    struct list open;    /* of struct proof_span, by open_link */
    struct list gones;   /* of struct proof_gone, in no order */
    uint64_t lease;      /* a worker's first one; 0: none was read */
    struct list tenures; /* of a worker: struct proof_tenure, in their order */
    /* Which entries of the log a member's records are of. */
    uint64_t from; /* behind this one */
    uint64_t to;
};

/* A later run of this worker saw that its process had ended. Each later one
 * says so again, and files may be read in any order. */
struct proof_gone {
    struct list link; /* in run->gones */
    const struct proof_run *run;
    uint64_t clock;
};

/* From this record of a worker on it held this lease. */
struct proof_tenure {
    struct list link; /* in run->tenures */
    uint64_t number;  /* of the record, in the run */
    uint64_t lease;
};

/* A sandbox on a worker, under one epoch. */
struct proof_span {
    struct list link;      /* in subject->spans */
    struct list open_link; /* in run->open, until its end is read */
    struct proof_subject *subject;
    struct proof_run *run;
    uint8_t life[JOURNAL_RUN_SIZE]; /* incarnation of the agent */
    uint64_t epoch;
    uint64_t lease;
    uint64_t until; /* the lease's end as the worker knew it when the span
                       ended, or else began; 0: it held none */
    uint64_t begin; /* clocks, ms */
    uint64_t end;
    bool has_end;
    bool is_fenced;
    uint8_t mode;          /* enum journal_mode, as the worker says */
    uint64_t begin_number; /* of the records, in the run */
    uint64_t end_number;
    struct proof_place begin_place;
    struct proof_place end_place;
};

/* An ownership, as the log granted it. */
struct proof_claim {
    struct list link; /* in subject->claims */
    uint8_t key[16];  /* epoch, number of the subject; the map's */
    uint64_t index;
    uint64_t epoch;
    uint64_t prior;
    uint64_t lease;
    struct proof_name *worker; /* NULL: its grant was not read */
    uint8_t life[JOURNAL_RUN_SIZE];
    struct proof_place place;
    uint64_t end_index; /* of the entry that ended it; 0: none was read */
    uint8_t end_cause;
    struct list orders;
    uint8_t mode;    /* enum journal_mode, as the log says */
    bool is_started; /* says the log */
    bool has_span;   /* says a worker */
    struct proof_place started_place;
    /* Writes under this epoch: any one, and the greatest acknowledged. */
    struct proof_place write_place;
    struct proof_place acked_place; /* offset 0: none was */
    uint64_t acked_seq;
    /* What the seal of this epoch found, the least if there were several. */
    struct proof_place sealed_place; /* offset 0: there was none */
    uint64_t sealed_epoch;
    uint64_t sealed_seq;
};

/* The greatest epoch that a replica promised or accepted for a sandbox. */
struct proof_floor {
    uint8_t key[8 + JOURNAL_RUN_SIZE]; /* number of the subject, run */
    uint64_t gaps;                     /* of the run, at that time */
    uint64_t epoch;
    struct proof_place place;
};

/* A reading of a clock before the owner could begin. */
struct proof_order {
    struct list link;
    const struct proof_run *run;
    uint64_t clock;
};

enum { PROOF_LEASE_KEY_SIZE = 16 };

struct proof_lease {
    uint8_t key[PROOF_LEASE_KEY_SIZE]; /* number, worker; the map's */
    uint64_t worker_clock;
    uint64_t until;
    uint64_t end_index; /* 0: its end was not read */
    uint8_t end_cause;
    struct proof_place place;
    struct list hearings;
};

/* A member applied the last renewal when its clock read this. */
struct proof_hearing {
    struct list link;
    const struct proof_run *run;
    uint64_t clock;
};

/* One incarnation of an agent. */
struct proof_life {
    uint8_t key[JOURNAL_RUN_SIZE]; /* the map's */
    struct list deaths;
};

struct proof_death {
    struct list link;
    const struct proof_run *run; /* of the member that says so */
    uint64_t clock;
    uint64_t index; /* the last entry that it had applied then */
    enum journal_cause cause;
    struct proof_place place;
};

struct proof_subject {
    struct bytes id; /* behind the structure; the map's key */
    uint64_t number;
    struct list claims;
    struct list spans;
    /* The leader's last choice for it in the run under way. */
    const struct proof_run *placed_run; /* NULL: none */
    const struct proof_name *placed_worker;
    uint64_t placed_prior;
    uint64_t placed_clock;
};

/* A finding of the time when records were added. */
struct proof_note {
    struct list link; /* in proof->notes */
    struct proof_finding finding;
    char reason[PROOF_REASON_SIZE_MAX];
};

struct proof {
    struct map names;
    struct map runs_by_key;
    struct map subjects;
    struct map claims;
    struct map leases;
    struct map lives;
    struct map floors;
    struct list runs;
    struct list notes;
    uint64_t note_count;
    uint32_t file_count;
    struct proof_run *run; /* of the file under way */
    struct proof_counts counts;
    proof_finding_cb *cb; /* while it is checked */
    void *cb_arg;
};

/* proof_tables.c: finds, or makes; NULL: no memory or too many. */
struct proof_name *proof_name(struct proof *proof, struct bytes text);
struct proof_subject *proof_subject(struct proof *proof, struct bytes id);
struct proof_claim *proof_claim(struct proof *proof,
                                struct proof_subject *subject, uint64_t epoch,
                                bool *ret_is_new);
struct proof_lease *proof_lease(struct proof *proof, struct bytes name,
                                uint64_t number);
struct proof_life *proof_life(struct proof *proof, const uint8_t *key);
struct proof_floor *proof_floor(struct proof *proof,
                                const struct proof_subject *subject);
struct proof_run *proof_run(struct proof *proof, const uint8_t *key);
/* Finds only. */
struct proof_claim *proof_find_claim(const struct proof *proof,
                                     const struct proof_subject *subject,
                                     uint64_t epoch);
const struct proof_lease *proof_find_lease(const struct proof *proof,
                                           const struct proof_name *worker,
                                           uint64_t number);
const struct proof_life *proof_find_life(const struct proof *proof,
                                         const uint8_t *key);

/* proof_log.c: what a member says. */
int proof_add_member(struct proof *proof, const struct journal_record *record,
                     struct proof_place place) MUST_USE;

/* proof_states.c: records of states, and what has to hold between them; the
 * claims of one subject, sorted, for the latter. */
int proof_add_state(struct proof *proof, const struct journal_record *record,
                    struct proof_place place) MUST_USE;
void proof_check_states(struct proof *proof,
                        const struct proof_subject *subject,
                        const struct proof_claim *const *claims, size_t count);

/* proof.c: one more finding, now or (proof_note) when it is checked. */
void proof_find(struct proof *proof, const struct proof_finding *finding);
int proof_note(struct proof *proof,
               const struct proof_finding *finding) MUST_USE;

/* Whether a member's records tell of the entry with this index. */
bool proof_is_covered(const struct proof *proof, uint64_t index);

/* proof_check.c */
int proof_check_subjects(struct proof *proof) MUST_USE;

/* proof_order.c: whether `before` ended before `after` began. */
enum proof_verdict {
    PROOF_ORDERED,   /* it did: `basis` */
    PROOF_UNORDERED, /* it did not */
    PROOF_OVERDUE,   /* nor did it, but its lease had ended */
    PROOF_UNKNOWN,   /* `reason` says why */
};

struct proof_judgement {
    enum proof_verdict verdict;
    enum proof_basis basis;
    const char *reason;
    struct proof_place place; /* of what contradicts, or of the end */
};

void proof_judge(const struct proof *proof, const struct proof_span *before,
                 const struct proof_span *after,
                 struct proof_judgement *ret_judgement);

#endif
