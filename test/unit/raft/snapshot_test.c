/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/membership.h"
#include "unit/raft/core_fixture.h"

enum { ELECTION_MS = 100, CHUNK = 100, SIZE = 250 };

static const struct raft_config small = {.id = 1,
                                         .voters = {1, 2, 3},
                                         .voter_count = 3,
                                         .election_timeout_ms = ELECTION_MS,
                                         .heartbeat_interval_ms = 20,
                                         .trailing_entries = 2,
                                         .chunk_size = CHUNK,
                                         .seed = 5};

static const struct raft_membership three = {.voters = {1, 2, 3},
                                             .voter_count = 3};

static uint8_t state_bytes[SIZE];
static uint64_t transfer; /* of the last chunk to store */

static void start_small(struct fixture *fixture,
                        const struct raft_snapshot *snapshot)
{
    struct raft_recovered recovered = {.term = 3, .snapshot = snapshot};

    assert_ok(raft_new(&small, &recovered, fixture->now_ms, &fixture->raft));
    raft_check(fixture->raft);
}

static int report(struct fixture *fixture, enum raft_event_type type,
                  uint64_t index, uint64_t end)
{
    return step(fixture, (struct raft_event){.type = type,
                                             .transfer = transfer,
                                             .snapshot_index = index,
                                             .snapshot_size = SIZE,
                                             .chunk_end = end});
}

/* Leads with `count` entries committed by 2; nothing was heard of 3. */
static void lead_with(struct fixture *fixture, int count)
{
    start_small(fixture, NULL);
    lead(fixture, 3);
    for (int i = 1; i < count; i++) {
        assert_ok(propose(fixture, "x"));
    }
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, raft_last_index(fixture->raft), 0));
    assert_int_equal(raft_commit_index(fixture->raft), count);
}

static int refuse(struct fixture *fixture, uint64_t from, uint64_t index)
{
    struct message refusal = {.type = MESSAGE_APPEND_REPLY,
                              .term = raft_term(fixture->raft),
                              .index = index};

    return receive(fixture, from, &refusal, NULL);
}

static int chunk_reply(struct fixture *fixture, uint64_t index, uint64_t offset)
{
    struct message message = {.type = MESSAGE_SNAPSHOT_REPLY,
                              .term = raft_term(fixture->raft),
                              .index = index,
                              .offset = offset};

    return receive(fixture, 3, &message, NULL);
}

static void assert_chunk(const struct fixture *fixture, size_t place,
                         uint64_t offset, uint32_t size)
{
    const struct raft_chunk_send *chunk = &fixture->effects.chunk_sends[place];

    assert_true(place < fixture->effects.chunk_send_count);
    assert_int_equal(chunk->to, 3);
    assert_int_equal(chunk->offset, offset);
    assert_int_equal(chunk->size, size);
    assert_true(chunk->header.size <= MESSAGE_CHUNK_HEADER_SIZE_MAX);
}

static void a_snapshot_cuts_the_log_but_for_a_trailing_part(void **state)
{
    struct fixture *fixture = *state;
    struct raft_snapshot about;
    struct raft_entry entry;

    lead_with(fixture, 10);
    assert_int_equal(raft_first_index(fixture->raft), 1);
    assert_err(raft_snapshot_at(fixture->raft, 11, &about), ERR_NOT_FOUND);
    assert_ok(raft_snapshot_at(fixture->raft, 8, &about));
    assert_int_equal(about.term, 4);
    assert_true(membership_equal(&about.membership, &three));
    assert_ok(report(fixture, RAFT_SNAPSHOT_TAKEN, 8, 0));
    assert_int_equal(raft_snapshot(fixture->raft)->index, 8);
    assert_int_equal(raft_first_index(fixture->raft), 7);
    assert_err(raft_entry_get(fixture->raft, 6, &entry), ERR_NOT_FOUND);
    assert_ok(raft_entry_get(fixture->raft, 7, &entry));
    assert_err(raft_snapshot_at(fixture->raft, 8, &about), ERR_NOT_FOUND);
    /* An older one comes too late. */
    assert_ok(report(fixture, RAFT_SNAPSHOT_TAKEN, 7, 0));
    assert_int_equal(raft_snapshot(fixture->raft)->index, 8);
}

