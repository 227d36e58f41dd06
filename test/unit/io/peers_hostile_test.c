/* SPDX-License-Identifier: Apache-2.0
 * io/peers among strangers: wrong cookies, garbage, silence, long frames, and
 * a lack of descriptors. None of it keeps an honest peer out. */
#include "base/rng.h"
#include "unit/io/peers_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>

enum { SILENT_COUNT = PEERS_HANDSHAKES_MAX + 10, GARBAGE_ROUNDS = 30 };

static bool a_dial_failed(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0;
}

static void another_cookie_is_refused_on_both_sides(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peers_config config = config_of(fixture, 1, "b@127.0.0.1");

    (void)start_side(fixture, 0, "a@127.0.0.1");
    config.cookie = bytes_of_string("other");
    assert_ok(peers_new(fixture->loop, &config, &fixture->sides[1].peers));
    dial(fixture, 0, 1);
    wait_for(fixture, a_dial_failed);
    assert_non_null(strstr(fixture->sides[0].failed_reason, "cookie"));
    assert_int_equal(fixture->sides[0].ups, 0);
    assert_int_equal(fixture->sides[1].ups, 0);
    assert_int_equal(peers_counters(fixture->sides[1].peers)->handshakes_failed,
                     1);
}

/* What the shell says of a name counts in both roles. */
static struct bytes find_cookie(void *arg, struct bytes peer_name)
{
    const struct side *side = (const struct side *)arg;

    assert_true(side == &side->fixture->sides[0] ||
                side == &side->fixture->sides[1]);
    return bytes_of_string(bytes_is(peer_name, "a@127.0.0.1") ||
                                   bytes_is(peer_name, "b@127.0.0.1")
                               ? "of the two"
                               : "of all others");
}

static void cookies_are_found_by_name(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    for (size_t i = 0; i < 2; i++) {
        struct peers_config config =
            config_of(fixture, i, i == 0 ? "a@127.0.0.1" : "b@127.0.0.1");

        config.cookie = bytes_of(NULL, 0);
        config.find_cookie = find_cookie;
        assert_ok(peers_new(fixture->loop, &config, &fixture->sides[i].peers));
    }
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
}

static void *talk_garbage(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    struct rng rng;

    rng_init(&rng, 3);
    for (int i = 0; i < GARBAGE_ROUNDS; i++) {
        uint8_t garbage[2048];
        int fd = puppet_connect(fixture->port);

        for (size_t k = 0; k < sizeof(garbage); k++) {
            garbage[k] = (uint8_t)rng_next(&rng);
        }
        if (fd < 0) {
            return end_puppet(fixture, 1);
        }
        (void)send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
        (void)await_close(fd);
        (void)close(fd);
    }
    return end_puppet(fixture, 0);
}

static void garbage_is_answered_by_closing(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    hurry(fixture->sides[0].peers);
    start_puppet(fixture, talk_garbage);
    join_puppet(fixture);
    assert_int_equal(peers_counters(fixture->sides[0].peers)->handshakes_failed,
                     GARBAGE_ROUNDS);
    assert_int_equal(fixture->sides[0].ups, 0);
}

static void *be_silent(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    int fd = puppet_connect(fixture->port);

    (void)await_close(fd);
    (void)close(fd);
    return end_puppet(fixture, fd < 0);
}

static void a_silent_connection_is_closed_in_time(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    hurry(fixture->sides[0].peers);
    start_puppet(fixture, be_silent);
    join_puppet(fixture);
    assert_int_equal(peers_counters(fixture->sides[0].peers)->handshakes_failed,
                     1);
    assert_int_equal(fixture->sides[0].peers->accepted_count, 0);
}

static bool second_is_up(struct fixture *fixture)
{
    return fixture->sides[1].peer != NULL;
}

static bool silent_ones_are_accepted(struct fixture *fixture)
{
    return peers_counters(fixture->sides[0].peers)->accepted >= SILENT_COUNT;
}

static bool silent_ones_and_one_are_accepted(struct fixture *fixture)
{
    return peers_counters(fixture->sides[0].peers)->accepted > SILENT_COUNT;
}

static bool a_name_was_heard(struct fixture *fixture)
{
    const struct peers *peers = fixture->sides[0].peers;

    return peers->accepted_count == 1 &&
           LIST_ENTRY(peers->accepted.next, struct peer, link)->is_named;
}

