/* SPDX-License-Identifier: Apache-2.0
 * What the system tells of a connection, and an end for want of a sign of
 * life. */
#include "io/peers_internal.h"
#include "peers_fixture.h"

static bool b_has_a_frame(struct fixture *fixture)
{
    return fixture->sides[1].frames > 0;
}

static bool a_is_acknowledged(struct fixture *fixture)
{
    struct sys_tcp_traffic traffic = {0};

    assert_true(peer_traffic(fixture->sides[0].peer, &traffic));
    return traffic.acked >= 100000;
}

static void packets_and_acknowledgements_are_counted(void **state)
{
    static const uint8_t bytes[100000] = {1};
    struct fixture *fixture = (struct fixture *)*state;
    struct sys_tcp_traffic before;
    struct sys_tcp_traffic after;

    link_two(fixture);
    assert_true(peer_traffic(fixture->sides[1].peer, &before));
    send_frame(&fixture->sides[0], bytes_of(bytes, sizeof(bytes)));
    wait_for(fixture, b_has_a_frame);
    assert_true(peer_traffic(fixture->sides[1].peer, &after));
    assert_true(after.packets > before.packets);
    assert_true(after.received >= before.received + 100000);
    assert_true(after.acked < 100000);
    hurry(fixture->sides[0].peers); /* its ticks are turns to look in */
    wait_for(fixture, a_is_acknowledged);
}

static bool a_is_down(struct fixture *fixture)
{
    return fixture->sides[0].downs > 0;
}

static void silence_ends_a_link_and_is_counted(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct peers_counters *counters;

    link_two(fixture);
    peer_cut_for_silence(fixture->sides[0].peer);
    wait_for(fixture, a_is_down);
    counters = peers_counters(fixture->sides[0].peers);
    assert_int_equal(counters->ended[PEERS_END_SILENT], 1);
    assert_int_equal(counters->cut, 0);
    assert_string_equal(fixture->sides[0].down_reason, "the peer is silent");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packets_and_acknowledgements_are_counted),
        TEST(silence_ends_a_link_and_is_counted),
    };

    return cmocka_run_group_tests_name("sys_tcp", tests, NULL, NULL);
}
