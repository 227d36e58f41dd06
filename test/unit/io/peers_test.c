/* SPDX-License-Identifier: Apache-2.0
 * io/peers among honest nodes: dialling, frames, ticks, ends. */
#include "base/rng.h"
#include "unit/io/peers_fixture.h"

enum {
    BIG_SIZE = 5 * 1024 * 1024,
    BURST_FRAMES = 2000,
    BURST_FRAME_MAX = 100 * 1000,
    DRIBBLED_FRAMES = 30,
    BOUNCES = 20,
};

static void dialling_makes_a_link_on_both_sides(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];
    struct side *b = &fixture->sides[1];

    link_two(fixture);
    assert_bytes(peer_name(a->peer), "b@127.0.0.1", 11);
    assert_bytes(peer_name(b->peer), "a@127.0.0.1", 11);
    assert_true(peer_flags(a->peer) == DIST_FLAGS_OFFERED);
    assert_int_equal(peer_creation(a->peer), peers_creation(b->peers));
    assert_int_equal(peer_creation(b->peer), peers_creation(a->peers));
    assert_true(peers_creation(a->peers) >= 4);
    assert_ptr_equal(peers_find(a->peers, peer_name(a->peer)), a->peer);
    assert_null(peers_find(a->peers, bytes_of_string("c@127.0.0.1")));
    assert_int_equal(peers_counters(b->peers)->accepted, 1);
    assert_int_equal(peers_counters(b->peers)->handshakes_failed, 0);
}

static bool both_have_a_frame(struct fixture *fixture)
{
    return fixture->sides[0].frames > 0 && fixture->sides[1].frames > 0;
}

static void frames_go_both_ways(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    link_two(fixture);
    send_frame(&fixture->sides[0], bytes_of_string("there"));
    send_frame(&fixture->sides[1], bytes_of_string("and back"));
    wait_for(fixture, both_have_a_frame);
    assert_int_equal(fixture->sides[1].frame_bytes, 5);
    assert_int_equal(fixture->sides[0].frame_bytes, 8);
    assert_int_equal(peers_counters(fixture->sides[0].peers)->frames_in, 1);
}

/* How often the loop stayed awake for frames that the two bounced. */
static uint64_t awaits_of_bounces(struct fixture *fixture)
{
    uint64_t before = loop_await_count(fixture->loop);

    for (int i = 0; i < BOUNCES; i++) {
        fixture->sides[0].frames = 0;
        fixture->sides[1].frames = 0;
        send_frame(&fixture->sides[0], bytes_of_string("there"));
        send_frame(&fixture->sides[1], bytes_of_string("and back"));
        wait_for(fixture, both_have_a_frame);
    }
    return loop_await_count(fixture->loop) - before;
}

static void the_loop_stays_awake_for_callers_not_for_members(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    link_two(fixture);
    assert_true(awaits_of_bounces(fixture) >= BOUNCES);
    peer_set_paced(fixture->sides[0].peer, true);
    peer_set_paced(fixture->sides[1].peer, true);
    assert_int_equal(awaits_of_bounces(fixture), 0);
    /* One of them is a caller. */
    peer_set_paced(fixture->sides[1].peer, false);
    assert_true(awaits_of_bounces(fixture) >= BOUNCES);
}

static void a_frame_of_five_megabytes_arrives_whole(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint8_t *data = (uint8_t *)malloc(BIG_SIZE);
    struct bytes frame = bytes_of(data, BIG_SIZE);

    for (size_t i = 0; i < BIG_SIZE; i++) {
        data[i] = (uint8_t)(i * 31 + i / 65536);
    }
    link_two(fixture);
    send_frame(&fixture->sides[0], frame);
    send_frame(&fixture->sides[1], frame);
    wait_for(fixture, both_have_a_frame);
    assert_true(fixture->sides[0].digest == digest_of(0, frame));
    assert_true(fixture->sides[1].digest == digest_of(0, frame));
    /* The memory of big frames is given back. */
    assert_int_equal(fixture->sides[0].peer->input.capacity, 0);
    assert_true(fixture->sides[0].peer->out.capacity <= PEERS_OUT_KEEP_MAX);
    free(data);
}

static bool burst_has_arrived(struct fixture *fixture)
{
    return fixture->sides[1].frames == BURST_FRAMES;
}