static void who_has_said_its_name_goes_last(void **state)
{
    static const uint8_t name[] = "\0\x1a"
                                  "N\0\0\0\x0d\x07\xdf\x7f\xbd\0\0\0\1\0\x0b"
                                  "b@127.0.0.1";
    struct fixture *fixture = (struct fixture *)*state;
    struct peers *peers = start_side(fixture, 0, "a@127.0.0.1");
    const struct peer *named;
    int fd = puppet_connect(peers_port(peers));
    int fds[SILENT_COUNT];

    assert_int_equal(send(fd, name, sizeof(name) - 1, MSG_NOSIGNAL),
                     sizeof(name) - 1);
    wait_for(fixture, a_name_was_heard);
    named = LIST_ENTRY(peers->accepted.next, struct peer, link);
    for (int i = 0; i < SILENT_COUNT; i++) {
        fds[i] = puppet_connect(peers_port(peers));
        assert_true(fds[i] >= 0);
    }
    wait_for(fixture, silent_ones_and_one_are_accepted);
    assert_ptr_equal(peers->accepted.next, &named->link);
    assert_int_equal(peers_counters(peers)->handshakes_failed,
                     SILENT_COUNT + 1 - PEERS_HANDSHAKES_MAX);
    (void)close(fd);
    for (int i = 0; i < SILENT_COUNT; i++) {
        (void)close(fds[i]);
    }
}

static void silent_connections_do_not_lock_out_a_peer(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peers *peers = start_side(fixture, 0, "a@127.0.0.1");
    int fds[SILENT_COUNT];

    for (int i = 0; i < SILENT_COUNT; i++) {
        fds[i] = puppet_connect(peers_port(peers));
        assert_true(fds[i] >= 0);
    }
    wait_for(fixture, silent_ones_are_accepted);
    assert_int_equal(peers->accepted_count, PEERS_HANDSHAKES_MAX);
    (void)start_side(fixture, 1, "b@127.0.0.1");
    dial(fixture, 1, 0);
    wait_for(fixture, second_is_up);
    /* The oldest ones had to go. */
    assert_int_equal(peers_counters(peers)->handshakes_failed,
                     SILENT_COUNT + 1 - PEERS_HANDSHAKES_MAX);
    for (int i = 0; i < SILENT_COUNT; i++) {
        (void)close(fds[i]);
    }
}

static void *send_too_long(void *arg)
{
    static const uint8_t frame[] = {0xff, 0xff, 0xff, 0xff, 112};
    struct fixture *fixture = (struct fixture *)arg;
    int fd = puppet_shake(fixture->port, "bad@127.0.0.1", "a@127.0.0.1");

    if (fd < 0 || send(fd, frame, sizeof(frame), MSG_NOSIGNAL) < 0) {
        return end_puppet(fixture, 1);
    }
    (void)await_close(fd);
    (void)close(fd);
    return end_puppet(fixture, 0);
}

static void too_long_a_frame_cuts_the_link(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];

    (void)start_side(fixture, 0, "a@127.0.0.1");
    start_puppet(fixture, send_too_long);
    join_puppet(fixture);
    assert_string_equal(a->trace, "up down ");
    assert_string_equal(a->down_reason, "too long a frame");
    assert_int_equal(peers_counters(a->peers)->ended[PEERS_END_INPUT], 1);
    assert_int_equal(peers_counters(a->peers)->cut, 1);
}

/* Announces the longest frame and sends a little of it. */
static void *promise_much(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;
    uint8_t head[1004] = {0x04, 0x00, 0xff, 0x00};

    fixture->puppet_fd =
        puppet_shake(fixture->port, "big@127.0.0.1", "a@127.0.0.1");
    return end_puppet(fixture, fixture->puppet_fd < 0 ||
                                   send(fixture->puppet_fd, head, sizeof(head),
                                        MSG_NOSIGNAL) < 0);
}

static bool promise_has_arrived(struct fixture *fixture)
{
    return fixture->sides[0].peer != NULL &&
           fixture->sides[0].peer->input.size == 1004;
}

static bool first_was_down(struct fixture *fixture)
{
    return fixture->sides[0].downs > 0;
}

static void an_announced_length_claims_no_memory(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];

    (void)start_side(fixture, 0, "a@127.0.0.1");
    start_puppet(fixture, promise_much);
    join_puppet(fixture);
    wait_for(fixture, promise_has_arrived);
    assert_true(a->peer->input.capacity < 256 * 1024);
    /* And then it says nothing any more. */
    hurry(a->peers);
    wait_for(fixture, first_was_down);
    assert_string_equal(a->down_reason, "the peer is silent");
    assert_int_equal(peers_counters(a->peers)->ended[PEERS_END_SILENT], 1);
    assert_int_equal(peers_counters(a->peers)->cut, 0);
    assert_int_equal(a->frames, 0);
}

static void our_own_name_is_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    (void)start_side(fixture, 1, "a@127.0.0.1");
    assert_ok(peers_dial(fixture->sides[0].peers,
                         bytes_of_string("b@127.0.0.1"), "127.0.0.1",
                         peers_port(fixture->sides[1].peers)));
    wait_for(fixture, a_dial_failed);
    assert_int_equal(fixture->sides[1].ups, 0);
}

