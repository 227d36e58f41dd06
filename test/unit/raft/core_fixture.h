/* SPDX-License-Identifier: Apache-2.0
 * One core with id 1, driven by hand, and its messages decoded. */
#ifndef QUORATE_TEST_UNIT_RAFT_CORE_FIXTURE_H
#define QUORATE_TEST_UNIT_RAFT_CORE_FIXTURE_H

#include "lib/test.h"
#include "raft/message.h"
#include "raft/raft.h"

#include <stdlib.h>
#include <string.h>

enum { SENDS_KEPT = 128 };

struct fixture {
    struct raft *raft;
    struct raft_effects effects;
    struct message sent[SENDS_KEPT]; /* decoded sends of the last step */
    uint64_t now_ms;
    uint64_t seq; /* of the last persist effect */
};

static inline int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->now_ms = 1000;
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;

    raft_free(fixture->raft);
    free(fixture);
    return 0;
}

static inline void start_with(struct fixture *fixture, uint32_t voters,
                              uint64_t term, const uint64_t *terms,
                              size_t count)
{
    struct raft_config config = {.id = 1,
                                 .voters = {1, 2, 3, 4, 5},
                                 .voter_count = voters,
                                 .election_timeout_ms = 100,
                                 .heartbeat_interval_ms = 20,
                                 .seed = 5};
    struct raft_entry entries[16] = {{.index = 0}};
    struct raft_recovered recovered = {
        .term = term, .entries = entries, .entry_count = count};

    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.index = i + 1,
                                         .term = terms[i],
                                         .type = RAFT_ENTRY_COMMAND,
                                         .data = bytes_of("old", 3)};
    }
    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
}

static inline void start(struct fixture *fixture, uint32_t voters)
{
    start_with(fixture, voters, 0, NULL, 0);
}

static inline int step(struct fixture *fixture, struct raft_event event)
{
    int rv;

    event.now_ms = fixture->now_ms;
    rv = raft_step(fixture->raft, &event, &fixture->effects);
    raft_check(fixture->raft);
    if (fixture->effects.persist.seq != 0) {
        assert_int_equal(fixture->effects.persist.seq, fixture->seq + 1);
        fixture->seq++;
    }
    assert_true(fixture->effects.send_count <= SENDS_KEPT);
    for (size_t i = 0; i < fixture->effects.send_count; i++) {
        assert_ok(
            message_decode(fixture->effects.sends[i].bytes, &fixture->sent[i]));
    }
    return rv;
}

static inline int receive(struct fixture *fixture, uint64_t from,
                          const struct message *message,
                          const struct raft_entry *entries)
{
    struct buf buf;
    int rv;

    buf_init(&buf, 4 * 1024 * 1024);
    message_put(&buf, message);
    for (uint32_t i = 0; i < message->entry_count; i++) {
        message_put_entry(&buf, &entries[i]);
    }
    assert_ok(buf_error(&buf));
    rv = step(fixture, (struct raft_event){.type = RAFT_MESSAGE,
                                           .from = from,
                                           .bytes = buf_bytes(&buf)});
    buf_close(&buf);
    return rv;
}

static inline int persisted(struct fixture *fixture)
{
    return step(fixture, (struct raft_event){.type = RAFT_PERSISTED,
                                             .persisted_seq = fixture->seq});
}

static inline int tick(struct fixture *fixture)
{
    fixture->now_ms = raft_deadline_ms(fixture->raft);
    return step(fixture, (struct raft_event){.type = RAFT_TICK});
}

static inline int propose(struct fixture *fixture, const char *text)
{
    return step(fixture, (struct raft_event){.type = RAFT_PROPOSE,
                                             .bytes = bytes_of_string(text)});
}

static inline int read_at(struct fixture *fixture, uint64_t id)
{
    return step(fixture, (struct raft_event){.type = RAFT_READ, .read_id = id});
}

static inline int receive_vote(struct fixture *fixture, uint64_t from,
                               uint64_t term, uint64_t index,
                               uint64_t index_term)
{
    struct message message = {.type = MESSAGE_VOTE,
                              .term = term,
                              .index = index,
                              .index_term = index_term};

    return receive(fixture, from, &message, NULL);
}

static inline int receive_reply(struct fixture *fixture, uint64_t from,
                                enum message_type type, uint64_t term)
{
    struct message message = {.type = type, .term = term, .is_granted = true};

    return receive(fixture, from, &message, NULL);
}

static inline int receive_ack(struct fixture *fixture, uint64_t from,
                              uint64_t index, uint64_t read_seq)
{
    struct message message = {.type = MESSAGE_APPEND_REPLY,
                              .term = raft_term(fixture->raft),
                              .is_granted = true,
                              .index = index,
                              .read_seq = read_seq};

    return receive(fixture, from, &message, NULL);
}

/* An append of `count` commands of that term behind `prev`. */
static inline int receive_append(struct fixture *fixture,
                                 struct message message, uint32_t count,
                                 uint64_t entry_term)
{
    struct raft_entry entries[16] = {{.index = 0}};

    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.term = entry_term,
                                         .type = RAFT_ENTRY_COMMAND,
                                         .data = bytes_of("new", 3)};
    }
    message.type = MESSAGE_APPEND;
    message.entry_count = count;
    return receive(fixture, 2, &message, entries);
}

/* Makes it the leader of the next term, with votes of 2 (and 3). */
static inline void lead(struct fixture *fixture, uint32_t voters)
{
    uint64_t term = raft_term(fixture->raft) + 1;

    assert_ok(tick(fixture));
    for (uint64_t id = 2; id <= voters / 2 + 1; id++) {
        assert_ok(receive_reply(fixture, id, MESSAGE_PRE_VOTE_REPLY, term));
    }
    assert_int_equal(raft_role(fixture->raft), RAFT_CANDIDATE);
    assert_ok(persisted(fixture));
    for (uint64_t id = 2; id <= voters / 2 + 1; id++) {
        assert_ok(receive_reply(fixture, id, MESSAGE_VOTE_REPLY, term));
    }
    assert_int_equal(raft_role(fixture->raft), RAFT_LEADER);
    assert_int_equal(raft_term(fixture->raft), term);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
