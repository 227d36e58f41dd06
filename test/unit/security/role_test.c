/* SPDX-License-Identifier: Apache-2.0
 * Rights and roles: the table as it is meant, and who decides. */
#include "lib/test.h"
#include "security/role.h"

static void rights_are_those_of_the_documents(void **state)
{
    static const struct {
        enum security_right right;
        bool client;
        bool worker;
        bool member;
    } expected[] = {
        {RIGHT_NONE, false, false, false},  {RIGHT_READ, true, true, true},
        {RIGHT_SANDBOX, true, true, true},  {RIGHT_SELECT, true, true, true},
        {RIGHT_STATE, false, true, true},   {RIGHT_NAME, false, true, true},
        {RIGHT_AGENT, false, true, true},   {RIGHT_MEMBER, false, false, true},
        {RIGHT_MANAGE, false, false, true},
    };
    enum { COUNT = sizeof(expected) / sizeof(expected[0]) };

    (void)state;
    assert_int_equal(COUNT, RIGHTS);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(expected[i].right, i);
        assert_int_equal(role_may(ROLE_CLIENT, expected[i].right),
                         expected[i].client);
        assert_int_equal(role_may(ROLE_WORKER, expected[i].right),
                         expected[i].worker);
        assert_int_equal(role_may(ROLE_MEMBER, expected[i].right),
                         expected[i].member);
    }
}

static void each_role_has_the_rights_of_the_lesser_ones(void **state)
{
    (void)state;
    for (int role = 1; role < ROLES; role++) {
        for (int right = 0; right < RIGHTS; right++) {
            if (role_may((enum security_role)(role - 1),
                         (enum security_right)right)) {
                assert_true(role_may((enum security_role)role,
                                     (enum security_right)right));
            }
        }
    }
}

static void texts_are_read_back(void **state)
{
    enum security_role role = ROLE_WORKER;

    (void)state;
    for (int i = 0; i < ROLES; i++) {
        enum security_role back = ROLE_MEMBER;
        const char *text = role_text((enum security_role)i);

        assert_ok(role_parse(bytes_of_string(text), &back));
        assert_int_equal(back, i);
    }
    assert_err(role_parse(bytes_of_string(""), &role), ERR_NOT_FOUND);
    assert_err(role_parse(bytes_of_string("Member"), &role), ERR_NOT_FOUND);
    assert_err(role_parse(bytes_of_string("members"), &role), ERR_NOT_FOUND);
    assert_int_equal(role, ROLE_WORKER);
}

static enum security_role decide(bool is_member, const char *setting,
                                 const char *certificate)
{
    struct role_claims claims = {.is_member = is_member,
                                 .is_set = setting[0] != '\0',
                                 .certificate = bytes_of_string(certificate)};

    if (claims.is_set) {
        assert_ok(role_parse(bytes_of_string(setting), &claims.setting));
    }
    return role_decide(&claims);
}

static void the_name_decides_if_nothing_else_is_said(void **state)
{
    (void)state;
    assert_int_equal(decide(true, "", ""), ROLE_MEMBER);
    assert_int_equal(decide(false, "", ""), ROLE_WORKER);
}

static void the_least_of_what_is_said_counts(void **state)
{
    static const char *const texts[] = {"client", "worker", "member"};

    (void)state;
    for (int setting = 0; setting < ROLES; setting++) {
        for (int certificate = 0; certificate < ROLES; certificate++) {
            int least = setting < certificate ? setting : certificate;

            assert_int_equal(decide(true, texts[setting], texts[certificate]),
                             least);
            assert_int_equal(decide(true, texts[setting], ""), setting);
            assert_int_equal(decide(true, "", texts[certificate]), certificate);
        }
    }
}

static void only_a_configured_name_makes_a_member(void **state)
{
    (void)state;
    assert_int_equal(decide(false, "member", "member"), ROLE_WORKER);
    assert_int_equal(decide(false, "member", ""), ROLE_WORKER);
    assert_int_equal(decide(false, "", "member"), ROLE_WORKER);
    assert_int_equal(decide(false, "client", "member"), ROLE_CLIENT);
}

static void
who_is_called_less_than_a_member_may_not_manage_members(void **state)
{
    static const char *const said[] = {"", "client", "worker", "member"};

    (void)state;
    for (int setting = 0; setting < 4; setting++) {
        for (int certificate = 0; certificate < 4; certificate++) {
            struct role_claims claims = {
                .is_set = setting > 0,
                .certificate = bytes_of_string(said[certificate])};
            bool may = (setting == 0 || setting == 3) &&
                       (certificate == 0 || certificate == 3);

            if (claims.is_set) {
                assert_ok(role_parse(bytes_of_string(said[setting]),
                                     &claims.setting));
            }
            assert_int_equal(role_may_manage(&claims), may);
            claims.is_member = true;
            assert_int_equal(role_may_manage(&claims), may);
        }
    }
}

static void an_unknown_role_of_a_certificate_is_the_least(void **state)
{
    (void)state;
    assert_int_equal(decide(true, "", "operator"), ROLE_CLIENT);
    assert_int_equal(decide(true, "member", "members"), ROLE_CLIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rights_are_those_of_the_documents),
        cmocka_unit_test(each_role_has_the_rights_of_the_lesser_ones),
        cmocka_unit_test(texts_are_read_back),
        cmocka_unit_test(the_name_decides_if_nothing_else_is_said),
        cmocka_unit_test(the_least_of_what_is_said_counts),
        cmocka_unit_test(only_a_configured_name_makes_a_member),
        cmocka_unit_test(an_unknown_role_of_a_certificate_is_the_least),
        cmocka_unit_test(
            who_is_called_less_than_a_member_may_not_manage_members),
    };

    return cmocka_run_group_tests_name("security_role", tests, NULL, NULL);
}
