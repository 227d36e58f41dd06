/* SPDX-License-Identifier: Apache-2.0
 * Attempts whose connection does not come about. */
#include "peers_fixture.h"

static bool a_dial_failed(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0;
}

/* A socket that listens and has no room: what wants to connect is not answered.
 */
static uint16_t fill_listener(int *ret_listener, int fillers[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    for (int i = 0; i < 2; i++) {
        fillers[i] =
            socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, size);
    }
    *ret_listener = fd;
    return ntohs(address.sin_port);
}

static void an_address_that_does_not_answer_is_given_up(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];
    struct peers *peers = start_side(fixture, 0, "a@127.0.0.1");
    struct peers_timing timing = peers->timing;
    int listener;
    int fillers[2];
    uint16_t port = fill_listener(&listener, fillers);

    /* All of the attempt may take longer than this test. */
    timing.handshake_ms = TOO_LATE_MS * 2;
    timing.connect_ms = 100;
    timing.sweep_ms = 10;
    peers_set_timing(peers, &timing);
    assert_ok(
        peers_dial(peers, bytes_of_string("b@127.0.0.1"), "127.0.0.1", port));
    wait_for(fixture, a_dial_failed);
    assert_string_equal(a->failed_reason, "connecting took too long");
    (void)close(listener);
    (void)close(fillers[0]);
    (void)close(fillers[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_that_does_not_answer_is_given_up),
    };

    return cmocka_run_group_tests_name("dialer", tests, NULL, NULL);
}
