/* SPDX-License-Identifier: Apache-2.0
 * Cookies by peer name: which one counts, limits, and that nothing stays. */
#include "lib/test.h"
#include "security/cookies.h"

#include <string.h>

static int add(struct cookies *cookies, const char *pattern, const char *cookie)
{
    return cookies_add(cookies, bytes_of_string(pattern),
                       bytes_of_string(cookie));
}

#define assert_cookie(cookies, name, text)                               \
    assert_bytes(cookies_find((cookies), bytes_of_string(name)), (text), \
                 strlen(text))

static void first_that_matches_counts(void **state)
{
    static struct cookies cookies;

    (void)state;
    cookies_init(&cookies);
    assert_cookie(&cookies, "q1@h", "");
    assert_ok(cookies_set_default(&cookies, bytes_of_string("rest")));
    assert_cookie(&cookies, "q1@h", "rest");
    assert_ok(add(&cookies, "q1@h", "one"));
    assert_ok(add(&cookies, "q*@h", "set"));
    assert_ok(add(&cookies, "q1@*", "never"));
    assert_cookie(&cookies, "q1@h", "one");
    assert_cookie(&cookies, "q2@h", "set");
    assert_cookie(&cookies, "q1@g", "never");
    assert_cookie(&cookies, "w1@h", "rest");
    assert_cookie(&cookies, "", "rest");
}

static void limits_are_kept(void **state)
{
    static struct cookies cookies;
    char text[257];

    (void)state;
    memset(text, 'x', sizeof(text));
    cookies_init(&cookies);
    assert_ok(cookies_set_default(&cookies, bytes_of(text, 255)));
    assert_err(cookies_set_default(&cookies, bytes_of(text, 256)), ERR_LIMIT);
    assert_err(cookies_add(&cookies, bytes_of(text, 256), bytes_of(text, 1)),
               ERR_LIMIT);
    assert_err(cookies_add(&cookies, bytes_of(text, 1), bytes_of(text, 256)),
               ERR_LIMIT);
    assert_int_equal(cookies.count, 0);
    for (int i = 0; i < COOKIES_MAX; i++) {
        assert_ok(
            cookies_add(&cookies, bytes_of(text, 255), bytes_of(text, 255)));
    }
    assert_err(add(&cookies, "q", "c"), ERR_LIMIT);
    assert_int_equal(cookies.count, COOKIES_MAX);
    assert_int_equal(cookies_find(&cookies, bytes_of_string("q")).size, 255);
}

static void wiping_leaves_nothing(void **state)
{
    static struct cookies cookies;
    static const struct cookies nothing;

    (void)state;
    cookies_init(&cookies);
    assert_ok(cookies_set_default(&cookies, bytes_of_string("secret")));
    assert_ok(add(&cookies, "q*", "hidden"));
    cookies_wipe(&cookies);
    assert_memory_equal(&cookies, &nothing, sizeof(nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_that_matches_counts),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(wiping_leaves_nothing),
    };

    return cmocka_run_group_tests_name("security_cookies", tests, NULL, NULL);
}
