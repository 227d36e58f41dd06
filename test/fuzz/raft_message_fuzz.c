/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: message_decode and raft_step with RAFT_MESSAGE, as a follower and
 * as a leader, with changes of members and snapshots.
 *
 * The input is a run of { action:8 size:16 bytes }: the action's low bits say
 * who sends, its high bits what else happens before. After each step the
 * core's invariants must hold, and a message that was refused must have
 * changed nothing that can be asked for. */
#include "base/ensure.h"
#include "base/err.h"
#include "raft/message.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { INPUT_SIZE_MAX = 64 * 1024, STEPS_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    struct raft *raft;
    uint64_t seq; /* of the last persist effect */
    uint64_t now_ms;
    struct raft_chunk chunk; /* of the last step */
    uint8_t asked[8];        /* the id of its last question for reads */
    uint64_t finish;         /* the transfer to end; 0: none */
};

/* A type and, after the term, an id. */
enum { ID_AT = 10, ANSWER_SIZE = 26 };

static void note_question(struct target *target, struct bytes bytes)
{
    if (bytes.data[1] == MESSAGE_READ) {
        memcpy(target->asked, bytes.data + ID_AT, sizeof(target->asked));
    }
}

/* Ids are random: an answer to question 1 is made one to the last question. */
static struct bytes as_answer(const struct target *target, struct bytes bytes,
                              uint8_t *ret_answer)
{
    static const uint8_t one[8] = {0, 0, 0, 0, 0, 0, 0, 1};

    if (bytes.size != ANSWER_SIZE || bytes.data[1] != MESSAGE_READ_REPLY ||
        memcmp(bytes.data + ID_AT, one, sizeof(one)) != 0) {
        return bytes;
    }
    memcpy(ret_answer, bytes.data, ANSWER_SIZE);
    memcpy(ret_answer + ID_AT, target->asked, sizeof(target->asked));
    return bytes_of(ret_answer, ANSWER_SIZE);
}

static int step(struct target *target, struct raft_event event)
{
    struct raft_effects effects;
    int rv;

    event.now_ms = target->now_ms;
    rv = raft_step(target->raft, &event, &effects);
    raft_check(target->raft);
    target->chunk = effects.chunk;
    target->finish = effects.finish_transfer;
    if (rv != 0) {
        ensure(effects.persist.seq == 0);
        ensure(effects.send_count == 0);
        ensure(effects.read_count == 0);
        return rv;
    }
    if (effects.persist.seq != 0) {
        ensure(effects.persist.seq == target->seq + 1);
        target->seq = effects.persist.seq;
    }
    for (size_t i = 0; i < effects.send_count; i++) {
        ensure(effects.sends[i].to != 1);
        ensure(effects.sends[i].bytes.size > 0);
        note_question(target, effects.sends[i].bytes);
    }
    return 0;
}

static void message(struct target *target, uint64_t from, struct bytes bytes)
{
    const struct raft *raft = target->raft;
    enum raft_role role = raft_role(raft);
    uint64_t term = raft_term(raft);
    uint64_t last = raft_last_index(raft);
    uint64_t commit = raft_commit_index(raft);
    int rv;

    rv = step(target, (struct raft_event){
                          .type = RAFT_MESSAGE, .from = from, .bytes = bytes});
    ensure(raft_term(raft) >= term);
    ensure(raft_commit_index(raft) >= commit);
    if (rv == 0) {
        return;
    }
    ensure(rv == ERR_MALFORMED);
    ensure(raft_role(raft) == role);
    ensure(raft_term(raft) == term);
    ensure(raft_last_index(raft) == last);
    ensure(raft_commit_index(raft) == commit);
}

