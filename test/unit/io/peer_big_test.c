/* SPDX-License-Identifier: Apache-2.0
 * Long frames without copies: the receiver keeps the memory that one is in. */
#include "base/mem.h"
#include "unit/io/peers_fixture.h"

enum { BIG = 5 * 1024 * 1024 };

struct taker {
    struct side *side;
    struct blob *blob;  /* owned */
    struct bytes frame; /* in it */
    bool is_without_memory;
};

static struct taker taker;

static void take_frame(void *arg, struct peer *peer, struct bytes frame)
{
    on_frame(arg, peer, frame);
    if (taker.is_without_memory) {
        mem_fail_after(0);
    }
    blob_release(taker.blob);
    taker.blob = peer_take_frame(peer);
    taker.frame = frame;
    mem_fail_after(UINT64_MAX);
}

static void start(struct fixture *fixture)
{
    struct peers_config config = config_of(fixture, 1, "b@127.0.0.1");

    taker = (struct taker){.side = &fixture->sides[1]};
    config.callbacks.frame = take_frame;
    (void)start_side(fixture, 0, "a@127.0.0.1");
    assert_ok(peers_new(fixture->loop, &config, &fixture->sides[1].peers));
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
}

static void send_pattern(struct side *side, size_t size)
{
    struct buf *out = peer_out(side->peer);
    size_t begin = frame_begin(out);

    for (size_t i = 0; i < size; i++) {
        buf_put_u8(out, (uint8_t)(i % 251));
    }
    frame_end(out, begin);
}

static void check_pattern(struct bytes bytes, size_t size)
{
    assert_int_equal(bytes.size, size);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(bytes.data[i], i % 251);
    }
}

static bool has_one_frame(struct fixture *fixture)
{
    return fixture->sides[1].frames == 1;
}

static bool has_two_frames(struct fixture *fixture)
{
    return fixture->sides[1].frames == 2;
}

static bool has_three_frames(struct fixture *fixture)
{
    return fixture->sides[1].frames == 3;
}

static void a_long_frame_may_be_kept_and_the_next_one_arrives(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct blob *kept;
    struct bytes frame;

    start(fixture);
    send_pattern(&fixture->sides[0], BIG);
    wait_for(fixture, has_one_frame);
    kept = taker.blob;
    frame = taker.frame;
    taker.blob = NULL;
    assert_non_null(kept);
    assert_true(frame.data > blob_bytes(kept).data);
    assert_true(blob_bytes(kept).size == BIG + FRAME_HEADER_SIZE);

    send_pattern(&fixture->sides[0], 1000);
    wait_for(fixture, has_two_frames);
    assert_null(taker.blob); /* it was in memory that all share */

    send_pattern(&fixture->sides[0], BIG + 1);
    wait_for(fixture, has_three_frames);
    check_pattern(taker.frame, BIG + 1);
    check_pattern(frame, BIG);
    blob_release(kept);
    blob_release(taker.blob);
}

static void without_memory_the_frame_is_where_it_was(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    start(fixture);
    taker.is_without_memory = true;
    send_pattern(&fixture->sides[0], BIG);
    wait_for(fixture, has_one_frame);
    assert_null(taker.blob);
    assert_int_equal(fixture->sides[1].frame_bytes, BIG);
    taker.is_without_memory = false;
    send_pattern(&fixture->sides[0], BIG);
    wait_for(fixture, has_two_frames);
    check_pattern(taker.frame, BIG);
    blob_release(taker.blob);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_long_frame_may_be_kept_and_the_next_one_arrives),
        TEST(without_memory_the_frame_is_where_it_was),
    };
#undef TEST

    return cmocka_run_group_tests_name("io_peer_big", tests, NULL, NULL);
}
