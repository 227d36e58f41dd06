/* SPDX-License-Identifier: Apache-2.0
 * What members say: entries of the log, of which all say the same, and what
 * each of them saw and did by its own clock. */
#include "base/err.h"
#include "base/mem.h"
#include "journal/proof_parts.h"

static int contradict(struct proof *proof, const char *rule, const char *reason,
                      struct bytes sandbox, struct proof_place first,
                      struct proof_place second)
{
    return proof_note(proof, &(struct proof_finding){.kind = PROOF_VIOLATION,
                                                     .rule = rule,
                                                     .sandbox = sandbox,
                                                     .reason = reason,
                                                     .first = first,
                                                     .second = second});
}

/* The reading of a clock that came before the owner could begin; of each run
 * the first one. */
static int add_order(struct proof_claim *claim, const struct proof_run *run,
                     uint64_t clock)
{
    struct proof_order *order;

    if (!list_is_empty(&claim->orders) &&
        LIST_ENTRY(claim->orders.prev, struct proof_order, link)->run == run) {
        return 0;
    }
    order = mem_alloc(sizeof(*order));
    if (order == NULL) {
        return ERR_NOMEM;
    }
    order->run = run;
    order->clock = clock;
    list_append(&claim->orders, &order->link);
    return 0;
}

static bool is_same_claim(const struct proof_claim *claim,
                          const struct journal_record *record,
                          const struct proof_name *worker)
{
    return claim->index == record->index && claim->prior == record->prior &&
           claim->lease == record->lease && claim->worker == worker &&
           (claim->mode == record->mode || claim->mode == JOURNAL_NO_MODE ||
            record->mode == JOURNAL_NO_MODE) &&
           memcmp(claim->life, record->run.data, sizeof(claim->life)) == 0;
}

static int add_claimed(struct proof *proof, const struct journal_record *record,
                       struct proof_place place)
{
    struct proof_subject *subject = proof_subject(proof, record->id);
    struct proof_name *worker = proof_name(proof, record->worker);
    struct proof_claim *claim;
    bool is_new;

    if (subject == NULL || worker == NULL) {
        return ERR_NOMEM;
    }
    claim = proof_claim(proof, subject, record->epoch, &is_new);
    if (claim == NULL) {
        return ERR_NOMEM;
    }
    if (claim->place.offset == 0) {
        claim->index = record->index;
        claim->prior = record->prior;
        claim->lease = record->lease;
        claim->worker = worker;
        claim->mode = record->mode;
        memcpy(claim->life, record->run.data, sizeof(claim->life));
        claim->place = place;
        proof->counts.claims++;
    } else if (!is_same_claim(claim, record, worker)) {
        return contradict(proof, "epoch",
                          "one epoch was granted in two different ways",
                          subject->id, claim->place, place);
    }
    /* A member of before the modes does not tell it. */
    claim->mode = claim->mode == JOURNAL_NO_MODE ? record->mode : claim->mode;
    if (subject->placed_run == proof->run && subject->placed_worker == worker &&
        subject->placed_prior == record->prior) {
        return add_order(claim, proof->run, subject->placed_clock);
    }
    return 0;
}

static int add_placed(struct proof *proof, const struct journal_record *record)
{
    struct proof_subject *subject = proof_subject(proof, record->id);
    const struct proof_name *worker = proof_name(proof, record->worker);

    if (subject == NULL || worker == NULL) {
        return ERR_NOMEM;
    }
    subject->placed_run = proof->run;
    subject->placed_worker = worker;
    subject->placed_prior = record->prior;
    subject->placed_clock = record->clock;
    return 0;
}

/* The ownership that the record is about; NULL: no memory. */
static struct proof_claim *claim_of(struct proof *proof,
                                    const struct journal_record *record)
{
    struct proof_subject *subject = proof_subject(proof, record->id);
    bool is_new;

    return subject == NULL
               ? NULL
               : proof_claim(proof, subject, record->epoch, &is_new);
}

static int add_ordered(struct proof *proof, const struct journal_record *record)
{
    struct proof_claim *claim = claim_of(proof, record);

    return claim == NULL ? ERR_NOMEM
                         : add_order(claim, proof->run, record->clock);
}

static int add_started(struct proof *proof, const struct journal_record *record,
                       struct proof_place place)
{
    struct proof_claim *claim = claim_of(proof, record);

    if (claim == NULL) {
        return ERR_NOMEM;
    }
    claim->is_started = true;
    claim->started_place = place;
    return 0;
}

