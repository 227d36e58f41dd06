/* SPDX-License-Identifier: Apache-2.0
 * Takes in files and records; those of workers become spans here, those of
 * members go to proof_log.c. */
#include "journal/proof.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "journal/proof_parts.h"

#include <stdio.h>

enum {
    NOTES_MAX = 10000, /* findings of the intake; more are only counted */
    RECENT_MAX = 16,   /* spans of a sandbox that an end is looked for in */
};

static const char *const bases[PROOF_BASES] = {
    [PROOF_BY_ORDER] = "order", [PROOF_BY_CLOCK] = "clock",
    [PROOF_BY_DEATH] = "death", [PROOF_BY_LOG] = "log",
    [PROOF_BY_LEASE] = "lease",
};

static const char *const kinds[PROOF_KINDS] = {
    [PROOF_VIOLATION] = "violation",
    [PROOF_LATE] = "late",
    [PROOF_UNDECIDED] = "undecided",
    [PROOF_INCOMPLETE] = "incomplete",
};

const char *proof_basis_name(enum proof_basis basis)
{
    ensure((size_t)basis < PROOF_BASES);
    return bases[basis];
}

const char *proof_kind_name(enum proof_kind kind)
{
    ensure((size_t)kind < PROOF_KINDS);
    return kinds[kind];
}

/* --- Life ----------------------------------------------------------------- */

int proof_new(uint64_t seed, struct proof **ret_proof)
{
    struct proof *proof = mem_alloc(sizeof(*proof));

    if (proof == NULL) {
        return ERR_NOMEM;
    }
    map_init(&proof->names, SIZE_MAX / sizeof(struct map_slot), seed);
    map_init(&proof->runs_by_key, PROOF_FILES_MAX, seed + 1);
    map_init(&proof->subjects, PROOF_SANDBOXES_MAX, seed + 2);
    map_init(&proof->claims, SIZE_MAX / sizeof(struct map_slot), seed + 3);
    map_init(&proof->leases, SIZE_MAX / sizeof(struct map_slot), seed + 4);
    map_init(&proof->lives, SIZE_MAX / sizeof(struct map_slot), seed + 5);
    map_init(&proof->floors, SIZE_MAX / sizeof(struct map_slot), seed + 6);
    list_init(&proof->runs);
    list_init(&proof->notes);
    *ret_proof = proof;
    return 0;
}

/* Frees what is in a ring by a `link` at its beginning. */
static void free_ring(struct list *ring)
{
    struct list *first;

    while ((first = list_take_first(ring)) != NULL) {
        mem_free(first);
    }
}

_Static_assert(offsetof(struct proof_span, link) == 0 &&
                   offsetof(struct proof_tenure, link) == 0 &&
                   offsetof(struct proof_gone, link) == 0 &&
                   offsetof(struct proof_order, link) == 0 &&
                   offsetof(struct proof_hearing, link) == 0 &&
                   offsetof(struct proof_death, link) == 0 &&
                   offsetof(struct proof_note, link) == 0,
               "free_ring() frees what the link is at the beginning of");

void proof_free(struct proof *proof)
{
    struct proof_claim *claim;
    struct proof_lease *lease;
    struct proof_life *life;
    struct proof_subject *subject;
    struct proof_run *run;
    void *value;
    size_t at;

    if (proof == NULL) {
        return;
    }
    for (at = 0; (subject = map_next(&proof->subjects, &at)) != NULL;) {
        free_ring(&subject->spans);
        mem_free(subject);
    }
    for (at = 0; (claim = map_next(&proof->claims, &at)) != NULL;) {
        free_ring(&claim->orders);
        mem_free(claim);
    }
    for (at = 0; (lease = map_next(&proof->leases, &at)) != NULL;) {
        free_ring(&lease->hearings);
        mem_free(lease);
    }
    for (at = 0; (life = map_next(&proof->lives, &at)) != NULL;) {
        free_ring(&life->deaths);
        mem_free(life);
    }
    for (at = 0; (run = map_next(&proof->runs_by_key, &at)) != NULL;) {
        free_ring(&run->tenures);
        free_ring(&run->gones);
        mem_free(run);
    }
    for (at = 0; (value = map_next(&proof->names, &at)) != NULL;) {
        mem_free(value);
    }
    for (at = 0; (value = map_next(&proof->floors, &at)) != NULL;) {
        mem_free(value);
    }
    map_close(&proof->floors);
    free_ring(&proof->notes);
    map_close(&proof->subjects);
    map_close(&proof->claims);
    map_close(&proof->leases);
    map_close(&proof->lives);
    map_close(&proof->runs_by_key);
    map_close(&proof->names);
    mem_free(proof);
}

