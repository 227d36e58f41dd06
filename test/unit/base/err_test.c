/* SPDX-License-Identifier: Apache-2.0
 * Every error has its own atom and its own sentence, strangers are named. */
#include "base/err.h"
#include "lib/test.h"

#include <ctype.h>
#include <string.h>

static void known_codes_have_their_atoms(void **state)
{
    (void)state;
    assert_string_equal(err_atom(0), "ok");
    assert_string_equal(err_atom(ERR_NOMEM), "nomem");
    assert_string_equal(err_atom(ERR_NO_QUORUM), "no_quorum");
    assert_string_equal(err_atom(ERR_EXISTS), "already_exists");
    assert_string_equal(err_atom(ERR_UNSUPPORTED), "unsupported");
    assert_string_equal(err_text(ERR_NOMEM), "out of memory");
}

static void atoms_and_texts_are_distinct(void **state)
{
    (void)state;
    for (int a = ERR_BASE + 1; a < ERR_END; a++) {
        assert_true(a < 0);
        assert_string_not_equal(err_atom(a), "unknown");
        assert_string_not_equal(err_text(a), "unknown error");
        for (int b = a + 1; b < ERR_END; b++) {
            assert_string_not_equal(err_atom(a), err_atom(b));
            assert_string_not_equal(err_text(a), err_text(b));
        }
    }
}

static void atoms_need_no_quotes_in_erlang(void **state)
{
    (void)state;
    for (int err = ERR_BASE + 1; err < ERR_END; err++) {
        const char *atom = err_atom(err);

        assert_true(islower(atom[0]));
        for (size_t i = 0; i < strlen(atom); i++) {
            assert_true(islower(atom[i]) || atom[i] == '_');
        }
    }
}

static void strangers_are_unknown(void **state)
{
    static const int strangers[] = {1, -1, ERR_BASE, ERR_END, ERR_BASE - 1};

    (void)state;
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        assert_string_equal(err_atom(strangers[i]), "unknown");
        assert_string_equal(err_text(strangers[i]), "unknown error");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_codes_have_their_atoms),
        cmocka_unit_test(atoms_and_texts_are_distinct),
        cmocka_unit_test(atoms_need_no_quotes_in_erlang),
        cmocka_unit_test(strangers_are_unknown),
    };

    return cmocka_run_group_tests_name("base_err", tests, NULL, NULL);
}