static void the_trailing_part_is_bounded_in_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct raft_config config = small;
    struct raft_recovered recovered = {.term = 3};

    config.trailing_entries = 100;
    config.trailing_size = 30;
    assert_ok(raft_new(&config, &recovered, fixture->now_ms, &fixture->raft));
    lead(fixture, 3);
    for (int i = 0; i < 9; i++) {
        assert_ok(propose(fixture, "ten bytes."));
    }
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 10, 0));
    assert_ok(report(fixture, RAFT_SNAPSHOT_TAKEN, 10, 0));
    assert_int_equal(raft_first_index(fixture->raft), 8);
}

static void who_lacks_what_is_cut_gets_the_snapshot_in_chunks(void **state)
{
    struct fixture *fixture = *state;
    struct message header;

    lead_with(fixture, 10);
    assert_ok(report(fixture, RAFT_SNAPSHOT_TAKEN, 10, 0));
    assert_ok(refuse(fixture, 3, 0));
    assert_ok(refuse(fixture, 3, raft_last_index(fixture->raft)));
    assert_int_equal(fixture->effects.chunk_send_count, 0);
    /* The probe of the start of the term. */
    fixture->now_ms += 20;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(fixture->effects.chunk_send_count, 2);
    assert_chunk(fixture, 0, 0, CHUNK);
    assert_chunk(fixture, 1, CHUNK, CHUNK);
    assert_int_equal(raft_snapshot_needed(fixture->raft), 10);
    {
        struct buf whole;

        buf_init(&whole, 4096);
        buf_put_bytes(&whole, fixture->effects.chunk_sends[1].header);
        buf_put_bytes(&whole, bytes_of(state_bytes + CHUNK, CHUNK));
        assert_ok(message_decode(buf_bytes(&whole), &header));
        assert_int_equal(header.type, MESSAGE_SNAPSHOT);
        assert_int_equal(header.index, 10);
        assert_int_equal(header.index_term, 4);
        assert_int_equal(header.size, SIZE);
        assert_int_equal(header.offset, CHUNK);
        assert_int_equal(header.entries.size, CHUNK);
        buf_close(&whole);
    }
    /* No more until some of it is stored. */
    fixture->now_ms += 20;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(fixture->effects.chunk_send_count, 0);
    /* It is sent heartbeats that are held against nothing. */
    assert_int_equal(fixture->sent[1].type, MESSAGE_APPEND);
    assert_int_equal(fixture->effects.sends[1].to, 3);
    assert_int_equal(fixture->sent[1].index, 0);
    assert_ok(chunk_reply(fixture, 10, CHUNK));
    assert_int_equal(fixture->effects.chunk_send_count, 1);
    assert_chunk(fixture, 0, 2 * CHUNK, SIZE - 2 * CHUNK);
    assert_ok(chunk_reply(fixture, 10, 2 * CHUNK));
    assert_ok(chunk_reply(fixture, 10, SIZE));
    assert_int_equal(fixture->effects.chunk_send_count, 0);
    /* Installed: entries follow. */
    assert_ok(propose(fixture, "after"));
    assert_ok(receive_ack(fixture, 3, 10, 0));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->sent[0].index, 10);
    assert_int_equal(fixture->sent[0].entry_count, 1);
}

/* 3 is known to have nothing; the snapshot at 10 is on its way to it. */
static void begin_transfer(struct fixture *fixture)
{
    lead_with(fixture, 10);
    assert_ok(report(fixture, RAFT_SNAPSHOT_TAKEN, 10, 0));
    assert_ok(refuse(fixture, 3, 0));
    fixture->now_ms += 20;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(fixture->effects.chunk_send_count, 2);
}

static void what_got_lost_is_asked_for_and_sent_again(void **state)
{
    struct fixture *fixture = *state;

    begin_transfer(fixture);
    assert_ok(chunk_reply(fixture, 10, CHUNK));
    fixture->now_ms += ELECTION_MS - 1;
    assert_ok(receive_ack(fixture, 2, 10, 0));
    fixture->now_ms += 1;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_int_equal(fixture->effects.chunk_send_count, 1);
    assert_chunk(fixture, 0, CHUNK, CHUNK);
    assert_ok(chunk_reply(fixture, 10, 2 * CHUNK));
    assert_chunk(fixture, 0, 2 * CHUNK, SIZE - 2 * CHUNK);
    /* It was restarted, and has nothing any more. */
    fixture->now_ms += ELECTION_MS - 1;
    assert_ok(receive_ack(fixture, 2, 10, 0));
    fixture->now_ms += 1;
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_TICK}));
    assert_ok(chunk_reply(fixture, 10, 0));
    assert_int_equal(fixture->effects.chunk_send_count, 2);
    assert_chunk(fixture, 0, 0, CHUNK);
    /* Late answers change nothing, absurd ones neither. */
    assert_ok(chunk_reply(fixture, 10, 0));
    assert_int_equal(fixture->effects.chunk_send_count, 0);
    assert_ok(chunk_reply(fixture, 10, SIZE + 1));
    assert_ok(chunk_reply(fixture, 9, CHUNK));
    assert_int_equal(fixture->effects.chunk_send_count, 0);
}

