/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: settings_parse_file with settings_set and suggestions,
 * settings_check.
 *
 * The input is a configuration file. What has been taken is within the bounds
 * of the table, whether or not a later line is refused, and a refusal says
 * where and why. */
#include "base/buf.h"
#include "base/ensure.h"
#include "base/err.h"
#include "config/settings.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
    ensure(memchr(text, '\0', room) != NULL);
}

static void check_address(const struct settings_address *address)
{
    check_text(address->text, sizeof(address->text));
    check_text(address->host, sizeof(address->host));
}

static void check_number(const struct settings *settings,
                         const struct setting *setting)
{
    const uint8_t *field = (const uint8_t *)settings + setting->offset;
    uint64_t value;
    uint32_t number;

    if (setting->type == SETTING_NUMBER) {
        memcpy(&number, field, sizeof(number));
        value = number;
    } else if (setting->type == SETTING_SIZE) {
        memcpy(&value, field, sizeof(value));
    } else {
        return;
    }
    ensure(value >= setting->min && value <= setting->max);
}

static void check_settings(const struct settings *settings)
{
    size_t count;
    const struct setting *schema = settings_schema(&count);

    for (size_t i = 0; i < count; i++) {
        ensure(settings->origins[i] <= SETTINGS_FILE);
        check_number(settings, &schema[i]);
    }
    check_text(settings->name, sizeof(settings->name));
    check_text(settings->cookie_file, sizeof(settings->cookie_file));
    check_text(settings->data_dir, sizeof(settings->data_dir));
    check_address(&settings->listen);
    ensure(settings->member_count <= SETTINGS_MEMBERS_MAX);
    for (uint32_t i = 0; i < settings->member_count; i++) {
        const struct settings_member *member = &settings->members[i];

        check_text(member->name, sizeof(member->name));
        check_address(&member->address);
        ensure(member->address.port != 0);
    }
    ensure(settings->peer_cookie_count <= SETTINGS_PEER_COOKIES_MAX);
    for (uint32_t i = 0; i < settings->peer_cookie_count; i++) {
        const struct settings_peer_cookie *row = &settings->peer_cookies[i];

        check_text(row->pattern, sizeof(row->pattern));
        check_text(row->file, sizeof(row->file));
    }
    ensure(settings->role_count <= SETTINGS_ROLES_MAX);
    for (uint32_t i = 0; i < settings->role_count; i++) {
        const struct settings_role_rule *rule = &settings->roles[i];

        check_text(rule->pattern, sizeof(rule->pattern));
        ensure(rule->role <= SETTINGS_ROLE_MEMBER);
    }
}

static void check_error(int rv, const struct buf *error, const char *start)
{
    struct bytes text = buf_bytes(error);

    ensure(buf_error(error) == 0);
    ensure((rv != 0) == (text.size > 0));
    if (rv != 0) {
        size_t size = strlen(start);

        ensure(text.size > size && memcmp(text.data, start, size) == 0);
        ensure(memchr(text.data, '\n', text.size) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct buf error;
    int rv;

    if (size > SETTINGS_FILE_SIZE_MAX) {
        return 0;
    }
    settings_init(&settings);
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    rv = settings_parse_file(&settings, "file", bytes_of(data, size), &error);
    check_error(rv, &error, "file:");
    check_settings(&settings);
    if (rv == 0) {
        rv = settings_check(&settings, &error);
        ensure(rv == 0 || rv == ERR_BADARG);
        check_error(rv, &error, "");
        check_settings(&settings);
    }
    buf_close(&error);
    return 0;
}
