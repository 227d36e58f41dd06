/* SPDX-License-Identifier: Apache-2.0
 * What every unit test includes: cmocka with the headers it needs first, and
 * the assertions of this project. */
#ifndef QUORATE_TEST_LIB_TEST_H
#define QUORATE_TEST_LIB_TEST_H

/* cmocka.h needs these four before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/bytes.h"
#include "base/err.h"

#define assert_ok(rv) assert_string_equal(err_atom(rv), "ok")

#define assert_err(rv, expected) \
    assert_string_equal(err_atom(rv), err_atom(expected))

/* `actual` is a struct bytes. */
#define assert_bytes(actual, expected, expected_size)           \
    do {                                                        \
        struct bytes assert_bytes_ = (actual);                  \
        assert_int_equal(assert_bytes_.size, (expected_size));  \
        if (assert_bytes_.size > 0) {                           \
            assert_memory_equal(assert_bytes_.data, (expected), \
                                assert_bytes_.size);            \
        }                                                       \
    } while (0)

#endif