/* --- Findings ------------------------------------------------------------- */

void proof_find(struct proof *proof, const struct proof_finding *finding)
{
    proof->counts.findings[finding->kind]++;
    proof->cb(proof->cb_arg, finding);
}

int proof_note(struct proof *proof, const struct proof_finding *finding)
{
    struct proof_note *note;

    if (proof->note_count >= NOTES_MAX) {
        proof->counts.findings[finding->kind]++;
        return 0;
    }
    note = mem_alloc(sizeof(*note));
    if (note == NULL) {
        return ERR_NOMEM;
    }
    note->finding = *finding;
    (void)snprintf(note->reason, sizeof(note->reason), "%s", finding->reason);
    note->finding.reason = note->reason;
    list_append(&proof->notes, &note->link);
    proof->note_count++;
    return 0;
}

/* Records are missing in front of this place. */
static int miss(struct proof *proof, const char *reason,
                struct proof_place place)
{
    struct proof_run *run = proof->run;

    run->from = UINT64_MAX; /* until the next entry is read */
    run->gaps++;
    return proof_note(proof, &(struct proof_finding){.kind = PROOF_INCOMPLETE,
                                                     .rule = "gap",
                                                     .reason = reason,
                                                     .first = run->last,
                                                     .second = place});
}

/* --- Files ---------------------------------------------------------------- */

static int begin_run(struct proof *proof, struct proof_run *run,
                     const struct journal_record *open)
{
    run->name = proof_name(proof, open->worker);
    run->boot = proof_name(proof, open->boot);
    if (run->name == NULL || run->boot == NULL) {
        return ERR_NOMEM;
    }
    run->role = (enum journal_role)open->code;
    run->name->is_worker |= run->role == JOURNAL_WORKER;
    run->resolution = open->resolution;
    run->next = open->first;
    run->from = UINT64_MAX; /* until its first entry is read */
    proof->counts.runs++;
    return 0;
}

int proof_file(struct proof *proof, const struct journal_record *open,
               uint64_t offset)
{
    struct proof_place place = {proof->file_count, offset};
    struct proof_run *run;
    int rv = 0;

    if (open->type != JOURNAL_OPEN || open->first == 0 ||
        (open->code != JOURNAL_MEMBER && open->code != JOURNAL_WORKER)) {
        return ERR_MALFORMED;
    }
    if (proof->file_count >= PROOF_FILES_MAX) {
        return ERR_LIMIT;
    }
    run = proof_run(proof, open->run.data);
    if (run == NULL) {
        return ERR_NOMEM;
    }
    proof->run = run;
    if (run->role == 0) {
        rv = begin_run(proof, run, open);
    } else if (run->role != open->code ||
               !bytes_equal(run->name->text, open->worker) ||
               !bytes_equal(run->boot->text, open->boot)) {
        return ERR_BADARG;
    } else if (open->first < run->next) {
        return ERR_EXISTS;
    } else if (open->first > run->next) {
        char text[PROOF_REASON_SIZE_MAX];

        (void)snprintf(
            text, sizeof(text), "records %llu to %llu of this run are missing",
            (unsigned long long)run->next, (unsigned long long)open->first - 1);
        rv = miss(proof, text, place);
        run->next = open->first;
    }
    if (rv == 0) {
        proof->file_count++;
        run->last = place;
        run->last_clock = open->clock;
    }
    return rv;
}

