/* SPDX-License-Identifier: Apache-2.0
 * The lane of what may wait: urgent frames overtake it by a bounded number of
 * bytes, it keeps its order, and its limits are those of all output. */
#include "unit/io/peers_fixture.h"
#include "unit/io/tls_fixture.h"

enum {
    BULK_FRAMES = 200,
    BULK_FRAME_SIZE = 64 * 1024 - FRAME_HEADER_SIZE, /* two make a piece */
    BULK_MARK = 'b',
    URGENT_MARK = 'u',
};

/* What has arrived at the second side. */
static struct arrivals {
    size_t bulk;           /* frames */
    size_t urgent;         /* frames */
    size_t urgent_sent;    /* frames */
    size_t bulk_since;     /* bytes since the last urgent frame */
    size_t bulk_since_max; /* bytes, between two urgent ones */
    bool is_first_urgent;
} arrivals;

static void send_marked(struct buf *out, uint8_t mark, uint8_t number,
                        size_t size)
{
    size_t begin = frame_begin(out);
    uint8_t *room = buf_reserve(out, size);

    assert_non_null(room);
    memset(room, number, size);
    room[0] = mark;
    buf_commit(out, size);
    frame_end(out, begin);
}

static void on_marked(void *arg, struct peer *peer, struct bytes frame)
{
    (void)arg;
    (void)peer;
    if (frame.data[0] == URGENT_MARK) {
        arrivals.is_first_urgent |= arrivals.bulk == 0;
        arrivals.urgent++;
        arrivals.bulk_since = 0;
        return;
    }
    assert_int_equal(frame.data[0], BULK_MARK);
    assert_int_equal(frame.data[frame.size - 1], (uint8_t)arrivals.bulk);
    arrivals.bulk++;
    arrivals.bulk_since += FRAME_HEADER_SIZE + frame.size;
    if (arrivals.bulk_since > arrivals.bulk_since_max) {
        arrivals.bulk_since_max = arrivals.bulk_since;
    }
}

static void link_marked(struct fixture *fixture)
{
    struct peers_config config = config_of(fixture, 1, "b@127.0.0.1");

    arrivals = (struct arrivals){0};
    (void)start_side(fixture, 0, "a@127.0.0.1");
    config.callbacks.frame = on_marked;
    assert_ok(peers_new(fixture->loop, &config, &fixture->sides[1].peers));
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
}

static void send_bulk(struct peer *peer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_marked(peer_bulk(peer), BULK_MARK, (uint8_t)i, BULK_FRAME_SIZE);
    }
}

/* An urgent frame in every turn for as long as there is bulk. */
static bool bulk_has_arrived_among_urgent(struct fixture *fixture)
{
    if (arrivals.bulk < BULK_FRAMES) {
        send_marked(peer_out(fixture->sides[0].peer), URGENT_MARK, 0, 8);
        arrivals.urgent_sent++;
    }
    return arrivals.bulk == BULK_FRAMES &&
           arrivals.urgent == arrivals.urgent_sent;
}

static void check_overtaking(struct fixture *fixture)
{
    link_marked(fixture);
    send_bulk(fixture->sides[0].peer, BULK_FRAMES);
    wait_for(fixture, bulk_has_arrived_among_urgent);
    assert_true(arrivals.is_first_urgent);
    assert_int_equal(fixture->sides[0].peer->bulk.size, 0);
    assert_int_equal(fixture->sides[0].peer->bulk_taken, 0);
}

static void urgent_frames_wait_for_one_piece_at_most(void **state)
{
    check_overtaking((struct fixture *)*state);
    assert_in_range(arrivals.bulk_since_max, 1, PEERS_BULK_MAX);
    assert_true(arrivals.urgent >= BULK_FRAMES / 2);
}