/* The first end of an ownership; what follows is of one that has none. */
static int add_end(struct proof *proof, const struct journal_record *record)
{
    struct proof_claim *claim = claim_of(proof, record);

    if (claim == NULL) {
        return ERR_NOMEM;
    }
    if (claim->end_index == 0 || record->index < claim->end_index) {
        claim->end_index = record->index;
        claim->end_cause = record->code;
    }
    return 0;
}

static int add_hearing(struct proof *proof, struct proof_lease *lease,
                       uint64_t clock)
{
    struct proof_hearing *hearing;

    if (!list_is_empty(&lease->hearings)) {
        hearing = LIST_ENTRY(lease->hearings.prev, struct proof_hearing, link);
        if (hearing->run == proof->run) {
            return 0;
        }
    }
    hearing = mem_alloc(sizeof(*hearing));
    if (hearing == NULL) {
        return ERR_NOMEM;
    }
    hearing->run = proof->run;
    hearing->clock = clock;
    list_append(&lease->hearings, &hearing->link);
    return 0;
}

static int add_lease_end(struct proof *proof,
                         const struct journal_record *record,
                         struct proof_place place)
{
    struct proof_lease *lease =
        proof_lease(proof, record->worker, record->lease);

    if (lease == NULL) {
        return ERR_NOMEM;
    }
    if (lease->end_index == 0) {
        lease->worker_clock = record->worker_clock;
        lease->until = record->until;
        lease->end_index = record->index;
        lease->end_cause = record->code;
        lease->place = place;
    } else if (lease->end_index != record->index ||
               lease->end_cause != record->code ||
               lease->worker_clock != record->worker_clock) {
        return contradict(proof, "log", "one lease ended in two different ways",
                          bytes_of(NULL, 0), lease->place, place);
    }
    /* Members whose settings differ: the longest one counted. */
    if (record->until > lease->until) {
        lease->until = record->until;
    }
    return add_hearing(proof, lease, record->heard);
}

static int add_death(struct proof *proof, const struct journal_record *record,
                     struct proof_place place)
{
    struct proof_life *life = proof_life(proof, record->run.data);
    struct proof_death *death;

    if (life == NULL) {
        return ERR_NOMEM;
    }
    death = mem_alloc(sizeof(*death));
    if (death == NULL) {
        return ERR_NOMEM;
    }
    death->run = proof->run;
    death->clock = record->clock;
    death->index = proof->run->to;
    death->cause = (enum journal_cause)record->code;
    death->place = place;
    list_append(&life->deaths, &death->link);
    return 0;
}

/* Entries are applied in their order. */
static int follow_log(struct proof *proof, const struct journal_record *record,
                      struct proof_place place)
{
    struct proof_run *run = proof->run;

    if (record->index == 0) {
        return ERR_MALFORMED;
    }
    if (record->index < run->to) {
        return contradict(proof, "log", "entries were applied out of order",
                          bytes_of(NULL, 0), run->last, place);
    }
    if (record->type == JOURNAL_RESTORED) {
        run->from = record->index;
    } else if (run->from == UINT64_MAX) {
        run->from = record->index - 1;
    }
    run->to = record->index;
    return 0;
}

int proof_add_member(struct proof *proof, const struct journal_record *record,
                     struct proof_place place)
{
    unsigned type = (unsigned)record->type;
    int rv = 0;

    if (type >= JOURNAL_LEASE_GRANTED && type <= JOURNAL_RESTORED) {
        rv = follow_log(proof, record, place);
    }
    if (rv != 0) {
        return rv;
    }
    switch (type) {
    case JOURNAL_CLAIMED:
        return add_claimed(proof, record, place);
    case JOURNAL_START_FAILED:
    case JOURNAL_UNPLACED:
    case JOURNAL_REMOVED:
        return add_end(proof, record);
    case JOURNAL_LEASE_ENDED:
        return add_lease_end(proof, record, place);
    case JOURNAL_PLACED:
        return add_placed(proof, record);
    case JOURNAL_ORDERED_START:
        return add_ordered(proof, record);
    case JOURNAL_DEATH:
        return add_death(proof, record, place);
    case JOURNAL_STARTED:
        return add_started(proof, record, place);
    case JOURNAL_ACCEPTED:
    case JOURNAL_PROMISED:
    case JOURNAL_FORGOTTEN:
    case JOURNAL_ACKNOWLEDGED:
    case JOURNAL_SEALED:
        return proof_add_state(proof, record, place);
    case JOURNAL_LEASE_GRANTED:
    case JOURNAL_STOPPING:
    case JOURNAL_RESTORED:
    case JOURNAL_ORDERED_STOP:
    case JOURNAL_KILLED:
        return 0;
    default:
        return ERR_MALFORMED;
    }
}
