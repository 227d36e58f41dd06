/* SPDX-License-Identifier: Apache-2.0
 * Frames: cut anywhere they wait, and too long ones are refused early. */
#include "dist/frame.h"
#include "lib/test.h"

static void frames_come_out_one_by_one(void **state)
{
    struct buf out;
    struct bytes input;
    struct bytes frame;
    size_t used;
    size_t begin;

    (void)state;
    buf_init(&out, 100);
    begin = frame_begin(&out);
    buf_put(&out, "first", 5);
    frame_end(&out, begin);
    begin = frame_begin(&out);
    frame_end(&out, begin);
    begin = frame_begin(&out);
    buf_put(&out, "x", 1);
    frame_end(&out, begin);
    assert_ok(buf_error(&out));

    input = buf_bytes(&out);
    assert_ok(frame_next(input, 10, &frame, &used));
    assert_bytes(frame, "first", 5);
    assert_int_equal(used, 9);
    input = bytes_of(input.data + used, input.size - used);
    assert_ok(frame_next(input, 10, &frame, &used));
    assert_int_equal(frame.size, 0);
    assert_int_equal(used, 4);
    input = bytes_of(input.data + used, input.size - used);
    assert_ok(frame_next(input, 10, &frame, &used));
    assert_bytes(frame, "x", 1);
    assert_int_equal(used, 5);
    buf_close(&out);
}

static void parts_of_frames_wait_for_the_rest(void **state)
{
    static const char whole[] = "\0\0\0\3abc";
    struct bytes frame;
    size_t used;

    (void)state;
    for (size_t size = 0; size < 7; size++) {
        used = 99;
        assert_err(frame_next(bytes_of(whole, size), 10, &frame, &used),
                   ERR_TRUNCATED);
        assert_int_equal(used, size < 4 ? 0 : 7);
    }
    assert_ok(frame_next(bytes_of(whole, 7), 3, &frame, &used));
    assert_bytes(frame, "abc", 3);
}

static void long_frames_are_refused_by_their_length(void **state)
{
    struct bytes frame;
    size_t used;

    (void)state;
    assert_err(frame_next(bytes_of("\0\0\0\4", 4), 3, &frame, &used),
               ERR_LIMIT);
    assert_err(frame_next(bytes_of("\xff\xff\xff\xff", 4), FRAME_SIZE_MAX,
                          &frame, &used),
               ERR_LIMIT);
}

static void a_full_buffer_keeps_its_error(void **state)
{
    struct buf out;
    size_t begin;

    (void)state;
    buf_init(&out, 6);
    begin = frame_begin(&out);
    buf_put(&out, "abc", 3);
    frame_end(&out, begin);
    assert_err(buf_error(&out), ERR_LIMIT);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_one_by_one),
        cmocka_unit_test(parts_of_frames_wait_for_the_rest),
        cmocka_unit_test(long_frames_are_refused_by_their_length),
        cmocka_unit_test(a_full_buffer_keeps_its_error),
    };

    return cmocka_run_group_tests_name("dist_frame", tests, NULL, NULL);
}
