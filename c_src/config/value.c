/* SPDX-License-Identifier: Apache-2.0
 * The types of settings: each parser takes the whole text or refuses it. */
#include "config/value.h"

#include "base/err.h"

#include <inttypes.h>
#include <string.h>

enum {
    QUOTED_SIZE_MAX = 64, /* bytes of a text that a message repeats */
    PORT_MAX = 65535,
    SIZE_GRAIN = 4096 /* bytes: sizes are whole pages */
};

static bool is_digit(uint8_t character)
{
    return character >= '0' && character <= '9';
}

static bool is_letter(uint8_t character)
{
    return (character >= 'a' && character <= 'z') ||
           (character >= 'A' && character <= 'Z');
}

/* The first `size` bytes of a text, and what is behind `size` bytes. */
static struct bytes head_of(struct bytes text, size_t size)
{
    return bytes_of(text.data, size);
}

static struct bytes tail_of(struct bytes text, size_t size)
{
    return bytes_of(text.data + size, text.size - size);
}

static void copy_text(char *target, struct bytes text)
{
    memcpy(target, text.data, text.size);
    target[text.size] = '\0';
}

/* The place of the first or last such character; text.size: there is none. */
static size_t first_of(struct bytes text, char character)
{
    size_t i = 0;

    while (i < text.size && text.data[i] != (uint8_t)character) {
        i++;
    }
    return i;
}

static size_t last_of(struct bytes text, char character)
{
    for (size_t i = text.size; i > 0; i--) {
        if (text.data[i - 1] == (uint8_t)character) {
            return i - 1;
        }
    }
    return text.size;
}

void value_put_quoted(struct buf *buf, struct bytes text)
{
    buf_put_u8(buf, '\'');
    for (size_t i = 0; i < text.size && i < QUOTED_SIZE_MAX; i++) {
        bool is_plain = text.data[i] >= ' ' && text.data[i] < 0x7f;

        buf_put_u8(buf, is_plain ? text.data[i] : '?');
    }
    buf_printf(buf, text.size > QUOTED_SIZE_MAX ? "...'" : "'");
}

/* "'TEXT' REST" and ERR_BADARG. */
static int refuse(struct buf *error, struct bytes text, const char *rest)
{
    value_put_quoted(error, text);
    buf_printf(error, " %s", rest);
    return ERR_BADARG;
}

/* The number that the leading digits make; how many digits there are. 0
 * digits also stands for a number beyond 64 bits. */
static size_t leading_number(struct bytes text, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t i = 0;

    for (; i < text.size && is_digit(text.data[i]); i++) {
        uint64_t digit = (uint64_t)(text.data[i] - '0');

        if (number > (UINT64_MAX - digit) / 10) {
            return 0;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return i;
}

int value_number(struct bytes text, uint64_t min, uint64_t max,
                 uint64_t *ret_number, struct buf *error)
{
    uint64_t number = 0;
    size_t digits = leading_number(text, &number);

    if (digits == 0 || digits != text.size || number < min || number > max) {
        value_put_quoted(error, text);
        buf_printf(error,
                   " will not do; give a whole number from %" PRIu64
                   " to %" PRIu64,
                   min, max);
        return ERR_BADARG;
    }
    *ret_number = number;
    return 0;
}

/* By how many bits a suffix shifts to the left; -1: it is unknown. */
static int suffix_shift(struct bytes suffix)
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_is(suffix, names[i])) {
            return (int)i * 10;
        }
    }
    return -1;
}

int value_size(struct bytes text, uint64_t min, uint64_t max,
               uint64_t *ret_size, struct buf *error)
{
    uint64_t number = 0;
    size_t digits = leading_number(text, &number);
    int shift = suffix_shift(tail_of(text, digits));
    bool is_size = digits > 0 && shift >= 0;

    if (is_size && number <= max >> shift && number << shift >= min &&
        (number << shift) % SIZE_GRAIN == 0) {
        *ret_size = number << shift;
        return 0;
    }
    value_put_quoted(error, text);
    buf_printf(error,
               " will not do; give a size such as 64GiB, from %" PRIu64
               "MiB to %" PRIu64 "MiB, in whole pages of %d bytes",
               min >> 20, max >> 20, (int)SIZE_GRAIN);
    return ERR_BADARG;
}

