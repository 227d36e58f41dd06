/* SPDX-License-Identifier: Apache-2.0
 * io/peers with a port mapper of its own, which comes and goes. */
#include "unit/io/peers_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static pid_t epmd_pid;
static uint16_t epmd_port;

/* A port that is free now. */
static uint16_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr *any = (struct sockaddr *)(void *)&address;
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(fd, any, size), 0);
    assert_int_equal(getsockname(fd, any, &size), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void start_epmd(void)
{
    epmd_pid = fork();
    if (epmd_pid == 0) {
        int fd = open("/dev/null", O_RDWR);

        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        /* It takes its port from the environment, as we do. */
        (void)execlp("epmd", "epmd", "-address", "127.0.0.1", (char *)NULL);
        _exit(127);
    }
    assert_true(epmd_pid > 0);
}

static void end_epmd(void)
{
    int status;

    if (epmd_pid > 0) {
        (void)kill(epmd_pid, SIGKILL);
        (void)waitpid(epmd_pid, &status, 0);
        epmd_pid = 0;
    }
}

static bool has_epmd(void)
{
    return system("command -v epmd >/dev/null 2>&1") == 0;
}

static int set_up_epmd(void **state)
{
    char text[16];

    epmd_port = find_port();
    (void)snprintf(text, sizeof(text), "%u", (unsigned)epmd_port);
    (void)setenv("ERL_EPMD_PORT", text, 1);
    return set_up(state);
}

static int tear_down_epmd(void **state)
{
    end_epmd();
    return tear_down(state);
}

static void start_registered(struct fixture *fixture, size_t index,
                             const char *name)
{
    struct peers_config config = config_of(fixture, index, name);
    struct side *side = &fixture->sides[index];

    config.use_epmd = true;
    assert_ok(peers_new(fixture->loop, &config, &side->peers));
    hurry(side->peers);
}

/* Dials from a to b by name until both are up. */
static bool keep_dialling(struct fixture *fixture)
{
    struct side *a = &fixture->sides[0];

    if (a->peer == NULL && list_is_empty(&a->peers->dials)) {
        assert_ok(
            peers_dial(a->peers, bytes_of_string("b@127.0.0.1"), NULL, 0));
    }
    return both_are_up(fixture);
}

static bool a_dial_failed(struct fixture *fixture)
{
    return fixture->sides[0].failures > 0;
}

static void a_registered_name_is_found(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_epmd();
    start_registered(fixture, 0, "a@127.0.0.1");
    start_registered(fixture, 1, "b@127.0.0.1");
    wait_for(fixture, keep_dialling);
}

static void a_name_that_epmd_does_not_know_is_a_failed_dial(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];

    start_epmd();
    start_registered(fixture, 0, "a@127.0.0.1");
    start_registered(fixture, 1, "b@127.0.0.1");
    wait_for(fixture, keep_dialling); /* now epmd runs */
    a->failures = 0;
    assert_ok(peers_dial(a->peers, bytes_of_string("c@127.0.0.1"), NULL, 0));
    wait_for(fixture, a_dial_failed);
    assert_string_equal(a->failed_reason, "epmd does not know the peer");
}

static void without_epmd_a_dial_by_name_fails(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_registered(fixture, 0, "a@127.0.0.1");
    assert_ok(peers_dial(fixture->sides[0].peers,
                         bytes_of_string("b@127.0.0.1"), NULL, 0));
    wait_for(fixture, a_dial_failed);
    assert_string_equal(fixture->sides[0].failed_reason,
                        "epmd of the peer's host cannot be reached");
}

static bool both_are_down(struct fixture *fixture)
{
    return fixture->sides[0].peer == NULL && fixture->sides[1].peer == NULL;
}

static void a_name_is_registered_again_when_epmd_is_back(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_epmd();
    start_registered(fixture, 0, "a@127.0.0.1");
    start_registered(fixture, 1, "b@127.0.0.1");
    wait_for(fixture, keep_dialling);
    end_epmd();
    peer_cut(fixture->sides[0].peer, "test");
    wait_for(fixture, both_are_down);
    fixture->sides[0].failures = 0;
    assert_ok(peers_dial(fixture->sides[0].peers,
                         bytes_of_string("b@127.0.0.1"), NULL, 0));
    wait_for(fixture, a_dial_failed);
    start_epmd();
    wait_for(fixture, keep_dialling);
    assert_int_equal(fixture->sides[1].ups, 2);
}

static bool second_b_is_found(struct fixture *fixture)
{
    struct side *a = &fixture->sides[0];

    if (a->peer == NULL && list_is_empty(&a->peers->dials)) {
        assert_ok(
            peers_dial(a->peers, bytes_of_string("b@127.0.0.1"), NULL, 0));
    }
    return fixture->sides[2].ups > 0;
}

static void a_taken_name_is_waited_for(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start_epmd();
    start_registered(fixture, 0, "a@127.0.0.1");
    start_registered(fixture, 1, "b@127.0.0.1");
    wait_for(fixture, keep_dialling);
    start_registered(fixture, 2, "b@127.0.0.1");
    peers_free(fixture->sides[1].peers);
    fixture->sides[1].peers = NULL;
    wait_for(fixture, second_b_is_found);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_epmd, tear_down_epmd)
    const struct CMUnitTest tests[] = {
        TEST(a_registered_name_is_found),
        TEST(a_name_that_epmd_does_not_know_is_a_failed_dial),
        TEST(without_epmd_a_dial_by_name_fails),
        TEST(a_name_is_registered_again_when_epmd_is_back),
        TEST(a_taken_name_is_waited_for),
    };
#undef TEST

    if (!has_epmd()) {
        (void)printf("epmd is not installed\n");
        return 1;
    }
    return cmocka_run_group_tests_name("io/peers_epmd", tests, NULL, NULL);
}
