/* SPDX-License-Identifier: Apache-2.0
 * Whether one owner had ended before the next one began. What can be read from
 * one clock is; else the log orders, since an end is reported before the
 * ownership is given away; else the lease does, by the rule that no clock runs
 * 1 % faster or slower than another. */
#include "journal/proof_parts.h"

enum {
    /* Of a clock's reading, in hundredths. */
    FAST = 101,
    SLOW = 99,
};

static void put(struct proof_judgement *judgement, enum proof_verdict verdict,
                const char *reason, struct proof_place place)
{
    *judgement = (struct proof_judgement){
        .verdict = verdict, .reason = reason, .place = place};
}

static void order(struct proof_judgement *judgement, enum proof_basis basis)
{
    *judgement =
        (struct proof_judgement){.verdict = PROOF_ORDERED, .basis = basis};
}

/* The first death of the process that a span was in, as far as its clock can
 * tell; NULL: nobody on its host saw it. */
static const struct proof_death *find_death(const struct proof *proof,
                                            const struct proof_span *span)
{
    const struct proof_life *life = proof_find_life(proof, span->life);
    const struct proof_death *first = NULL;

    if (life == NULL) {
        return NULL;
    }
    LIST_FOREACH (item, &life->deaths) {
        const struct proof_death *death =
            LIST_ENTRY(item, struct proof_death, link);

        if (death->cause == JOURNAL_CAUSE_EXITED &&
            death->run->boot == span->run->boot &&
            (first == NULL || death->clock < first->clock)) {
            first = death;
        }
    }
    return first;
}

/* Whether this says that the span ended: another run may have another process,
 * and available sandboxes may go on. */
static bool is_death_of(const struct proof_death *death,
                        const struct proof_span *span)
{
    return death->cause != JOURNAL_CAUSE_REPLACED &&
           (death->cause != JOURNAL_CAUSE_FENCED ||
            span->mode != JOURNAL_AVAILABLE);
}

/* Whether somebody saw that all of this incarnation had ended, or it said so
 * itself. */
static bool has_died(const struct proof *proof, const struct proof_span *span)
{
    const struct proof_life *life = proof_find_life(proof, span->life);

    if (!list_is_empty(&span->run->gones)) {
        return true;
    }
    if (life == NULL) {
        return false;
    }
    LIST_FOREACH (item, &life->deaths) {
        const struct proof_death *death =
            LIST_ENTRY(item, struct proof_death, link);

        if (is_death_of(death, span)) {
            return true;
        }
    }
    return false;
}

/* Whether its member knew of the end when it gave the lease back. */
static bool has_died_before(const struct proof *proof,
                            const struct proof_span *span, uint64_t index)
{
    const struct proof_life *life = proof_find_life(proof, span->life);
    bool is_known = false;

    if (life == NULL) {
        return false;
    }
    LIST_FOREACH (item, &life->deaths) {
        const struct proof_death *death =
            LIST_ENTRY(item, struct proof_death, link);

        if (death->cause == JOURNAL_CAUSE_REPLACED) {
            return false; /* that may have been the reason */
        }
        is_known |= is_death_of(death, span) && death->index < index;
    }
    return is_known;
}

/* The end of the lease on the worker's clock; 0: not known. */
static uint64_t lease_end(const struct proof *proof,
                          const struct proof_span *span)
{
    const struct proof_lease *lease =
        proof_find_lease(proof, span->run->name, span->lease);
    uint64_t until = span->has_end ? span->until : 0;

    return lease != NULL && lease->until > until ? lease->until : until;
}

/* Whether one that has an end ended only after its lease, and that was over
 * when the other one began; both on one clock. */
static bool is_overdue(const struct proof *proof,
                       const struct proof_span *before,
                       const struct proof_span *after)
{
    uint64_t until = lease_end(proof, before);

    return until != 0 && until <= before->end && until <= after->begin;
}

/* Whether a later run, which saw that this one was gone, had a lease that was
 * granted in an entry below `epoch`. */