/* The shell's part between two messages. */
static void act(struct target *target, uint8_t action)
{
    static const struct raft_membership other = {.voters = {1, 2, 4},
                                                 .learners = {5},
                                                 .voter_count = 3,
                                                 .learner_count = 1};
    struct raft_event event = {.type = RAFT_PERSISTED,
                               .persisted_seq = target->seq};

    switch (action >> 4 & 7) {
    case 0:
        return;
    case 1:
        event.type = RAFT_TICK;
        break;
    case 2:
        event.type = RAFT_PROPOSE;
        event.bytes = bytes_of("command", 7);
        break;
    case 3:
        event.type = (action & 8) != 0 ? RAFT_HANDOVER : RAFT_READ;
        event.read_id = action;
        break;
    case 4:
        target->now_ms += 60;
        event.type = RAFT_TICK;
        break;
    case 5:
        event.type = RAFT_CHANGE;
        event.target = &other;
        break;
    case 7:
        event.type = RAFT_SNAPSHOT_TAKEN;
        event.snapshot_index = raft_commit_index(target->raft);
        event.snapshot_size = 100;
        break;
    default:
        break;
    }
    (void)step(target, event); /* NOT_LEADER and BUSY are fine */
}

/* A disk that is done at once. */
static void store(struct target *target, struct raft_chunk chunk, bool is_whole)
{
    struct raft_event stored = {.type = RAFT_CHUNK_STORED,
                                .transfer = chunk.transfer,
                                .chunk_end = chunk.offset + chunk.data.size};

    if (is_whole) {
        stored.type = RAFT_SNAPSHOT_STORED;
        stored.transfer = target->finish;
    }
    (void)step(target, stored);
}

static void store_all(struct target *target)
{
    if (target->chunk.transfer != 0) {
        store(target, target->chunk, false);
    }
    if (target->finish != 0) {
        store(target, target->chunk, true);
    }
}

static void run(struct target *target, struct bytes input)
{
    struct cursor cursor = cursor_of(input);

    for (int i = 0; i < STEPS_MAX; i++) {
        struct bytes bytes;
        uint8_t answer[ANSWER_SIZE];
        uint16_t size;
        uint8_t action;

        if (cursor_u8(&cursor, &action) != 0 ||
            cursor_u16(&cursor, &size) != 0) {
            break;
        }
        if (size > cursor_left(&cursor)) {
            size = (uint16_t)cursor_left(&cursor);
        }
        if (cursor_take(&cursor, size, &bytes) != 0) {
            break;
        }
        act(target, action);
        message(target, 1 + action % 5U, as_answer(target, bytes, answer));
        store_all(target);
    }
}

static void start(struct target *target)
{
    static const struct raft_config config = {.id = 1,
                                              .voters = {1, 2, 3},
                                              .voter_count = 3,
                                              .election_timeout_ms = 100,
                                              .heartbeat_interval_ms = 20,
                                              .seed = 1};
    static const struct raft_entry entries[] = {
        {.index = 1, .term = 1, .type = RAFT_ENTRY_NOOP},
        {.index = 2,
         .term = 1,
         .type = RAFT_ENTRY_COMMAND,
         .data = {(const uint8_t *)"a", 1}},
        {.index = 3,
         .term = 3,
         .type = RAFT_ENTRY_COMMAND,
         .data = {(const uint8_t *)"b", 1}}};
    static const struct raft_recovered recovered = {
        .term = 3, .entries = entries, .entry_count = 3};
    int rv;

    *target = (struct target){.now_ms = 1000};
    rv = raft_new(&config, &recovered, target->now_ms, &target->raft);
    ensure(rv == 0);
}

/* With votes of member 2 it leads term 4. */
static void lead(struct target *target)
{
    static const uint8_t pre_vote[] = {1, 2, 0, 0, 0, 0, 0, 0, 0, 4, 1};
    static const uint8_t vote[] = {1, 4, 0, 0, 0, 0, 0, 0, 0, 4, 1};

    target->now_ms = raft_deadline_ms(target->raft);
    (void)step(target, (struct raft_event){.type = RAFT_TICK});
    message(target, 2, bytes_of(pre_vote, sizeof(pre_vote)));
    (void)step(target, (struct raft_event){.type = RAFT_PERSISTED,
                                           .persisted_seq = target->seq});
    message(target, 2, bytes_of(vote, sizeof(vote)));
    ensure(raft_role(target->raft) == RAFT_LEADER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target target;

    if (size > INPUT_SIZE_MAX) {
        return 0;
    }
    start(&target);
    run(&target, bytes_of(data, size));
    raft_free(target.raft);
    start(&target);
    lead(&target);
    run(&target, bytes_of(data, size));
    raft_free(target.raft);
    return 0;
}