static void a_transfer_goes_on_while_a_newer_snapshot_is_taken(void **state)
{
    struct fixture *fixture = *state;
    struct raft_event lost = {
        .type = RAFT_CHUNK_LOST, .from = 3, .snapshot_index = 10};

    begin_transfer(fixture);
    for (int i = 0; i < 5; i++) {
        assert_ok(propose(fixture, "x"));
    }
    assert_ok(persisted(fixture));
    assert_ok(receive_ack(fixture, 2, 15, 0));
    /* That it cannot be read does not help while there is no other. */
    assert_ok(step(fixture, lost));
    assert_int_equal(fixture->effects.chunk_send_count, 0);
    assert_ok(report(fixture, RAFT_SNAPSHOT_TAKEN, 15, 0));
    assert_int_equal(raft_snapshot_needed(fixture->raft), 10);
    assert_ok(chunk_reply(fixture, 10, CHUNK));
    assert_int_equal(fixture->effects.chunk_sends[0].snapshot_index, 10);
    assert_ok(step(fixture, lost));
    assert_int_equal(fixture->effects.chunk_send_count, 2);
    assert_int_equal(fixture->effects.chunk_sends[0].snapshot_index, 15);
    assert_chunk(fixture, 0, 0, CHUNK);
    assert_int_equal(raft_snapshot_needed(fixture->raft), 15);
}

/* --- The other side ------------------------------------------------------ */

static int receive_chunk(struct fixture *fixture, uint64_t from, uint64_t term,
                         uint64_t index, uint64_t offset)
{
    uint8_t membership[MEMBERSHIP_SIZE_MAX];
    size_t size = membership_encode(&three, membership);
    size_t left = SIZE - offset;
    struct bytes chunk =
        bytes_of(state_bytes + offset, left < CHUNK ? left : (size_t)CHUNK);
    struct message message = {.type = MESSAGE_SNAPSHOT,
                              .term = term,
                              .index = index,
                              .index_term = 3,
                              .size = SIZE,
                              .offset = offset,
                              .membership = bytes_of(membership, size),
                              .entries = chunk};
    struct buf buf;
    int rv;

    buf_init(&buf, 4096);
    message_put(&buf, &message);
    buf_put_bytes(&buf, chunk);
    rv = step(fixture, (struct raft_event){.type = RAFT_MESSAGE,
                                           .from = from,
                                           .bytes = buf_bytes(&buf)});
    if (rv == 0 && fixture->effects.chunk.transfer != 0) {
        transfer = fixture->effects.chunk.transfer;
        /* Borrowed: of no use when `buf` is closed. */
        assert_true(bytes_equal(fixture->effects.chunk.data, chunk));
    }
    buf_close(&buf);
    return rv;
}

static void assert_progress(const struct fixture *fixture, uint64_t offset)
{
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 2);
    assert_int_equal(fixture->sent[0].type, MESSAGE_SNAPSHOT_REPLY);
    assert_int_equal(fixture->sent[0].offset, offset);
}

static void store_from(struct fixture *fixture, uint64_t index, uint64_t first)
{
    for (uint64_t offset = first; offset < SIZE; offset += CHUNK) {
        uint64_t end = offset + CHUNK < SIZE ? offset + CHUNK : SIZE;

        assert_ok(receive_chunk(fixture, 2, 3, index, offset));
        assert_int_equal(fixture->effects.chunk.snapshot_index, index);
        assert_int_equal(fixture->effects.chunk.offset, offset);
        assert_ok(report(fixture, RAFT_CHUNK_STORED, index, end));
    }
}