int value_bool(struct bytes text, bool *ret_bool, struct buf *error)
{
    if (bytes_is(text, "true") || bytes_is(text, "false")) {
        *ret_bool = bytes_is(text, "true");
        return 0;
    }
    return refuse(error, text, "will not do; give true or false");
}

int value_verify(struct bytes text, bool *ret_verify, struct buf *error)
{
    if (bytes_is(text, "strict") || bytes_is(text, "off")) {
        *ret_verify = bytes_is(text, "strict");
        return 0;
    }
    return refuse(error, text, "will not do; give strict or off");
}

int value_hung(struct bytes text, bool *ret_kills, struct buf *error)
{
    if (bytes_is(text, "kill") || bytes_is(text, "report")) {
        *ret_kills = bytes_is(text, "kill");
        return 0;
    }
    return refuse(error, text, "will not do; give kill or report");
}

/* The place of a text among names; `count`: it is none of them. */
static size_t place_among(struct bytes text, const char *const *names,
                          size_t count)
{
    size_t i = 0;

    while (i < count && !bytes_is(text, names[i])) {
        i++;
    }
    return i;
}

int value_lease_profile(struct bytes text,
                        enum settings_lease_profile *ret_profile,
                        struct buf *error)
{
    static const char *const names[] = {
        [SETTINGS_LEASE_DEFAULT] = "default",
        [SETTINGS_LEASE_FAST] = "fast",
        [SETTINGS_LEASE_PATIENT] = "patient",
    };
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    size_t place = place_among(text, names, COUNT);

    if (place == COUNT) {
        return refuse(error, text,
                      "is no profile; give fast, default or patient");
    }
    *ret_profile = (enum settings_lease_profile)place;
    return 0;
}

int value_log_level(struct bytes text, enum settings_log_level *ret_level,
                    struct buf *error)
{
    static const char *const names[] = {
        [SETTINGS_LOG_ERROR] = "error",
        [SETTINGS_LOG_WARN] = "warn",
        [SETTINGS_LOG_INFO] = "info",
        [SETTINGS_LOG_DEBUG] = "debug",
    };
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    size_t place = place_among(text, names, COUNT);

    if (place == COUNT) {
        return refuse(error, text,
                      "is no log level; give error, warn, info or debug");
    }
    *ret_level = (enum settings_log_level)place;
    return 0;
}

/* Letters, digits and the characters of `others`; at least one. */
static bool is_word(struct bytes text, const char *others)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t character = text.data[i];

        if (!is_letter(character) && !is_digit(character) &&
            (character == 0 || strchr(others, character) == NULL)) {
            return false;
        }
    }
    return text.size > 0;
}

int value_name(struct bytes text, char *ret_name, struct buf *error)
{
    size_t at = first_of(text, '@');

    if (text.size > SETTINGS_NAME_SIZE_MAX || at == text.size ||
        !is_word(head_of(text, at), "_-.") ||
        !is_word(tail_of(text, at + 1), "_-.:")) {
        return refuse(error, text,
                      "is no node name; give NAME@HOST, such as "
                      "q1@127.0.0.1");
    }
    copy_text(ret_name, text);
    return 0;
}

int value_path(struct bytes text, char *ret_path, struct buf *error)
{
    if (text.size == 0 || text.size > SETTINGS_PATH_SIZE_MAX ||
        first_of(text, '\0') != text.size) {
        return refuse(error, text, "is no path; give the name of a file");
    }
    copy_text(ret_path, text);
    return 0;
}

/* The host, without the brackets that an IPv6 address needs before a port. */
static bool address_host(struct bytes text, struct bytes *ret_host)
{
    if (text.size > 2 && text.data[0] == '[' &&
        text.data[text.size - 1] == ']') {
        *ret_host = bytes_of(text.data + 1, text.size - 2);
        return is_word(*ret_host, ":.%");
    }
    *ret_host = text;
    return is_word(text, "_-.");
}