static bool is_gone_before(const struct proof_span *span, uint64_t epoch)
{
    LIST_FOREACH (item, &span->run->gones) {
        const struct proof_run *next =
            LIST_ENTRY(item, struct proof_gone, link)->run;

        if (next->lease != 0 && next->lease < epoch) {
            return true;
        }
    }
    return false;
}

/* Whether it was seen to be gone by then, on its own clock. */
static bool is_gone_by(const struct proof_span *span, uint64_t clock)
{
    LIST_FOREACH (item, &span->run->gones) {
        const struct proof_gone *gone =
            LIST_ENTRY(item, struct proof_gone, link);

        if (gone->run->boot == span->run->boot && gone->clock <= clock) {
            return true;
        }
    }
    return false;
}

/* Whether its agent held another lease after it, granted in an entry below
 * `epoch`: it asks for one only when all that was not available had ended. */
static bool is_followed_by_lease(const struct proof_span *span, uint64_t epoch)
{
    if (!span->has_end || span->mode == JOURNAL_AVAILABLE) {
        return false;
    }
    LIST_FOREACH (item, &span->run->tenures) {
        const struct proof_tenure *tenure =
            LIST_ENTRY(item, struct proof_tenure, link);

        if (tenure->number > span->end_number && tenure->lease > span->epoch &&
            tenure->lease > span->lease) {
            return tenure->lease < epoch;
        }
    }
    return false;
}

/* By the log: the agent reported the end; or its member, which knew of it, gave
 * the lease back; or the next run of that worker, which saw that this one was
 * gone, or this one itself had another lease before the new owner was
 * chosen. */
static bool is_ordered_by_log(const struct proof *proof,
                              const struct proof_span *before,
                              const struct proof_span *after)
{
    const struct proof_claim *claim =
        proof_find_claim(proof, before->subject, before->epoch);
    const struct proof_lease *lease =
        proof_find_lease(proof, before->run->name, before->lease);

    if (claim != NULL && claim->end_index != 0 &&
        claim->end_index < after->epoch &&
        (claim->end_cause == JOURNAL_CAUSE_STOPPED ||
         claim->end_cause == JOURNAL_CAUSE_FAILED)) {
        return true;
    }
    if (is_gone_before(before, after->epoch) ||
        is_followed_by_lease(before, after->epoch)) {
        return true;
    }
    return lease != NULL && lease->end_index != 0 &&
           lease->end_index < after->epoch &&
           lease->end_cause == JOURNAL_CAUSE_RELEASED &&
           has_died_before(proof, before, lease->end_index);
}

/* By the lease: between the last renewal and the new owner a member's clock
 * went on for so long that the old one had ended meanwhile. */
static bool is_ordered_by_lease(const struct proof *proof,
                                const struct proof_span *before,
                                const struct proof_span *after)
{
    const struct proof_lease *lease =
        proof_find_lease(proof, before->run->name, before->lease);
    const struct proof_claim *claim =
        proof_find_claim(proof, after->subject, after->epoch);
    uint64_t end;

    if (lease == NULL || lease->end_index == 0 || claim == NULL ||
        lease->end_index >= after->epoch ||
        (!before->has_end && !has_died(proof, before))) {
        return false;
    }
    end =
        before->has_end ? before->end + before->run->resolution : lease->until;
    end = end > lease->worker_clock ? end - lease->worker_clock : 0;
    LIST_FOREACH (item, &lease->hearings) {
        const struct proof_hearing *heard =
            LIST_ENTRY(item, struct proof_hearing, link);

        LIST_FOREACH (other, &claim->orders) {
            const struct proof_order *ordered =
                LIST_ENTRY(other, struct proof_order, link);

            if (heard->run->boot == ordered->run->boot &&
                ordered->clock > heard->clock && end < UINT64_MAX / FAST &&
                end * FAST <= (ordered->clock - heard->clock) * SLOW) {
                return true;
            }
        }
    }
    return false;
}

