/* SPDX-License-Identifier: Apache-2.0
 * The rules, sandbox by sandbox. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "journal/proof_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* What a sandbox has, sorted. */
struct sorted {
    const struct proof_span **spans;
    size_t span_count;
    const struct proof_claim **claims;
    size_t claim_count;
};

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_spans(const void *a, const void *b)
{
    const struct proof_span *x = *(const struct proof_span *const *)a;
    const struct proof_span *y = *(const struct proof_span *const *)b;
    int result = compare_numbers(x->epoch, y->epoch);

    if (result == 0) {
        result = x->run == y->run
                     ? compare_numbers(x->begin_number, y->begin_number)
                     : compare_numbers(x->begin, y->begin);
    }
    return result;
}

static int compare_claims(const void *a, const void *b)
{
    const struct proof_claim *x = *(const struct proof_claim *const *)a;
    const struct proof_claim *y = *(const struct proof_claim *const *)b;

    return compare_numbers(x->epoch, y->epoch);
}

static void close_sorted(struct sorted *sorted)
{
    mem_free(sorted->spans);
    mem_free(sorted->claims);
}

static int sort(const struct proof_subject *subject, struct sorted *sorted)
{
    size_t spans = 0;
    size_t claims = 0;

    LIST_FOREACH (item, &subject->spans) {
        spans++;
    }
    LIST_FOREACH (item, &subject->claims) {
        claims++;
    }
    *sorted = (struct sorted){
        .spans = mem_alloc_array(spans, sizeof(struct proof_span *)),
        .claims = mem_alloc_array(claims, sizeof(struct proof_claim *))};
    if (sorted->spans == NULL || sorted->claims == NULL) {
        close_sorted(sorted);
        return ERR_NOMEM;
    }
    LIST_FOREACH (item, &subject->spans) {
        sorted->spans[sorted->span_count++] =
            LIST_ENTRY(item, struct proof_span, link);
    }
    LIST_FOREACH (item, &subject->claims) {
        sorted->claims[sorted->claim_count++] =
            LIST_ENTRY(item, struct proof_claim, link);
    }
    qsort(sorted->spans, sorted->span_count, sizeof(struct proof_span *),
          compare_spans);
    qsort(sorted->claims, sorted->claim_count, sizeof(struct proof_claim *),
          compare_claims);
    return 0;
}

/* --- Epochs --------------------------------------------------------------- */

static void violate(struct proof *proof, const struct proof_subject *subject,
                    const char *rule, const char *reason,
                    const struct proof_place places[2])
{
    proof_find(proof, &(struct proof_finding){.kind = PROOF_VIOLATION,
                                              .rule = rule,
                                              .sandbox = subject->id,
                                              .reason = reason,
                                              .first = places[0],
                                              .second = places[1]});
}

/* Each in the order of their epochs; one that was granted without its grant
 * being among the records tells nothing here. */
static void check_claims(struct proof *proof,
                         const struct proof_subject *subject,
                         const struct sorted *sorted)
{
    const struct proof_claim *last = NULL;

    for (size_t i = 0; i < sorted->claim_count; i++) {
        const struct proof_claim *claim = sorted->claims[i];
        const struct proof_place places[2] = {
            last == NULL ? claim->place : last->place, claim->place};

        if (claim->place.offset == 0) {
            continue;
        }
        if (claim->prior != 0 && claim->prior >= claim->epoch) {
            violate(proof, subject, "epoch",
                    "it follows an epoch that is not below it", places);
        } else if (last != NULL && claim->index <= last->index) {
            violate(proof, subject, "epoch",
                    "a later entry granted an epoch that is not greater",
                    places);
        } else if (last != NULL && claim->prior != 0 &&
                   claim->prior < last->epoch) {
            violate(proof, subject, "epoch",
                    "it follows an epoch that another one had followed",
                    places);
        } else if (claim->index != claim->epoch) {
            violate(proof, subject, "epoch",
                    "an epoch is not the index of its entry", places);
        }
        last = claim;
    }
}

/* What the log says was started has to be in the journal of its worker. */
static void check_worker(struct proof *proof,
                         const struct proof_subject *subject,
                         const struct proof_claim *claim)
{
    struct proof_finding finding = {.kind = PROOF_INCOMPLETE,
                                    .rule = "worker",
                                    .sandbox = subject->id,
                                    .first = claim->place,
                                    .second = claim->started_place};
    struct proof_name *worker = claim->worker;

    if (claim->place.offset == 0 || !claim->is_started || claim->has_span) {
        return;
    }
    if (!worker->is_worker && !worker->is_missed) {
        worker->is_missed = true;
        finding.reason = "no journal of its worker was given";
        proof_find(proof, &finding);
    } else if (worker->is_worker && claim->epoch > worker->index_from) {
        finding.reason = "it was started, and its worker's journal has not";
        proof_find(proof, &finding);
    } else {
        proof->counts.unseen++;
    }
}

/* Whether an owner was granted what it had. */
static void check_grant(struct proof *proof,
                        const struct proof_subject *subject,
                        const struct proof_span *span)
{
    struct proof_claim *claim = proof_find_claim(proof, subject, span->epoch);
    const struct proof_place places[2] = {
        claim == NULL || claim->place.offset == 0 ? span->begin_place
                                                  : claim->place,
        span->begin_place};

    if (claim != NULL) {
        claim->has_span = true;
    }
    if (claim != NULL && claim->place.offset != 0) {
        if (claim->worker != span->run->name) {
            violate(proof, subject, "grant",
                    "it was started by another worker than the log says",
                    places);
        } else if (memcmp(claim->life, span->life, sizeof(span->life)) != 0) {
            violate(proof, subject, "grant",
                    "it was started by another run than the log says", places);
        } else if (span->mode == JOURNAL_AVAILABLE &&
                   claim->mode != JOURNAL_AVAILABLE) {
            violate(proof, subject, "grant",
                    "it ran as an available one, and the log has it as strong",
                    places);
        }
    } else if (proof_is_covered(proof, span->epoch)) {
        violate(proof, subject, "grant",
                "it was started under an epoch that was not granted", places);
    } else {
        proof->counts.unread++;
    }
}