static void a_snapshot_is_acknowledged_when_it_is_on_disk(void **state)
{
    struct fixture *fixture = *state;

    start_small(fixture, NULL);
    assert_ok(receive_chunk(fixture, 2, 3, 10, 0));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_int_equal(fixture->effects.chunk.snapshot_size, SIZE);
    assert_ok(report(fixture, RAFT_CHUNK_STORED, 10, CHUNK));
    assert_progress(fixture, CHUNK);
    store_from(fixture, 10, CHUNK);
    assert_int_equal(fixture->effects.send_count, 0);
    assert_non_null(fixture->effects.finish);
    assert_int_equal(fixture->effects.finish->index, 10);
    assert_null(fixture->effects.restore);
    assert_ok(report(fixture, RAFT_SNAPSHOT_STORED, 10, 0));
    assert_non_null(fixture->effects.restore);
    assert_int_equal(fixture->effects.restore->index, 10);
    assert_true(fixture->effects.persist.is_log_reset);
    assert_int_equal(fixture->effects.persist.base_index, 10);
    assert_int_equal(fixture->effects.persist.base_term, 3);
    assert_int_equal(fixture->effects.send_count, 1);
    assert_true(fixture->sent[0].is_granted);
    assert_int_equal(fixture->sent[0].index, 10);
    assert_int_equal(raft_commit_index(fixture->raft), 10);
    assert_int_equal(raft_last_index(fixture->raft), 10);
    /* Entries follow. */
    assert_ok(receive_append(
        fixture,
        (struct message){.term = 3, .index = 10, .index_term = 3, .commit = 11},
        1, 3));
    assert_int_equal(raft_commit_index(fixture->raft), 11);
    assert_false(fixture->effects.persist.is_log_reset);
}

static void chunks_out_of_order_are_told_the_place(void **state)
{
    struct fixture *fixture = *state;

    start_small(fixture, NULL);
    assert_ok(receive_chunk(fixture, 2, 3, 10, CHUNK));
    assert_int_equal(fixture->effects.chunk.transfer, 0);
    assert_progress(fixture, 0);
    assert_ok(receive_chunk(fixture, 2, 3, 10, 0));
    assert_ok(report(fixture, RAFT_CHUNK_STORED, 10, CHUNK));
    assert_ok(receive_chunk(fixture, 2, 3, 10, 0));
    assert_int_equal(fixture->effects.chunk.transfer, 0);
    assert_progress(fixture, CHUNK);
    /* In a later term of the same leader it goes on there. */
    assert_ok(receive_chunk(fixture, 2, 5, 10, CHUNK));
    assert_int_equal(fixture->effects.chunk.offset, CHUNK);
    assert_ok(persisted(fixture));
    /* Another leader's may be other bytes. */
    assert_ok(receive_chunk(fixture, 3, 6, 10, 2 * CHUNK));
    assert_ok(persisted(fixture));
    assert_int_equal(fixture->sent[0].offset, 0);
    /* One of an old term learns of the new one. */
    assert_ok(receive_chunk(fixture, 2, 5, 10, 2 * CHUNK));
    assert_int_equal(fixture->effects.chunk.transfer, 0);
    assert_int_equal(fixture->sent[0].type, MESSAGE_APPEND_REPLY);
    assert_false(fixture->sent[0].is_granted);
    assert_int_equal(fixture->sent[0].term, 6);
}

/* The same index from another leader: what the disk says of the first transfer
 * must not count for the second. */
static void what_is_said_of_an_older_transfer_is_void(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first;

    start_small(fixture, NULL);
    assert_ok(receive_chunk(fixture, 2, 3, 10, 0));
    first = transfer;
    assert_ok(receive_chunk(fixture, 3, 4, 10, 0));
    assert_true(transfer != first);
    assert_ok(persisted(fixture));
    assert_ok(step(fixture, (struct raft_event){.type = RAFT_CHUNK_STORED,
                                                .transfer = first,
                                                .chunk_end = CHUNK}));
    assert_int_equal(fixture->effects.send_count, 0);
    assert_ok(report(fixture, RAFT_CHUNK_STORED, 10, CHUNK));
    assert_int_equal(fixture->effects.send_count, 1);
    assert_int_equal(fixture->effects.sends[0].to, 3);
    assert_int_equal(fixture->sent[0].offset, CHUNK);
}