static void the_same_holds_over_tls(void **state)
{
    static const char *const names[] = {"a@127.0.0.1", "b@127.0.0.1"};
    struct fixture *fixture = (struct fixture *)*state;
    struct certificates certificates;
    struct tls *tls[2];

    certificates_init(&certificates);
    for (size_t i = 0; i < 2; i++) {
        const struct tls_config config =
            certificates_config(&certificates, "ours", names[i]);

        tls[i] = certificates_tls(&config);
        fixture->sides[i].tls = tls[i];
    }
    certificates_close(&certificates);
    check_overtaking(fixture);
    assert_in_range(arrivals.bulk_since_max, 1, PEERS_BULK_MAX);
    for (size_t i = 0; i < 2; i++) {
        peers_free(fixture->sides[i].peers);
        fixture->sides[i].peers = NULL;
        tls_free(tls[i]);
    }
}

static bool bulk_has_arrived(struct fixture *fixture)
{
    (void)fixture;
    return arrivals.bulk == BULK_FRAMES;
}

static void bulk_alone_goes_on_by_itself(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    link_marked(fixture);
    send_bulk(fixture->sides[0].peer, BULK_FRAMES);
    wait_for(fixture, bulk_has_arrived);
}

static bool one_bulk_frame_has_arrived(struct fixture *fixture)
{
    (void)fixture;
    return arrivals.bulk == 1;
}

static void a_frame_longer_than_a_piece_goes_whole(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peer *peer;

    link_marked(fixture);
    peer = fixture->sides[0].peer;
    send_marked(peer_bulk(peer), BULK_MARK, 0, 5 * PEERS_BULK_MAX);
    send_marked(peer_bulk(peer), BULK_MARK, 1, 8);
    peer_take_bulk(peer);
    assert_int_equal(peer->out.size, FRAME_HEADER_SIZE + 5 * PEERS_BULK_MAX);
    assert_int_equal(peer_bulk_size(peer), FRAME_HEADER_SIZE + 8);
    wait_for(fixture, one_bulk_frame_has_arrived);
}

/* A great deal of bulk is not moved about for each piece of it. */
static void taking_moves_no_more_than_was_taken(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct peer *peer;

    link_marked(fixture);
    peer = fixture->sides[0].peer;
    send_bulk(peer, 8);
    peer_take_bulk(peer);
    peer_take_bulk(peer);
    assert_int_equal(peer->bulk_taken, 2 * PEERS_BULK_MAX);
    assert_int_equal(peer->bulk.size, 4 * PEERS_BULK_MAX);
    peer_take_bulk(peer);
    assert_int_equal(peer->bulk_taken, 0);
    assert_int_equal(peer->bulk.size, PEERS_BULK_MAX);
    peer_take_bulk(peer);
    assert_int_equal(peer->bulk.size, 0);
    peer_take_bulk(peer);
    assert_int_equal(peer->out.size, 4 * PEERS_BULK_MAX);
}

static bool first_was_down(struct fixture *fixture)
{
    return fixture->sides[0].downs > 0;
}

static void bulk_counts_into_the_limits(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct side *a = &fixture->sides[0];
    const uint64_t *ended;

    link_marked(fixture);
    send_marked(peer_bulk(a->peer), BULK_MARK, 0, FRAME_SIZE_MAX);
    assert_true(peer_is_busy(a->peer));
    for (int i = 0; i < 2; i++) {
        send_marked(peer_bulk(a->peer), BULK_MARK, 0, FRAME_SIZE_MAX);
    }
    /* More than may be: an error that stays, and then the end. */
    assert_null(buf_reserve(peer_bulk(a->peer), FRAME_SIZE_MAX));
    wait_for(fixture, first_was_down);
    assert_string_equal(a->down_reason,
                        "the peer does not read what it is sent");
    ended = peers_counters(a->peers)->ended;
    assert_int_equal(ended[PEERS_END_UNREAD], 1);
    assert_int_equal(ended[PEERS_END_CLOSED], 0);
    assert_int_equal(peers_counters(a->peers)->cut, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(urgent_frames_wait_for_one_piece_at_most),
        TEST(the_same_holds_over_tls),
        TEST(bulk_alone_goes_on_by_itself),
        TEST(a_frame_longer_than_a_piece_goes_whole),
        TEST(taking_moves_no_more_than_was_taken),
        TEST(bulk_counts_into_the_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