static void a_peer_of_another_name_is_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)start_side(fixture, 0, "a@127.0.0.1");
    (void)start_side(fixture, 1, "b@127.0.0.1");
    assert_ok(peers_dial(fixture->sides[0].peers,
                         bytes_of_string("c@127.0.0.1"), "127.0.0.1",
                         peers_port(fixture->sides[1].peers)));
    wait_for(fixture, a_dial_failed);
    assert_non_null(strstr(fixture->sides[0].failed_reason, "another name"));
}

/* The lowest descriptor number that is free. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)close(fd);
    return fd;
}

static bool connection_was_dropped(struct fixture *fixture)
{
    char byte;

    return recv(fixture->puppet_fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void a_lack_of_descriptors_is_survived(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peers *peers = start_side(fixture, 0, "a@127.0.0.1");
    struct rlimit saved;
    struct rlimit limit;

    (void)start_side(fixture, 1, "b@127.0.0.1");
    fixture->puppet_fd = puppet_connect(peers_port(peers));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
    limit = saved;
    limit.rlim_cur = (rlim_t)next_descriptor();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    log_set_level(LOG_ERROR);
    /* There is none for it, so that it is accepted and closed. */
    wait_for(fixture, connection_was_dropped);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
    dial(fixture, 1, 0);
    wait_for(fixture, second_is_up);
}

/* --- Floods --------------------------------------------------------------- */

enum { FLOOD_FRAME = 1000, FLOOD_COUNT = 32 * 1024 };

static size_t flood_seen;       /* bytes, at the end of the last turn */
static size_t flood_turn_most;  /* of one turn */
static size_t flood_turn_count; /* with something in them */

/* Writes as fast as it is read. */
static void *run_flood(void *arg)
{
    static uint8_t frames[64 * (FRAME_HEADER_SIZE + FLOOD_FRAME)];
    struct fixture *fixture = (struct fixture *)arg;
    int fd = puppet_shake(fixture->port, "flood@127.0.0.1", "a@127.0.0.1");
    bool is_right = fd >= 0;

    for (size_t i = 0; i < 64; i++) {
        uint8_t *frame = frames + i * (FRAME_HEADER_SIZE + FLOOD_FRAME);

        frame[2] = FLOOD_FRAME >> 8;
        frame[3] = FLOOD_FRAME & 0xff;
        memset(frame + FRAME_HEADER_SIZE, 1, FLOOD_FRAME);
    }
    for (size_t i = 0; is_right && i < FLOOD_COUNT / 64; i++) {
        is_right = write(fd, frames, sizeof(frames)) == (ssize_t)sizeof(frames);
    }
    if (fd >= 0) {
        (void)shutdown(fd, SHUT_WR);
        (void)await_close(fd);
        (void)close(fd);
    }
    return end_puppet(fixture, is_right ? 0 : 1);
}

static bool flood_is_over(struct fixture *fixture)
{
    size_t now = fixture->sides[0].frame_bytes;

    if (now - flood_seen > flood_turn_most) {
        flood_turn_most = now - flood_seen;
    }
    flood_turn_count += now > flood_seen ? 1 : 0;
    flood_seen = now;
    return now >= (size_t)FLOOD_COUNT * FLOOD_FRAME;
}

static void a_peer_has_no_more_than_its_share_of_a_turn(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    flood_seen = 0;
    flood_turn_most = 0;
    flood_turn_count = 0;
    (void)start_side(fixture, 0, "a@127.0.0.1");
    start_puppet(fixture, run_flood);
    wait_for(fixture, flood_is_over);
    join_puppet(fixture);
    assert_int_equal(fixture->sides[0].frames, FLOOD_COUNT);
    assert_in_range(flood_turn_most, 1, PEERS_TURN_SIZE + PEERS_READ_SIZE);
    assert_true(flood_turn_count >=
                (size_t)FLOOD_COUNT * FLOOD_FRAME / flood_turn_most);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(another_cookie_is_refused_on_both_sides),
        TEST(cookies_are_found_by_name),
        TEST(garbage_is_answered_by_closing),
        TEST(a_silent_connection_is_closed_in_time),
        TEST(who_has_said_its_name_goes_last),
        TEST(silent_connections_do_not_lock_out_a_peer),
        TEST(too_long_a_frame_cuts_the_link),
        TEST(an_announced_length_claims_no_memory),
        TEST(our_own_name_is_refused),
        TEST(a_peer_of_another_name_is_refused),
        TEST(a_lack_of_descriptors_is_survived),
        TEST(a_peer_has_no_more_than_its_share_of_a_turn),
    };
#undef TEST

    return cmocka_run_group_tests_name("io/peers_hostile", tests, NULL, NULL);
}