int value_address(struct bytes text, uint16_t port_min,
                  struct settings_address *ret_address, struct buf *error)
{
    static const char advice[] =
        "is no address; give ADDR:PORT, such as 127.0.0.1:4370 or [::1]:4370";
    size_t colon = last_of(text, ':');
    struct bytes host;
    struct bytes digits;
    uint64_t port = 0;

    if (colon == text.size || text.size > SETTINGS_ADDRESS_SIZE_MAX ||
        !address_host(head_of(text, colon), &host)) {
        return refuse(error, text, advice);
    }
    digits = tail_of(text, colon + 1);
    if (digits.size == 0 || leading_number(digits, &port) != digits.size) {
        return refuse(error, text, advice);
    }
    if (port < port_min || port > PORT_MAX) {
        value_put_quoted(error, text);
        buf_printf(error, " has no such port; give one from %d to %d",
                   (int)port_min, (int)PORT_MAX);
        return ERR_BADARG;
    }
    copy_text(ret_address->text, text);
    copy_text(ret_address->host, host);
    ret_address->port = (uint16_t)port;
    return 0;
}

int value_member(struct bytes text, struct settings_member *ret_member,
                 struct buf *error)
{
    size_t equals = first_of(text, '=');
    struct settings_member member = {.name = ""};
    int rv;

    if (equals == text.size) {
        return refuse(error, text,
                      "is no member; give NAME@HOST=ADDR:PORT, such as "
                      "q1@127.0.0.1=127.0.0.1:4370");
    }
    rv = value_name(head_of(text, equals), member.name, error);
    if (rv != 0) {
        return rv;
    }
    rv = value_address(tail_of(text, equals + 1), 1, &member.address, error);
    if (rv != 0) {
        return rv;
    }
    *ret_member = member;
    return 0;
}

/* PATTERN=REST with a pattern of node names: what may be in one, with stars. */
static int split_rule(struct bytes text, char *ret_pattern,
                      struct bytes *ret_rest, const char *advice,
                      struct buf *error)
{
    size_t equals = first_of(text, '=');
    struct bytes pattern = head_of(text, equals);
    size_t at = first_of(pattern, '@');

    if (equals == text.size || pattern.size > SETTINGS_NAME_SIZE_MAX ||
        !is_word(pattern, "_-.:@*") || at != last_of(pattern, '@') ||
        (at == pattern.size && first_of(pattern, '*') == pattern.size)) {
        return refuse(error, text, advice);
    }
    copy_text(ret_pattern, pattern);
    *ret_rest = tail_of(text, equals + 1);
    return 0;
}

int value_peer_cookie(struct bytes text,
                      struct settings_peer_cookie *ret_cookie,
                      struct buf *error)
{
    static const char advice[] =
        "will not do; give PATTERN=PATH, such as app*@*=/etc/quorate/app";
    struct bytes path;
    int rv = split_rule(text, ret_cookie->pattern, &path, advice, error);

    return rv != 0 ? rv : value_path(path, ret_cookie->file, error);
}

int value_role(struct bytes text, struct settings_role_rule *ret_rule,
               struct buf *error)
{
    static const char advice[] =
        "will not do; give PATTERN=ROLE, such as app*@*=client; a role is "
        "member, worker or client";
    static const char *const names[] = {
        [SETTINGS_ROLE_CLIENT] = "client",
        [SETTINGS_ROLE_WORKER] = "worker",
        [SETTINGS_ROLE_MEMBER] = "member",
    };
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    struct bytes role;
    int rv = split_rule(text, ret_rule->pattern, &role, advice, error);
    size_t place = rv == 0 ? place_among(role, names, COUNT) : COUNT;

    if (rv == 0 && place < COUNT) {
        ret_rule->role = (enum settings_role)place;
        return 0;
    }
    return rv != 0 ? rv : refuse(error, text, advice);
}
