/* SPDX-License-Identifier: Apache-2.0
 * io/peers when a node dials while somebody dials it by the name of that node:
 * the node itself, or a stranger who never proves it. dist/crossing_test.c has
 * all orders of two honest ones. */
#include "unit/io/peers_fixture.h"

enum { STRANGERS = 5, ROUNDS = 200, APART_TURNS = 12 };

static const char *taken_name; /* the name that strangers take */

/* Dials side 0 and says the name. */
static int say_name(struct fixture *fixture)
{
    int fd = puppet_connect(peers_port(fixture->sides[0].peers));
    uint16_t size = (uint16_t)strlen(taken_name);
    struct buf out;

    assert_true(fd >= 0);
    buf_init(&out, 512);
    buf_put_u16(&out, (uint16_t)(15 + size));
    buf_put_u8(&out, 'N');
    buf_put_u64(&out, DIST_FLAGS_OFFERED);
    buf_put_u32(&out, 77);
    buf_put_u16(&out, size);
    buf_put(&out, taken_name, size);
    assert_int_equal(send(fd, out.data, out.size, MSG_NOSIGNAL),
                     (ssize_t)out.size);
    buf_close(&out);
    return fd;
}

static bool is_dialled(struct fixture *fixture)
{
    return listener_has_unproven(fixture->sides[0].peers,
                                 bytes_of_string(taken_name));
}

static bool is_dialled_no_more(struct fixture *fixture)
{
    return !is_dialled(fixture);
}

static bool may_go_on(struct fixture *fixture)
{
    (void)fixture;
    return true;
}

/* Side 0 is m; the one that it dials has a greater name or a lesser one. */
static void start_two(struct fixture *fixture, bool is_greater)
{
    taken_name = is_greater ? "z@127.0.0.1" : "a@127.0.0.1";
    (void)start_side(fixture, 0, "m@127.0.0.1");
    (void)start_side(fixture, 1, taken_name);
}

static void take_turns(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        loop_wake(fixture->loop);
        wait_for(fixture, may_go_on);
    }
}

static void assert_one_link(struct fixture *fixture)
{
    const struct side *dialling = &fixture->sides[0];

    assert_string_equal(dialling->trace, "up ");
    assert_string_equal(fixture->sides[1].trace, "up ");
    assert_int_equal(dialling->failures, 0);
    assert_true(list_is_empty(&dialling->peers->dials));
}

static void a_dial_waits_for_the_attempt_of_the_peer(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_two(fixture, false);
    fixture->puppet_fd = say_name(fixture);
    wait_for(fixture, is_dialled);
    dial(fixture, 0, 1);
    take_turns(fixture, 20);
    assert_int_equal(peers_counters(fixture->sides[1].peers)->accepted, 0);
    assert_int_equal(fixture->sides[0].failures, 0);
    /* It came to nothing: the dial goes on at once. */
    assert_int_equal(shutdown(fixture->puppet_fd, SHUT_RDWR), 0);
    wait_for(fixture, both_are_up);
    assert_one_link(fixture);
}

static void a_dial_ends_with_the_link_that_it_waited_for(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_two(fixture, false);
    fixture->puppet_fd = say_name(fixture);
    wait_for(fixture, is_dialled);
    dial(fixture, 0, 1);
    take_turns(fixture, 20);
    assert_false(list_is_empty(&fixture->sides[0].peers->dials));
    dial(fixture, 1, 0);
    wait_for(fixture, both_are_up);
    assert_one_link(fixture);
    assert_int_equal(peers_counters(fixture->sides[1].peers)->accepted, 0);
}

/* One after another they say that they are the peer, and say nothing more. */
static void strangers_cost_one_handshake_at_most(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    for (int is_greater = 0; is_greater < 2; is_greater++) {
        struct peers *peers;
        uint64_t begun_ms;
        int fds[STRANGERS];

        start_two(fixture, is_greater != 0);
        peers = fixture->sides[0].peers;
        hurry(peers);
        fds[0] = say_name(fixture);
        wait_for(fixture, is_dialled);
        begun_ms = loop_now_ms(fixture->loop);
        dial(fixture, 0, 1);
        for (int i = 1; i < STRANGERS; i++) {
            fds[i] = say_name(fixture);
        }
        wait_for(fixture, both_are_up);
        assert_in_range(loop_now_ms(fixture->loop) - begun_ms, 0,
                        2 * peers->timing.handshake_ms);
        assert_one_link(fixture);
        for (int i = 0; i < STRANGERS; i++) {
            (void)close(fds[i]);
        }
        wait_for(fixture, is_dialled_no_more);
        assert_string_equal(fixture->sides[0].trace, "up ");
        for (int i = 0; i < 2; i++) {
            peers_free(fixture->sides[i].peers);
            memset(&fixture->sides[i], 0, sizeof(fixture->sides[i]));
        }
    }
}

