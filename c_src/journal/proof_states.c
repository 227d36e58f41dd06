/* SPDX-License-Identifier: Apache-2.0
 * State writes: each was accepted under an epoch that was granted, by replicas
 * that had promised no greater one; and what was acknowledged to one owner the
 * next one found. */
#include "base/err.h"
#include "journal/proof_parts.h"

static const char below[] =
    "a replica accepted an epoch below one that it had promised";
static const char not_granted[] =
    "a state was written under an epoch that was not granted";
static const char lost[] =
    "the next owner found less than what was acknowledged";

/* Within a run: what a replica forgot between two runs may not be told. */
static int raise_floor(struct proof *proof, const struct proof_subject *subject,
                       const struct journal_record *record,
                       struct proof_place place)
{
    struct proof_floor *floor = proof_floor(proof, subject);
    bool is_known;

    if (floor == NULL) {
        return ERR_NOMEM;
    }
    is_known = floor->epoch != 0 && floor->gaps == proof->run->gaps;
    if (record->type == JOURNAL_FORGOTTEN) {
        if (floor->epoch <= record->epoch) {
            floor->epoch = 0;
        }
        return 0;
    }
    if (is_known && record->epoch < floor->epoch) {
        return proof_note(proof,
                          &(struct proof_finding){.kind = PROOF_VIOLATION,
                                                  .rule = "state",
                                                  .sandbox = subject->id,
                                                  .reason = below,
                                                  .first = floor->place,
                                                  .second = place});
    }
    if (!is_known || record->epoch > floor->epoch) {
        floor->epoch = record->epoch;
        floor->gaps = proof->run->gaps;
        floor->place = place;
    }
    return 0;
}

static void acknowledge(struct proof_claim *claim,
                        const struct journal_record *record,
                        struct proof_place place)
{
    if (claim->acked_place.offset == 0 || record->seq > claim->acked_seq) {
        claim->acked_place = place;
        claim->acked_seq = record->seq;
    }
}

static bool is_less(uint64_t epoch, uint64_t seq, uint64_t than_epoch,
                    uint64_t than_seq)
{
    return epoch < than_epoch || (epoch == than_epoch && seq < than_seq);
}

/* A seal that is done again finds itself, and what was written since. */
static void seal(struct proof_claim *claim, const struct journal_record *record,
                 struct proof_place place)
{
    if (claim->sealed_place.offset == 0 ||
        is_less(record->prior, record->seq, claim->sealed_epoch,
                claim->sealed_seq)) {
        claim->sealed_place = place;
        claim->sealed_epoch = record->prior;
        claim->sealed_seq = record->seq;
    }
}

int proof_add_state(struct proof *proof, const struct journal_record *record,
                    struct proof_place place)
{
    struct proof_subject *subject = proof_subject(proof, record->id);
    struct proof_claim *claim;
    bool is_new;
    int rv = 0;

    if (subject == NULL) {
        return ERR_NOMEM;
    }
    if (record->type == JOURNAL_ACCEPTED || record->type == JOURNAL_PROMISED ||
        record->type == JOURNAL_FORGOTTEN) {
        rv = raise_floor(proof, subject, record, place);
    }
    if (rv != 0 || record->type == JOURNAL_FORGOTTEN) {
        return rv;
    }
    claim = proof_claim(proof, subject, record->epoch, &is_new);
    if (claim == NULL) {
        return ERR_NOMEM;
    }
    if (record->type == JOURNAL_SEALED) {
        seal(claim, record, place);
    } else if (record->type == JOURNAL_ACKNOWLEDGED) {
        acknowledge(claim, record, place);
    }
    if (record->type != JOURNAL_PROMISED && record->type != JOURNAL_SEALED) {
        claim->write_place = place;
        proof->counts.writes++;
    }
    return 0;
}

static void violate(struct proof *proof, const struct proof_subject *subject,
                    const char *reason, struct proof_place first,
                    struct proof_place second)
{
    proof_find(proof, &(struct proof_finding){.kind = PROOF_VIOLATION,
                                              .rule = "state",
                                              .sandbox = subject->id,
                                              .reason = reason,
                                              .first = first,
                                              .second = second});
}

void proof_check_states(struct proof *proof,
                        const struct proof_subject *subject,
                        const struct proof_claim *const *claims, size_t count)
{
    const struct proof_claim *acked = NULL; /* the newest before this one */
    const struct proof_claim *last = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct proof_claim *claim = claims[i];
        bool is_granted = claim->place.offset != 0;

        if (!is_granted && claim->write_place.offset != 0 &&
            proof_is_covered(proof, claim->epoch)) {
            violate(proof, subject, not_granted, claim->write_place,
                    claim->write_place);
        }
        /* A first owner finds nothing; and who it follows has to be known. */
        if (!is_granted || last == NULL || claim->prior != last->epoch) {
            acked = NULL;
        }
        if (acked != NULL && claim->sealed_place.offset != 0 &&
            is_less(claim->sealed_epoch, claim->sealed_seq, acked->epoch,
                    acked->acked_seq)) {
            violate(proof, subject, lost, acked->acked_place,
                    claim->sealed_place);
        }
        if (claim->acked_place.offset != 0) {
            acked = claim;
        }
        last = claim;
    }
}
