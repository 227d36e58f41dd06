/* SPDX-License-Identifier: Apache-2.0
 * The help texts: complete, and at home on a terminal. */
#include "cli/options.h"
#include "cli/tables.h"
#include "lib/test.h"

#include <string.h>

enum { TEXT_SIZE_MAX = 65536, COLUMNS_MAX = 79 };

/* The text of a topic, in a buffer that lives until the next call. */
static const char *help_of(enum options_command topic)
{
    static char text[TEXT_SIZE_MAX];
    struct buf buf;

    buf_init(&buf, TEXT_SIZE_MAX - 1);
    options_help(&buf, topic);
    assert_int_equal(buf_error(&buf), 0);
    memcpy(text, buf.data, buf.size);
    text[buf.size] = '\0';
    buf_close(&buf);
    return text;
}

static void every_text_fits_80_columns(void **state)
{
    (void)state;
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        const char *line = help_of((enum options_command)i);

        while (*line != '\0') {
            size_t size = strcspn(line, "\n");

            assert_true(size <= COLUMNS_MAX);
            assert_int_equal(line[size], '\n');
            line += size + 1;
        }
    }
}

static void overview_names_every_command(void **state)
{
    (void)state;
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        assert_non_null(strstr(help_of(OPTIONS_HELP),
                               options_command_name((enum options_command)i)));
    }
}

static void start_names_every_setting(void **state)
{
    size_t count;
    const struct setting *schema = settings_schema(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        char name[CLI_FLAG_SIZE_MAX];

        cli_flag_name(&schema[i], name);
        assert_non_null(strstr(help_of(OPTIONS_START), name));
        assert_non_null(strstr(help_of(OPTIONS_START), schema[i].help));
    }
}

static void client_names_target_output_and_timeout(void **state)
{
    const char *text = help_of(OPTIONS_STATUS);

    (void)state;
    assert_non_null(strstr(text, "--target"));
    assert_non_null(strstr(text, "--cookie-file"));
    assert_non_null(strstr(text, "-o, --output"));
    assert_non_null(strstr(text, "--timeout"));
    assert_null(strstr(text, "--data-dir"));
}

static void group_lists_its_commands_alone(void **state)
{
    char text[TEXT_SIZE_MAX];
    struct buf buf;

    (void)state;
    buf_init(&buf, TEXT_SIZE_MAX - 1);
    options_help_group(&buf, "pki");
    assert_int_equal(buf_error(&buf), 0);
    memcpy(text, buf.data, buf.size);
    text[buf.size] = '\0';
    buf_close(&buf);
    assert_non_null(strstr(text, "\n  pki init "));
    assert_non_null(strstr(text, "\n  pki show FILE|DIR "));
    assert_null(strstr(text, "\n  cookie new"));
    assert_null(strstr(text, "\n  start"));
}

static void command_names_what_it_takes_alone(void **state)
{
    const char *text = help_of(OPTIONS_PKI_ISSUE);

    (void)state;
    assert_non_null(strstr(text, "quorate pki issue [NAME@HOST...]: "));
    assert_non_null(strstr(text, "--role member|worker|client"));
    assert_non_null(strstr(text, "--san DNS:X|IP:X"));
    assert_null(strstr(text, "--target"));
    assert_null(strstr(text, "--cookie-file"));
    assert_null(strstr(text, "--cluster"));
}

static void names_are_turned_into_flags_and_variables(void **state)
{
    const struct setting *setting = settings_find(bytes_of_string("data_dir"));
    char name[CLI_FLAG_SIZE_MAX];

    (void)state;
    cli_flag_name(setting, name);
    assert_string_equal(name, "data-dir");
    cli_variable_name(setting, name);
    assert_string_equal(name, "QUORATE_DATA_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_fits_80_columns),
        cmocka_unit_test(overview_names_every_command),
        cmocka_unit_test(start_names_every_setting),
        cmocka_unit_test(client_names_target_output_and_timeout),
        cmocka_unit_test(group_lists_its_commands_alone),
        cmocka_unit_test(command_names_what_it_takes_alone),
        cmocka_unit_test(names_are_turned_into_flags_and_variables),
    };

    return cmocka_run_group_tests_name("cli_help", tests, NULL, NULL);
}