static void many_frames_of_all_sizes_keep_their_order(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint8_t *data = (uint8_t *)malloc(BURST_FRAME_MAX);
    uint64_t digest = 0;
    struct rng rng;

    link_two(fixture);
    rng_init(&rng, 42);
    for (int i = 0; i < BURST_FRAMES; i++) {
        uint64_t max = i % 50 == 0 ? BURST_FRAME_MAX : 300;
        size_t size = 1 + (size_t)rng_below(&rng, max);

        for (size_t k = 0; k < size; k++) {
            data[k] = (uint8_t)(k + (size_t)i);
        }
        digest = digest_of(digest, bytes_of(data, size));
        send_frame(&fixture->sides[0], bytes_of(data, size));
    }
    wait_for(fixture, burst_has_arrived);
    assert_true(fixture->sides[1].digest == digest);
    free(data);
}

/* Sends frames of 1, 2, 3, ... bytes and ticks, byte by byte. */
static void *dribble(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    int fd = puppet_shake(fixture->port, "slow@127.0.0.1", "a@127.0.0.1");
    struct buf out;

    buf_init(&out, 65536);
    for (size_t i = 1; i <= DRIBBLED_FRAMES; i++) {
        size_t begin = frame_begin(&out);

        for (size_t k = 0; k < i; k++) {
            buf_put_u8(&out, (uint8_t)(i + k));
        }
        frame_end(&out, begin);
        buf_put_u32(&out, 0);
    }
    for (size_t i = 0; fd >= 0 && i < out.size; i++) {
        if (send(fd, out.data + i, 1, MSG_NOSIGNAL) != 1) {
            return end_puppet(fixture, 1);
        }
        (void)usleep(100);
    }
    buf_close(&out);
    fixture->puppet_fd = fd;
    return end_puppet(fixture, fd < 0);
}

static bool dribble_has_arrived(struct fixture *fixture)
{
    return fixture->sides[0].frames == DRIBBLED_FRAMES;
}

static void frames_may_arrive_byte_by_byte(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint64_t digest = 0;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    start_puppet(fixture, dribble);
    join_puppet(fixture);
    wait_for(fixture, dribble_has_arrived);
    for (size_t i = 1; i <= DRIBBLED_FRAMES; i++) {
        uint8_t frame[DRIBBLED_FRAMES];

        for (size_t k = 0; k < i; k++) {
            frame[k] = (uint8_t)(i + k);
        }
        digest = digest_of(digest, bytes_of(frame, i));
    }
    assert_true(fixture->sides[0].digest == digest);
}

static bool both_were_down(struct fixture *fixture)
{
    return fixture->sides[0].downs > 0 && fixture->sides[1].downs > 0;
}

static void a_cut_link_is_told_once_on_both_sides(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];

    link_two(fixture);
    peer_cut(a->peer, "enough");
    peer_cut(a->peer, "twice");
    assert_null(peers_find(a->peers, bytes_of_string("b@127.0.0.1")));
    assert_int_equal(a->downs, 0);
    wait_for(fixture, both_were_down);
    assert_string_equal(a->down_reason, "enough");
    assert_string_equal(fixture->sides[1].down_reason,
                        "the peer closed the connection");
    assert_int_equal(a->downs, 1);
    assert_int_equal(peers_counters(a->peers)->cut, 1);
    assert_int_equal(peers_counters(fixture->sides[1].peers)->cut, 0);
    assert_int_equal(
        peers_counters(fixture->sides[1].peers)->ended[PEERS_END_CLOSED], 1);
}

static bool last_words_have_arrived(struct fixture *fixture)
{
    return fixture->sides[1].frames == 1 && fixture->sides[1].downs == 1;
}

static void what_was_appended_before_a_cut_is_still_sent(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    link_two(fixture);
    send_frame(&fixture->sides[0], bytes_of_string("farewell"));
    peer_cut(fixture->sides[0].peer, "enough");
    wait_for(fixture, last_words_have_arrived);
}

static void a_second_dial_to_a_linked_peer_does_nothing(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    (void)start_side(fixture, 1, "b@127.0.0.1");
    dial(fixture, 0, 1);
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
    dial(fixture, 0, 1);
    send_frame(&fixture->sides[0], bytes_of_string("x"));
    send_frame(&fixture->sides[1], bytes_of_string("x"));
    wait_for(fixture, both_have_a_frame);
    assert_int_equal(peers_counters(fixture->sides[1].peers)->accepted, 1);
    assert_int_equal(fixture->sides[0].ups, 1);
}

static void two_that_dial_each_other_end_with_one_link(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];
    struct side *b = &fixture->sides[1];

    (void)start_side(fixture, 0, "a@127.0.0.1");
    (void)start_side(fixture, 1, "b@127.0.0.1");
    dial(fixture, 0, 1);
    dial(fixture, 1, 0);
    wait_for(fixture, both_are_up);
    send_frame(a, bytes_of_string("x"));
    send_frame(b, bytes_of_string("x"));
    wait_for(fixture, both_have_a_frame);
    assert_string_equal(a->trace, "up ");
    assert_string_equal(b->trace, "up ");
    /* b is the greater name: its attempt has won, and a's made way for it. */
    assert_int_equal(a->failures, 0);
    assert_int_equal(b->failures, 0);
    assert_int_equal(peers_counters(b->peers)->handshakes_failed, 0);
    assert_true(list_is_empty(&a->peers->dials));
    assert_true(list_is_empty(&b->peers->accepted));
}

