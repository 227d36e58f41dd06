/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blob.h"
#include "base/mem.h"
#include "lib/test.h"

static void taking_empties_the_buffer_and_copies_nothing(void **state)
{
    struct buf buf;
    struct blob *blob;
    const uint8_t *data;

    (void)state;
    buf_init(&buf, 100);
    buf_put(&buf, "bytes", 5);
    data = buf.data;
    blob = blob_take(&buf);
    assert_non_null(blob);
    assert_int_equal(buf.size, 0);
    assert_null(buf.data);
    assert_int_equal(buf.size_max, 100);
    assert_ptr_equal(blob_bytes(blob).data, data);
    assert_bytes(blob_bytes(blob), "bytes", 5);
    blob_release(blob);
}

static void bytes_live_until_the_last_holder_lets_go(void **state)
{
    struct blob *blob = blob_copy(bytes_of("bytes", 5));

    (void)state;
    assert_non_null(blob);
    assert_false(blob_is_shared(blob));
    assert_ptr_equal(blob_hold(blob), blob);
    assert_true(blob_is_shared(blob));
    blob_release(blob);
    assert_false(blob_is_shared(blob));
    assert_bytes(blob_bytes(blob), "bytes", 5);
    blob_release(blob);
    blob_release(NULL);
}

static void without_memory_the_buffer_stays_as_it_is(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    buf_put(&buf, "bytes", 5);
    mem_fail_after(0);
    assert_null(blob_take(&buf));
    assert_null(blob_copy(bytes_of("bytes", 5)));
    mem_fail_after(1);
    assert_null(blob_copy(bytes_of("bytes", 5)));
    mem_fail_after(UINT64_MAX);
    assert_bytes(buf_bytes(&buf), "bytes", 5);
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_empties_the_buffer_and_copies_nothing),
        cmocka_unit_test(bytes_live_until_the_last_holder_lets_go),
        cmocka_unit_test(without_memory_the_buffer_stays_as_it_is),
    };

    return cmocka_run_group_tests_name("base_blob", tests, NULL, NULL);
}