static void what_the_log_has_is_not_installed(void **state)
{
    struct fixture *fixture = *state;

    start_small(fixture, NULL);
    assert_ok(receive_append(fixture, (struct message){.term = 3}, 12, 3));
    assert_ok(persisted(fixture));
    assert_int_equal(raft_commit_index(fixture->raft), 0);
    assert_ok(receive_chunk(fixture, 2, 3, 10, 0));
    assert_int_equal(fixture->effects.chunk.transfer, 0);
    assert_int_equal(fixture->sent[0].index, 12);
    assert_true(fixture->sent[0].is_granted);
    assert_int_equal(raft_commit_index(fixture->raft), 10);
    assert_int_equal(raft_last_index(fixture->raft), 12);
}

static void entries_that_came_meanwhile_are_not_overwritten(void **state)
{
    struct fixture *fixture = *state;

    start_small(fixture, NULL);
    store_from(fixture, 10, 0);
    assert_ok(receive_append(fixture, (struct message){.term = 3, .commit = 11},
                             12, 3));
    assert_ok(persisted(fixture));
    assert_ok(report(fixture, RAFT_SNAPSHOT_STORED, 10, 0));
    assert_null(fixture->effects.restore);
    assert_int_equal(fixture->effects.persist.seq, 0);
    assert_int_equal(raft_last_index(fixture->raft), 12);
    assert_int_equal(raft_commit_index(fixture->raft), 11);
}

static void another_history_gives_way_to_a_snapshot(void **state)
{
    struct fixture *fixture = *state;

    start_small(fixture, NULL);
    assert_ok(receive_append(fixture, (struct message){.term = 3}, 12, 2));
    assert_ok(persisted(fixture));
    store_from(fixture, 10, 0);
    assert_ok(report(fixture, RAFT_SNAPSHOT_STORED, 10, 0));
    assert_non_null(fixture->effects.restore);
    assert_int_equal(raft_last_index(fixture->raft), 10);
    assert_int_equal(raft_first_index(fixture->raft), 11);
    /* An append of before that arrives late is no conflict. */
    assert_ok(receive_append(fixture, (struct message){.term = 3, .commit = 12},
                             12, 3));
    assert_int_equal(raft_last_index(fixture->raft), 12);
    assert_int_equal(fixture->effects.persist.entries[0].index, 11);
}

static void one_that_is_of_no_use_begins_anew(void **state)
{
    struct fixture *fixture = *state;

    start_small(fixture, NULL);
    store_from(fixture, 10, 0);
    /* While it is looked at, nothing else is taken. */
    assert_ok(receive_chunk(fixture, 2, 3, 11, 0));
    assert_int_equal(fixture->effects.chunk.transfer, 0);
    assert_ok(report(fixture, RAFT_SNAPSHOT_FAILED, 10, 0));
    assert_ok(report(fixture, RAFT_SNAPSHOT_STORED, 10, 0));
    assert_null(fixture->effects.restore);
    assert_int_equal(raft_last_index(fixture->raft), 0);
    assert_ok(receive_chunk(fixture, 2, 3, 11, 0));
    assert_int_equal(fixture->effects.chunk.snapshot_index, 11);
}

/* --- After a restart ----------------------------------------------------- */

static int recover(struct fixture *fixture, uint64_t first, size_t count,
                   uint64_t entry_term)
{
    const struct raft_snapshot snapshot = {
        .index = 10, .term = 3, .size = SIZE, .membership = three};
    struct raft_entry entries[16] = {{.index = 0}};
    struct raft_recovered recovered = {.term = 3,
                                       .snapshot = &snapshot,
                                       .entries = entries,
                                       .entry_count = count};
    struct raft_config config = small;
    int rv;

    config.voter_count = 1;
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.index = first + i,
                                         .term = entry_term,
                                         .type = RAFT_ENTRY_COMMAND,
                                         .data = bytes_of("old", 3)};
    }
    raft_free(fixture->raft);
    fixture->raft = NULL;
    rv = raft_new(&config, &recovered, fixture->now_ms, &fixture->raft);
    if (rv == 0) {
        raft_check(fixture->raft);
        assert_int_equal(raft_commit_index(fixture->raft), 10);
        assert_true(membership_equal(raft_membership(fixture->raft), &three));
    }
    return rv;
}