static bool first_was_replaced(struct fixture *fixture)
{
    return fixture->sides[1].ups == 2 && fixture->sides[2].ups == 1;
}

static void a_newer_link_of_the_same_name_replaces_the_older(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *b = &fixture->sides[1];

    link_two(fixture);
    (void)start_side(fixture, 2, "a@127.0.0.1");
    dial(fixture, 2, 1);
    wait_for(fixture, first_was_replaced);
    assert_string_equal(b->trace, "up down up ");
    assert_string_equal(b->down_reason, "replaced");
    assert_int_equal(peers_counters(b->peers)->ended[PEERS_END_REPLACED], 1);
    assert_int_equal(peer_creation(b->peer),
                     peers_creation(fixture->sides[2].peers));
    assert_ptr_equal(peers_find(b->peers, bytes_of_string("a@127.0.0.1")),
                     b->peer);
}

static bool a_dial_failed(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0;
}

static void a_refused_connection_is_a_failed_dial(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];
    uint16_t port;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    port = peers_port(start_side(fixture, 1, "b@127.0.0.1"));
    peers_free(fixture->sides[1].peers);
    fixture->sides[1].peers = NULL;
    assert_ok(peers_dial(a->peers, bytes_of_string("b@127.0.0.1"), "127.0.0.1",
                         port));
    assert_int_equal(a->failures, 0);
    wait_for(fixture, a_dial_failed);
    assert_string_equal(a->failed_reason, "connection refused");
}

static void a_host_name_is_resolved(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@localhost");
    (void)start_side(fixture, 1, "b@localhost");
    assert_ok(peers_dial(fixture->sides[0].peers,
                         bytes_of_string("b@localhost"), NULL,
                         peers_port(fixture->sides[1].peers)));
    wait_for(fixture, both_are_up);
}

static void a_dial_under_way_may_be_freed(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peers *peers = start_side(fixture, 0, "a@127.0.0.1");

    /* One at each stage: resolving, connecting. */
    assert_ok(peers_dial(peers, bytes_of_string("b@localhost"), NULL, 1));
    assert_ok(
        peers_dial(peers, bytes_of_string("c@127.0.0.1"), "127.0.0.1", 1));
    (void)start_side(fixture, 1, "d@127.0.0.1");
    dial(fixture, 0, 1);
}

static void bad_arguments_are_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peers *peers = start_side(fixture, 0, "a@127.0.0.1");
    struct peers_config config = config_of(fixture, 1, "b@127.0.0.1");
    struct peers *other = NULL;

    assert_err(peers_dial(peers, bytes_of_string("nohost"), NULL, 1),
               ERR_BADARG);
    assert_err(peers_dial(peers, bytes_of_string("a@127.0.0.1"), NULL, 1),
               ERR_BADARG);
    config.listen_port = peers_port(peers);
    assert_err(peers_new(fixture->loop, &config, &other), ERR_IN_USE);
    config.listen_address = "not an address";
    assert_err(peers_new(fixture->loop, &config, &other), ERR_BADARG);
    config.listen_address = "192.0.2.1";
    assert_err(peers_new(fixture->loop, &config, &other), ERR_BADARG);
    config = config_of(fixture, 1, "noat");
    assert_err(peers_new(fixture->loop, &config, &other), ERR_BADARG);
    assert_null(other);
    peers_free(NULL);
}

static bool quiet_time_is_over(struct fixture *fixture)
{
    return loop_now_ms(fixture->loop) >=
           fixture->sides[0].peer->started_ms + 700;
}

static void ticks_keep_an_idle_link_up(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint64_t bytes_out;

    link_two(fixture);
    hurry(fixture->sides[0].peers);
    hurry(fixture->sides[1].peers);
    bytes_out = peers_counters(fixture->sides[0].peers)->frames_out_bytes;
    /* More than twice as long as a peer may be silent. */
    wait_for(fixture, quiet_time_is_over);
    assert_int_equal(fixture->sides[0].downs, 0);
    assert_int_equal(fixture->sides[1].downs, 0);
    assert_int_equal(fixture->sides[1].frames, 0);
    assert_true(peers_counters(fixture->sides[0].peers)->frames_out_bytes >=
                bytes_out + 5 * 4);
}

static bool first_was_down(struct fixture *fixture)
{
    return fixture->sides[0].downs > 0;
}

