/* SPDX-License-Identifier: Apache-2.0 */
#include "state/replica.h"

#include "base/ensure.h"

/* Whether the promise shuts out this request. */
static enum state_status check_promise(const struct state_replica *replica,
                                       const struct state_message *request)
{
    uint64_t epoch = request->stamp.version.epoch;

    if (epoch < replica->promised) {
        return STATE_STATUS_STALE_EPOCH;
    }
    /* Ballots order the seals of one epoch; the owner's own writes come after
     * a seal, whichever it was. */
    if (epoch == replica->promised && request->stamp.version.seq == 0 &&
        request->stamp.ballot < replica->promised_ballot) {
        return STATE_STATUS_STALE_BALLOT;
    }
    return STATE_STATUS_OK;
}

static void promise(struct state_decision *decision, uint64_t epoch,
                    uint64_t ballot)
{
    struct state_replica *next = &decision->next;

    if (epoch > next->promised ||
        (epoch == next->promised && ballot > next->promised_ballot)) {
        next->promised = epoch;
        next->promised_ballot = ballot;
        decision->is_changed = true;
    }
}

static bool is_same_value(const struct state_replica *replica,
                          const struct state_message *request)
{
    return replica->has_value == request->has_value &&
           replica->crc == request->crc && replica->size == request->value.size;
}

static void decide_write(const struct state_message *request,
                         struct state_decision *decision)
{
    struct state_replica *next = &decision->next;

    decision->status = check_promise(next, request);
    if (decision->status != STATE_STATUS_OK) {
        return;
    }
    if (decision->has_version) {
        int order = state_stamp_compare(request->stamp, next->stamp);

        if (order < 0 || (order == 0 && !is_same_value(next, request))) {
            decision->status = STATE_STATUS_STALE_VERSION;
            return;
        }
        if (order == 0) {
            return;
        }
    }
    promise(decision, request->stamp.version.epoch, request->stamp.ballot);
    next->stamp = request->stamp;
    next->has_version = true;
    next->has_value = request->has_value;
    next->crc = request->crc;
    next->size = (uint32_t)request->value.size;
    decision->has_version = true;
    decision->is_changed = true;
    decision->takes_value = true;
}

void state_replica_decide(const struct state_replica *replica,
                          const struct state_message *request,
                          struct state_decision *ret_decision)
{
    *ret_decision = (struct state_decision){
        .has_version = replica->has_version &&
                       replica->stamp.version.epoch >= request->birth,
        .next = *replica};
    switch (request->kind) {
    case STATE_KIND_WRITE:
        decide_write(request, ret_decision);
        break;
    case STATE_KIND_PROMISE:
        ret_decision->status = check_promise(replica, request);
        if (ret_decision->status == STATE_STATUS_OK) {
            promise(ret_decision, request->stamp.version.epoch,
                    request->stamp.ballot);
        }
        break;
    case STATE_KIND_READ:
        break;
    case STATE_KIND_WRITE_ACK:
    case STATE_KIND_PROMISE_ACK:
    case STATE_KIND_READ_ACK:
        unreachable();
    }
    /* A write's answer is short, and so is a refusal. */
    ret_decision->shows_value = request->kind != STATE_KIND_WRITE &&
                                ret_decision->status == STATE_STATUS_OK &&
                                ret_decision->has_version && replica->has_value;
}

void state_replica_answer(const struct state_message *request,
                          const struct state_decision *decision,
                          struct bytes value, struct state_message *ret_answer)
{
    const struct state_replica *replica = &decision->next;

    *ret_answer =
        (struct state_message){.kind = state_kind_answer(request->kind),
                               .status = decision->status,
                               .ticket = request->ticket,
                               .promised = replica->promised,
                               .promised_ballot = replica->promised_ballot,
                               .has_version = decision->has_version};
    if (decision->has_version) {
        ret_answer->stamp = replica->stamp;
    }
    if (decision->shows_value) {
        ensure(value.size == replica->size);
        ret_answer->has_value = true;
        ret_answer->crc = replica->crc;
        ret_answer->value = value;
    }
}

void state_replica_refuse(const struct state_message *request,
                          enum state_status status,
                          struct state_message *ret_answer)
{
    *ret_answer =
        (struct state_message){.kind = state_kind_answer(request->kind),
                               .status = status,
                               .ticket = request->ticket};
}

bool state_replica_forget(struct state_replica *replica, uint64_t epoch)
{
    bool is_forgotten = false;

    if (replica->has_version && replica->stamp.version.epoch <= epoch) {
        *replica =
            (struct state_replica){.promised = replica->promised,
                                   .promised_ballot = replica->promised_ballot};
        is_forgotten = true;
    }
    if (replica->promised > 0 && replica->promised <= epoch) {
        ensure(!replica->has_version);
        *replica = (struct state_replica){0};
        is_forgotten = true;
    }
    return is_forgotten;
}