/* --- Workers -------------------------------------------------------------- */

static struct proof_span *find_span(const struct proof *proof,
                                    const struct proof_subject *subject,
                                    uint64_t epoch)
{
    struct list *item = subject->spans.prev;

    for (int i = 0; i < RECENT_MAX && item != &subject->spans; i++) {
        struct proof_span *span = LIST_ENTRY(item, struct proof_span, link);

        if (span->run == proof->run && span->epoch == epoch) {
            return span;
        }
        item = item->prev;
    }
    return NULL;
}

/* What is of a time before its first records is not missing there. */
static void know_from(const struct proof_run *run, uint64_t index)
{
    if (index != 0 && index < run->name->index_from) {
        run->name->index_from = index;
    }
}

static int begin_span(struct proof *proof, const struct journal_record *record,
                      struct proof_place place)
{
    struct proof_subject *subject = proof_subject(proof, record->id);
    struct proof_span *span;

    if (subject == NULL) {
        return ERR_NOMEM;
    }
    span = find_span(proof, subject, record->epoch);
    if (record->type == JOURNAL_LIVE && span != NULL && !span->has_end) {
        return 0;
    }
    span = mem_alloc(sizeof(*span));
    if (span == NULL) {
        return ERR_NOMEM;
    }
    *span = (struct proof_span){
        .subject = subject,
        .run = proof->run,
        .epoch = record->epoch,
        .lease = record->lease,
        .until = record->until,
        .begin = record->type == JOURNAL_LIVE ? record->since : record->clock,
        .mode = record->mode,
        .begin_number = proof->run->number,
        .begin_place = place};
    memcpy(span->life, record->run.data, sizeof(span->life));
    if (record->type == JOURNAL_STARTING) {
        know_from(proof->run, record->epoch);
        know_from(proof->run, record->lease);
    }
    list_append(&subject->spans, &span->link);
    list_append(&proof->run->open, &span->open_link);
    proof->counts.intervals++;
    return 0;
}

static void end_span(struct proof *proof, struct proof_span *span,
                     const struct journal_record *record,
                     struct proof_place place)
{
    span->has_end = true;
    span->end = record->clock;
    span->end_number = proof->run->number;
    span->end_place = place;
    span->until = record->until;
    list_remove(&span->open_link);
}

/* The fence knows of each before it is recorded as begun, so that all of them
 * have ended, or all but the available ones: these say so themselves. Two
 * processes write these records: one that was overtaken on its way is told by
 * the clock. */
static void fence_spans(struct proof *proof,
                        const struct journal_record *record,
                        struct proof_place place)
{
    struct list *open = &proof->run->open;
    struct list *next;

    for (struct list *item = open->next; item != open; item = next) {
        struct proof_span *span =
            LIST_ENTRY(item, struct proof_span, open_link);

        next = item->next;
        if (span->begin <= record->clock &&
            (record->code != JOURNAL_CAUSE_FENCED ||
             span->mode != JOURNAL_AVAILABLE)) {
            end_span(proof, span, record, place);
            span->is_fenced = true;
        }
    }
}

static int add_tenure(struct proof_run *run,
                      const struct journal_record *record)
{
    struct proof_tenure *tenure = mem_alloc(sizeof(*tenure));

    if (tenure == NULL) {
        return ERR_NOMEM;
    }
    tenure->number = run->number;
    tenure->lease = record->lease;
    list_append(&run->tenures, &tenure->link);
    run->lease = run->lease == 0 ? record->lease : run->lease;
    know_from(run, record->lease);
    return 0;
}

static int add_gone(struct proof *proof, const struct journal_record *record)
{
    struct proof_run *run = proof_run(proof, record->run.data);
    struct proof_gone *gone = run == NULL ? NULL : mem_alloc(sizeof(*gone));

    if (gone == NULL) {
        return ERR_NOMEM;
    }
    gone->run = proof->run;
    gone->clock = record->clock;
    list_append(&run->gones, &gone->link);
    return 0;
}