static void a_snapshot_and_what_follows_it_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct raft_entry entry;

    assert_ok(recover(fixture, 0, 0, 0));
    assert_int_equal(raft_last_index(fixture->raft), 10);
    assert_ok(recover(fixture, 11, 3, 3));
    assert_int_equal(raft_last_index(fixture->raft), 13);
    assert_int_equal(raft_first_index(fixture->raft), 11);
    assert_ok(recover(fixture, 8, 5, 3));
    assert_int_equal(raft_last_index(fixture->raft), 12);
    assert_int_equal(raft_first_index(fixture->raft), 9);
    assert_ok(raft_entry_get(fixture->raft, 9, &entry));
    assert_ok(recover(fixture, 1, 11, 3));
    assert_int_equal(raft_first_index(fixture->raft), 1);
}

static void older_entries_and_those_of_another_history_are_left(void **state)
{
    struct fixture *fixture = *state;

    /* They end before it; they were to give way to it. */
    assert_ok(recover(fixture, 3, 5, 3));
    assert_int_equal(raft_last_index(fixture->raft), 10);
    assert_ok(recover(fixture, 3, 12, 2));
    assert_int_equal(raft_last_index(fixture->raft), 10);
    /* The disk is told so with the next write. */
    assert_ok(receive_append(
        fixture, (struct message){.term = 3, .index = 10, .index_term = 3}, 1,
        3));
    assert_true(fixture->effects.persist.is_log_reset);
    assert_int_equal(fixture->effects.persist.base_index, 10);
    assert_int_equal(fixture->effects.persist.entry_count, 1);
}

static void a_term_that_only_the_snapshot_knows_has_come(void **state)
{
    struct fixture *fixture = *state;
    const struct raft_snapshot snapshot = {
        .index = 10, .term = 9, .size = SIZE, .membership = three};
    struct raft_recovered recovered = {
        .term = 3, .voted_for = 2, .snapshot = &snapshot};

    assert_ok(raft_new(&small, &recovered, fixture->now_ms, &fixture->raft));
    assert_int_equal(raft_term(fixture->raft), 9);
    /* Its vote of term 3 says nothing about this one. */
    assert_ok(receive_append(
        fixture, (struct message){.term = 9, .index = 10, .index_term = 9}, 1,
        9));
    assert_ok(persisted(fixture));
    assert_true(fixture->sent[0].is_granted);
    fixture->now_ms += ELECTION_MS;
    assert_ok(receive_vote(fixture, 3, 10, 11, 9));
    assert_int_equal(fixture->effects.persist.voted_for, 3);
}

static void a_gap_or_nonsense_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raft_snapshot snapshot = {
        .index = 10, .term = 3, .size = SIZE, .membership = three};
    const struct raft_entry late = {.index = 2, .term = 1};
    struct raft_recovered recovered = {.term = 3, .snapshot = &snapshot};
    struct raft_recovered headless = {
        .term = 3, .entries = &late, .entry_count = 1};

    assert_err(recover(fixture, 12, 2, 3), ERR_CORRUPT);
    assert_err(raft_new(&small, &headless, 0, &fixture->raft), ERR_CORRUPT);
    snapshot.size = 0;
    assert_err(raft_new(&small, &recovered, 0, &fixture->raft), ERR_CORRUPT);
    snapshot.size = 1;
    snapshot.membership.voter_count = 0;
    assert_err(raft_new(&small, &recovered, 0, &fixture->raft), ERR_CORRUPT);
    assert_null(fixture->raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_cuts_the_log_but_for_a_trailing_part),
        TEST(the_trailing_part_is_bounded_in_bytes),
        TEST(who_lacks_what_is_cut_gets_the_snapshot_in_chunks),
        TEST(what_got_lost_is_asked_for_and_sent_again),
        TEST(a_transfer_goes_on_while_a_newer_snapshot_is_taken),
        TEST(a_snapshot_is_acknowledged_when_it_is_on_disk),
        TEST(chunks_out_of_order_are_told_the_place),
        TEST(what_is_said_of_an_older_transfer_is_void),
        TEST(what_the_log_has_is_not_installed),
        TEST(entries_that_came_meanwhile_are_not_overwritten),
        TEST(another_history_gives_way_to_a_snapshot),
        TEST(one_that_is_of_no_use_begins_anew),
        TEST(a_snapshot_and_what_follows_it_come_back),
        TEST(older_entries_and_those_of_another_history_are_left),
        TEST(a_term_that_only_the_snapshot_knows_has_come),
        TEST(a_gap_or_nonsense_is_refused),
    };

    for (size_t i = 0; i < SIZE; i++) {
        state_bytes[i] = (uint8_t)(i * 31);
    }
    return cmocka_run_group_tests_name("raft/snapshot", tests, NULL, NULL);
}