/* --- Owners --------------------------------------------------------------- */

/* How sure it is that a span is of a sandbox that may go on beside its next
 * owner. The log is; a worker that says so may be wrong. */
enum leave { NO_LEAVE, MAYBE_LEAVE, HAS_LEAVE };

static enum leave leave_of(const struct proof *proof,
                           const struct proof_span *span)
{
    const struct proof_claim *claim =
        proof_find_claim(proof, span->subject, span->epoch);

    if (claim != NULL && claim->place.offset != 0) {
        return claim->mode == JOURNAL_AVAILABLE ? HAS_LEAVE : NO_LEAVE;
    }
    return span->mode == JOURNAL_AVAILABLE ? MAYBE_LEAVE : NO_LEAVE;
}

/* They were not one after the other, or nobody can tell: whether they may. */
static bool may_be_together(struct proof *proof,
                            const struct proof_span *before, bool is_sure)
{
    enum leave leave = leave_of(proof, before);

    if (leave == HAS_LEAVE && is_sure) {
        proof->counts.together++;
    } else if (leave != NO_LEAVE) {
        proof->counts.maybe_together++;
    }
    return leave != NO_LEAVE;
}

/* One worker runs an id once, whatever its mode. */
static bool is_one_journal(const struct proof_span *before,
                           const struct proof_span *after)
{
    return before->run == after->run;
}

static void check_pair(struct proof *proof, const struct proof_span *before,
                       const struct proof_span *after, bool is_next)
{
    struct proof_judgement judgement;
    struct proof_finding finding = {.rule = "overlap",
                                    .sandbox = after->subject->id};

    proof_judge(proof, before, after, &judgement);
    finding.reason = judgement.reason;
    finding.first = judgement.place;
    finding.second = after->begin_place;
    switch (judgement.verdict) {
    case PROOF_ORDERED:
        proof->counts.bases[judgement.basis] += is_next;
        return;
    case PROOF_UNORDERED:
        finding.kind = PROOF_VIOLATION;
        break;
    case PROOF_OVERDUE:
        finding.kind = PROOF_LATE;
        break;
    case PROOF_UNKNOWN:
        finding.kind = PROOF_UNDECIDED;
        break;
    }
    if (is_one_journal(before, after) ||
        !may_be_together(proof, before, finding.kind != PROOF_UNDECIDED)) {
        proof_find(proof, &finding);
    }
}

/* Those of epoch 0, which nobody is granted: an available sandbox that a worker
 * started without a lease. It may be beside any owner, but on one worker an id
 * runs once. Spans are in the order of their journals here. */
static void check_provisional(struct proof *proof,
                              const struct proof_subject *subject)
{
    const struct proof_span *last = NULL;

    LIST_FOREACH (item, &subject->spans) {
        const struct proof_span *span =
            LIST_ENTRY(item, struct proof_span, link);
        const struct proof_place places[2] = {last == NULL ? span->begin_place
                                                           : last->begin_place,
                                              span->begin_place};

        if (span->epoch == 0 && span->mode != JOURNAL_AVAILABLE) {
            violate(
                proof, subject, "grant",
                "a strong one was started without a grant",
                (struct proof_place[2]){span->begin_place, span->begin_place});
        }
        if (last != NULL && last->run == span->run &&
            (last->epoch == 0 || span->epoch == 0) &&
            (!last->has_end || last->end_number > span->begin_number)) {
            violate(proof, subject, "overlap",
                    "one worker ran it twice, once without a grant", places);
        }
        proof->counts.provisional += span->epoch == 0;
        last = span;
    }
}

/* Each with the one before it; and where that one may go on, with the last one
 * that may not, which the order of neighbours says nothing of then. */
static void check_owners(struct proof *proof,
                         const struct proof_subject *subject,
                         const struct sorted *sorted)
{
    const struct proof_span *strict = NULL; /* the last one without leave */
    size_t first = 0;

    while (first < sorted->span_count && sorted->spans[first]->epoch == 0) {
        first++;
    }
    for (size_t i = first; i < sorted->span_count; i++) {
        const struct proof_span *span = sorted->spans[i];

        check_grant(proof, subject, span);
        if (i > first) {
            check_pair(proof, sorted->spans[i - 1], span, true);
        }
        if (strict != NULL && strict != sorted->spans[i - 1]) {
            check_pair(proof, strict, span, false);
        }
        strict = leave_of(proof, span) == NO_LEAVE ? span : strict;
    }
}

int proof_check_subjects(struct proof *proof)
{
    struct proof_subject *subject;
    size_t at = 0;

    while ((subject = map_next(&proof->subjects, &at)) != NULL) {
        struct sorted sorted;
        int rv = sort(subject, &sorted);

        if (rv != 0) {
            return rv;
        }
        check_claims(proof, subject, &sorted);
        check_provisional(proof, subject);
        check_owners(proof, subject, &sorted);
        for (size_t i = 0; i < sorted.claim_count; i++) {
            check_worker(proof, subject, sorted.claims[i]);
        }
        proof_check_states(proof, subject, sorted.claims, sorted.claim_count);
        close_sorted(&sorted);
    }
    return 0;
}