static int add_worker(struct proof *proof, const struct journal_record *record,
                      struct proof_place place)
{
    struct proof_run *run = proof->run;
    struct proof_subject *subject;
    struct proof_span *span;

    switch ((unsigned)record->type) {
    case JOURNAL_STARTING:
    case JOURNAL_LIVE:
        return begin_span(proof, record, place);
    case JOURNAL_ENDED:
        subject = map_get(&proof->subjects, record->id);
        span =
            subject == NULL ? NULL : find_span(proof, subject, record->epoch);
        /* What was fenced had ended by then; this only says so again. */
        if (span != NULL && !span->is_fenced) {
            end_span(proof, span, record, place);
        }
        return 0;
    case JOURNAL_FENCED:
        fence_spans(proof, record, place);
        return 0;
    case JOURNAL_GONE:
        return add_gone(proof, record);
    case JOURNAL_LEASE:
        return add_tenure(run, record);
    case JOURNAL_RUNNING:
        return 0;
    default:
        return ERR_MALFORMED;
    }
}

/* --- Records -------------------------------------------------------------- */

static int add_gap(struct proof *proof, const struct journal_record *record,
                   struct proof_place place)
{
    char text[PROOF_REASON_SIZE_MAX];

    (void)snprintf(
        text, sizeof(text),
        "%llu records of clock %llu to %llu were not written: %s",
        (unsigned long long)record->count, (unsigned long long)record->since,
        (unsigned long long)record->clock, journal_cause_name(record->code));
    return miss(proof, text, place);
}

int proof_add(struct proof *proof, const struct journal_record *record,
              uint64_t offset)
{
    struct proof_run *run = proof->run;
    struct proof_place place;
    int rv = 0;

    ensure(run != NULL);
    ensure(proof->file_count > 0);
    place = (struct proof_place){proof->file_count - 1, offset};
    if (run->is_closing) {
        return ERR_MALFORMED;
    }
    run->number++;
    run->next++;
    proof->counts.records++;
    if (record->type == JOURNAL_CLOSE) {
        run->is_closing = true;
    } else if (record->type == JOURNAL_GAP) {
        rv = add_gap(proof, record, place);
    } else if (record->type == JOURNAL_OPEN) {
        rv = ERR_MALFORMED;
    } else if (run->role == JOURNAL_WORKER) {
        rv = add_worker(proof, record, place);
    } else {
        rv = proof_add_member(proof, record, place);
    }
    run->last = place;
    run->last_clock = record->clock;
    return rv;
}

/* --- The check ------------------------------------------------------------ */

bool proof_is_covered(const struct proof *proof, uint64_t index)
{
    LIST_FOREACH (item, &proof->runs) {
        const struct proof_run *run = LIST_ENTRY(item, struct proof_run, link);

        if (run->role == JOURNAL_MEMBER && run->from < index &&
            index <= run->to) {
            return true;
        }
    }
    return false;
}

int proof_check(struct proof *proof, proof_finding_cb *cb, void *arg)
{
    bool has_member = false;

    proof->cb = cb;
    proof->cb_arg = arg;
    proof->counts.sandboxes = proof->subjects.count;
    LIST_FOREACH (item, &proof->runs) {
        const struct proof_run *run = LIST_ENTRY(item, struct proof_run, link);

        proof->counts.unclosed += run->role != 0 && !run->is_closing;
        has_member |= run->role == JOURNAL_MEMBER;
    }
    if (!has_member) {
        proof_find(proof, &(struct proof_finding){
                              .kind = PROOF_INCOMPLETE,
                              .rule = "member",
                              .reason = "no member's journal was given"});
    }
    LIST_FOREACH (item, &proof->notes) {
        proof_find(proof, &LIST_ENTRY(item, struct proof_note, link)->finding);
    }
    return proof_check_subjects(proof);
}

void proof_counts(const struct proof *proof, struct proof_counts *ret_counts)
{
    *ret_counts = proof->counts;
}