/* Both are in one journal. */
static void judge_run(const struct proof_span *before,
                      const struct proof_span *after,
                      struct proof_judgement *judgement)
{
    if (!before->has_end) {
        put(judgement, PROOF_UNKNOWN, "no end of the first was recorded",
            before->begin_place);
    } else if (before->end_number < after->begin_number) {
        order(judgement, PROOF_BY_ORDER);
    } else {
        put(judgement, PROOF_UNORDERED,
            "one worker ran it twice at the same time", before->end_place);
    }
}

/* Both were read from one clock, and the first has an end. False: too close to
 * one another for the steps of that clock. */
static bool judge_clock(const struct proof *proof,
                        const struct proof_span *before,
                        const struct proof_span *after,
                        struct proof_judgement *judgement)
{
    uint64_t begin = after->begin + after->run->resolution;
    uint64_t until = lease_end(proof, before);

    if (before->end + before->run->resolution <= after->begin) {
        order(judgement, PROOF_BY_CLOCK);
        return true;
    }
    if (before->end < begin) {
        return false;
    }
    if (until != 0 && until <= begin) {
        put(judgement, PROOF_OVERDUE,
            "its lease was over, and its processes ended only after another "
            "one had begun",
            before->end_place);
    } else {
        put(judgement, PROOF_UNORDERED, "two owners ran at the same time",
            before->end_place);
    }
    return true;
}

/* The first has no end of its own: when its process ended. */
static bool judge_death(const struct proof *proof,
                        const struct proof_span *before,
                        const struct proof_span *after,
                        struct proof_judgement *judgement)
{
    const struct proof_death *death = find_death(proof, before);
    uint64_t until = lease_end(proof, before);
    bool is_one_clock = before->run->boot == after->run->boot;

    if (!is_one_clock) {
        return false;
    }
    if (death != NULL && death->clock <= after->begin) {
        order(judgement, PROOF_BY_DEATH);
        return true;
    }
    if (is_gone_by(before, after->begin)) {
        order(judgement, PROOF_BY_DEATH);
        return true;
    }
    /* Who goes on after the end of its lease says so before it does anything
     * else; this one said nothing, and is dead. */
    if (has_died(proof, before) && until != 0 && until <= after->begin) {
        order(judgement, PROOF_BY_LEASE);
        return true;
    }
    return false;
}

void proof_judge(const struct proof *proof, const struct proof_span *before,
                 const struct proof_span *after,
                 struct proof_judgement *ret_judgement)
{
    bool is_one_clock = before->run->boot == after->run->boot &&
                        before->run->boot->text.size > 0;

    if (before->run == after->run) {
        judge_run(before, after, ret_judgement);
        return;
    }
    if (is_one_clock && before->has_end &&
        judge_clock(proof, before, after, ret_judgement)) {
        return;
    }
    if (!before->has_end && judge_death(proof, before, after, ret_judgement)) {
        return;
    }
    if (is_ordered_by_log(proof, before, after)) {
        order(ret_judgement, PROOF_BY_LOG);
    } else if (is_ordered_by_lease(proof, before, after)) {
        order(ret_judgement, PROOF_BY_LEASE);
    } else if (!before->has_end && !has_died(proof, before)) {
        put(ret_judgement, PROOF_UNKNOWN,
            "nothing tells when the first of them ended", before->begin_place);
    } else if (is_one_clock && !before->has_end) {
        put(ret_judgement, PROOF_UNKNOWN,
            "the first of them has ended, and nothing tells when",
            before->begin_place);
    } else if (is_one_clock && is_overdue(proof, before, after)) {
        put(ret_judgement, PROOF_OVERDUE,
            "its lease was over, and its processes ended when another one "
            "began, as far as that clock tells",
            before->end_place);
    } else if (is_one_clock) {
        put(ret_judgement, PROOF_UNKNOWN,
            "end and beginning are too close for that clock, and nothing else "
            "orders them",
            before->end_place);
    } else {
        put(ret_judgement, PROOF_UNKNOWN,
            "they are on different clocks, and nothing relates them",
            before->has_end ? before->end_place : before->begin_place);
    }
}