/* Reads until the other side closes or `probes` probes were answered, each by
 * one tick; -1: closed before. */
static int answer_probes(int fd, int probes)
{
    static const char name[] = "$quorate_probe";
    static const uint8_t tick[FRAME_HEADER_SIZE] = {0};
    size_t matched = 0;
    char byte;

    while (probes > 0) {
        if (read(fd, &byte, 1) != 1) {
            return -1;
        }
        matched = byte == name[matched] ? matched + 1 : byte == name[0];
        if (matched == sizeof(name) - 1) {
            matched = 0;
            probes--;
            if (write(fd, tick, sizeof(tick)) != (ssize_t)sizeof(tick)) {
                return -1;
            }
        }
    }
    return 0;
}

/* Answers three times, which takes as long as it may be silent, then never. */
static void *fall_silent(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    int fd = puppet_shake(fixture->port, "seldom@127.0.0.1", "a@127.0.0.1");
    int result = fd < 0 ? -1 : answer_probes(fd, 3);

    fixture->puppet_fd = fd;
    return end_puppet(fixture, result);
}

static bool puppet_is_done_and_first_down(struct fixture *fixture)
{
    return fixture->is_puppet_done && first_was_down(fixture);
}

static void a_silent_peer_must_answer(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];

    hurry(start_side(fixture, 0, "a@127.0.0.1"));
    start_puppet(fixture, fall_silent);
    join_puppet(fixture);
    /* Alive by its answers alone, and well past the limit. */
    assert_int_equal(a->downs, 0);
    assert_true(loop_now_ms(fixture->loop) >= a->peer->started_ms + 300);
    wait_for(fixture, puppet_is_done_and_first_down);
    assert_string_equal(a->down_reason, "the peer is silent");
    assert_int_equal(a->frames, 0);
}

static void a_peer_behind_its_hard_limit_is_cut(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];

    link_two(fixture);
    assert_false(peer_is_busy(a->peer));
    assert_null(buf_reserve(peer_out(a->peer), PEERS_OUT_HARD_MAX + 1));
    wait_for(fixture, first_was_down);
    assert_string_equal(a->down_reason,
                        "the peer does not read what it is sent");
    assert_int_equal(peers_counters(a->peers)->cut, 1);
}

/* Shakes hands and reads nothing. */
static void *be_deaf(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    fixture->puppet_fd =
        puppet_shake(fixture->port, "deaf@127.0.0.1", "a@127.0.0.1");
    return end_puppet(fixture, fixture->puppet_fd < 0);
}

static bool is_writing(struct fixture *fixture)
{
    return fixture->sides[0].peer->is_writing;
}

static void a_peer_that_does_not_read_is_busy(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];
    size_t size = PEERS_OUT_SOFT_MAX - 1024;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    start_puppet(fixture, be_deaf);
    join_puppet(fixture);
    assert_non_null(a->peer);
    /* Much more than sockets hold. */
    assert_non_null(buf_reserve(peer_out(a->peer), size));
    memset(a->peer->out.data, 0, size);
    buf_commit(peer_out(a->peer), size);
    assert_false(peer_is_busy(a->peer));
    wait_for(fixture, is_writing);
    assert_non_null(buf_reserve(peer_out(a->peer), PEERS_OUT_SOFT_MAX / 2));
    memset(a->peer->out.data, 0, PEERS_OUT_SOFT_MAX / 2);
    buf_commit(peer_out(a->peer), PEERS_OUT_SOFT_MAX / 2);
    assert_true(peer_is_busy(a->peer));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(dialling_makes_a_link_on_both_sides),
        TEST(frames_go_both_ways),
        TEST(the_loop_stays_awake_for_callers_not_for_members),
        TEST(a_frame_of_five_megabytes_arrives_whole),
        TEST(many_frames_of_all_sizes_keep_their_order),
        TEST(frames_may_arrive_byte_by_byte),
        TEST(a_cut_link_is_told_once_on_both_sides),
        TEST(what_was_appended_before_a_cut_is_still_sent),
        TEST(a_second_dial_to_a_linked_peer_does_nothing),
        TEST(two_that_dial_each_other_end_with_one_link),
        TEST(a_newer_link_of_the_same_name_replaces_the_older),
        TEST(a_refused_connection_is_a_failed_dial),
        TEST(a_host_name_is_resolved),
        TEST(a_dial_under_way_may_be_freed),
        TEST(bad_arguments_are_refused),
        TEST(ticks_keep_an_idle_link_up),
        TEST(a_silent_peer_must_answer),
        TEST(a_peer_behind_its_hard_limit_is_cut),
        TEST(a_peer_that_does_not_read_is_busy),
    };
#undef TEST

    return cmocka_run_group_tests_name("io/peers", tests, NULL, NULL);
}