static bool name_was_said(struct fixture *fixture)
{
    const struct peers *peers = fixture->sides[0].peers;

    return dial_crossing(dials_find(peers, bytes_of_string(taken_name))) ==
           CROSSING_SAID;
}

/* Our name is under way to the peer when a stranger takes that of the peer. */
static void a_stranger_does_not_stop_what_is_under_way(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    for (int is_greater = 0; is_greater < 2; is_greater++) {
        start_two(fixture, is_greater != 0);
        dial(fixture, 0, 1);
        wait_for(fixture, name_was_said);
        fixture->puppet_fd = say_name(fixture);
        wait_for(fixture, both_are_up);
        assert_one_link(fixture);
        (void)close(fixture->puppet_fd);
        fixture->puppet_fd = -1;
        for (int i = 0; i < 2; i++) {
            peers_free(fixture->sides[i].peers);
            memset(&fixture->sides[i], 0, sizeof(fixture->sides[i]));
        }
    }
}

static bool both_are_down(struct fixture *fixture)
{
    return fixture->sides[0].peer == NULL && fixture->sides[1].peer == NULL;
}

static bool both_have_a_frame(struct fixture *fixture)
{
    return fixture->sides[0].frames > 0 && fixture->sides[1].frames > 0;
}

/* Each time one of them a little later than the other. */
static void two_that_dial_each_other_always_meet(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *sides = fixture->sides;

    start_two(fixture, true);
    for (int round = 0; round < ROUNDS; round++) {
        size_t first = (size_t)round % 2;

        dial(fixture, first, 1 - first);
        take_turns(fixture, round / 2 % APART_TURNS);
        dial(fixture, 1 - first, first);
        wait_for(fixture, both_are_up);
        for (int i = 0; i < 2; i++) {
            sides[i].frames = 0;
            sides[i].trace[0] = '\0';
            send_frame(&sides[i], bytes_of_string("x"));
        }
        wait_for(fixture, both_have_a_frame);
        assert_int_equal(sides[0].ups, round + 1);
        assert_int_equal(sides[1].ups, round + 1);
        peer_cut(sides[first].peer, "enough");
        wait_for(fixture, both_are_down);
    }
    /* z is the greater name: its own dials go on, those of m are refused if
     * they cross them. */
    assert_int_equal(sides[1].failures, 0);
    if (sides[0].failures > 0) {
        assert_non_null(strstr(sides[0].failed_reason, "own attempt"));
    }
}

/* --- A peer that was refused waits for us -----------------------------------
 */

static int listen_fd;
static int taken_fd;

static bool has_taken(struct fixture *fixture)
{
    (void)fixture;
    taken_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return taken_fd >= 0;
}

static bool has_name(struct fixture *fixture)
{
    uint8_t room[64];

    (void)fixture;
    return recv(taken_fd, room, sizeof(room), MSG_DONTWAIT) > 0;
}

static bool was_refused(struct fixture *fixture)
{
    uint8_t room[64];
    ssize_t size = recv(fixture->puppet_fd, room, sizeof(room), MSG_DONTWAIT);

    if (size > 0) {
        assert_bytes(bytes_of(room, (size_t)size), "\0\4snok", 6);
    }
    return size > 0;
}

static bool a_dial_failed(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0;
}

/* It was told nok, and does not look at its connection any more: an attempt of
 * ours that breaks is made again, once. */
static void who_was_refused_is_dialled_again(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    void *any = &address;

    taken_name = "a@127.0.0.1";
    (void)start_side(fixture, 0, "m@127.0.0.1");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listen_fd, any, size), 0);
    assert_int_equal(listen(listen_fd, 4), 0);
    assert_int_equal(getsockname(listen_fd, any, &size), 0);
    assert_ok(peers_dial(fixture->sides[0].peers, bytes_of_string(taken_name),
                         "127.0.0.1", ntohs(address.sin_port)));
    wait_for(fixture, has_taken);
    wait_for(fixture, has_name);
    fixture->puppet_fd = say_name(fixture);
    wait_for(fixture, was_refused);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture->sides[0].failures, 0);
        (void)close(taken_fd);
        if (i == 0) {
            wait_for(fixture, has_taken);
            wait_for(fixture, has_name);
        }
    }
    wait_for(fixture, a_dial_failed);
    (void)close(listen_fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_dial_waits_for_the_attempt_of_the_peer),
        TEST(a_dial_ends_with_the_link_that_it_waited_for),
        TEST(strangers_cost_one_handshake_at_most),
        TEST(a_stranger_does_not_stop_what_is_under_way),
        TEST(two_that_dial_each_other_always_meet),
        TEST(who_was_refused_is_dialled_again),
    };
#undef TEST

    return cmocka_run_group_tests_name("io/peers_crossing", tests, NULL, NULL);
}
