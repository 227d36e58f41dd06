/* SPDX-License-Identifier: Apache-2.0
 * Long frames without copies: the receiver keeps the memory that one is in,
 * the sender takes what is big out of blobs. */
#include "base/mem.h"
#include "unit/io/peers_fixture.h"
#include "unit/io/tls_fixture.h"

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

/* --- Sending -------------------------------------------------------------- */

static struct blob *make_pattern(size_t size)
{
    struct buf buf;
    struct blob *blob;

    buf_init(&buf, size);
    for (size_t i = 0; i < size; i++) {
        buf_put_u8(&buf, (uint8_t)(i % 251));
    }
    blob = blob_take(&buf);
    assert_non_null(blob);
    return blob;
}

/* A frame with the pattern, of which all but the first `head` and the last
 * `tail` bytes come from the blob, in two inserts. */
static void send_with_inserts(struct side *side, struct blob *blob, size_t head,
                              size_t tail)
{
    struct bytes all = blob_bytes(blob);
    struct buf *out = peer_out(side->peer);
    size_t middle = (all.size - head - tail) / 3;
    size_t begin = out->size;

    buf_put_u32(out, (uint32_t)all.size);
    buf_put(out, all.data, head);
    peer_out_shared(side->peer, bytes_of(all.data + head, middle), blob);
    peer_out_shared(
        side->peer,
        bytes_of(all.data + head + middle, all.size - head - middle - tail),
        blob);
    buf_put(out, all.data + all.size - tail, tail);
    assert_int_equal(out->size, begin + FRAME_HEADER_SIZE + head + tail);
}

static bool has_seven_frames(struct fixture *fixture)
{
    return fixture->sides[1].frames == 7;
}

static uint64_t digest_of_pattern(uint64_t digest, const struct blob *blob,
                                  size_t size)
{
    return digest_of(digest, bytes_of(blob_bytes(blob).data, size));
}

/* Frames with and without inserts, in one turn, keep their order. */
static void check_inserts(struct fixture *fixture)
{
    struct blob *big = make_pattern(BIG);
    struct blob *small = make_pattern(1000);
    struct side *side = &fixture->sides[0];
    uint64_t digest = 0;

    start(fixture);
    send_pattern(side, 10);
    send_with_inserts(side, big, 100, 50);
    send_with_inserts(side, small, 0, 0);
    send_pattern(side, 300000);
    send_with_inserts(side, big, 0, 1);
    send_with_inserts(side, big, 300000, 0);
    send_pattern(side, 20);
    digest = digest_of_pattern(digest, big, 10);
    digest = digest_of_pattern(digest, big, BIG);
    digest = digest_of_pattern(digest, big, 1000);
    digest = digest_of_pattern(digest, big, 300000);
    digest = digest_of_pattern(digest, big, BIG);
    digest = digest_of_pattern(digest, big, BIG);
    digest = digest_of_pattern(digest, big, 20);
    assert_true(blob_is_shared(big));
    assert_true(side->peer->insert_bytes > 2 * (size_t)BIG);
    wait_for(fixture, has_seven_frames);
    assert_int_equal(fixture->sides[1].digest, digest);
    assert_int_equal(side->peer->insert_bytes, 0);
    assert_false(blob_is_shared(big));
    assert_false(blob_is_shared(small));
    blob_release(big);
    blob_release(small);
    blob_release(taker.blob);
}

static void inserts_arrive_where_they_belong(void **state)
{
    check_inserts((struct fixture *)*state);
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
    check_inserts(fixture);
    for (size_t i = 0; i < 2; i++) {
        peers_free(fixture->sides[i].peers);
        fixture->sides[i].peers = NULL;
        tls_free(tls[i]);
    }
}

static bool first_was_down(struct fixture *fixture)
{
    return fixture->sides[0].downs == 1;
}

static void inserts_count_as_output_and_go_with_the_link(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct blob *big = make_pattern(BIG);
    struct side *side = &fixture->sides[0];

    start(fixture);
    assert_false(peer_is_busy(side->peer));
    for (size_t size = 0; size <= PEERS_OUT_SOFT_MAX; size += BIG) {
        send_with_inserts(side, big, 1, 1);
    }
    assert_true(peer_is_busy(side->peer));
    peer_cut(side->peer, "enough");
    wait_for(fixture, first_was_down);
    peers_free(side->peers);
    side->peers = NULL;
    peers_free(fixture->sides[1].peers);
    fixture->sides[1].peers = NULL;
    loop_free(fixture->loop);
    fixture->loop = NULL;
    assert_false(blob_is_shared(big));
    blob_release(big);
    blob_release(taker.blob);
}

static void without_memory_for_an_insert_the_link_is_cut(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct blob *big = make_pattern(BIG);
    struct side *side = &fixture->sides[0];

    start(fixture);
    buf_put_u32(peer_out(side->peer), BIG);
    mem_fail_after(0);
    peer_out_shared(side->peer, blob_bytes(big), big);
    mem_fail_after(UINT64_MAX);
    assert_false(blob_is_shared(big));
    wait_for(fixture, first_was_down);
    assert_string_equal(side->down_reason, "out of memory");
    blob_release(big);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_long_frame_may_be_kept_and_the_next_one_arrives),
        TEST(without_memory_the_frame_is_where_it_was),
        TEST(inserts_arrive_where_they_belong),
        TEST(the_same_holds_over_tls),
        TEST(inserts_count_as_output_and_go_with_the_link),
        TEST(without_memory_for_an_insert_the_link_is_cut),
    };
#undef TEST

    return cmocka_run_group_tests_name("io_peer_big", tests, NULL, NULL);
}
