/* SPDX-License-Identifier: Apache-2.0
 * The configuration file: lines of `name = value`. A `#` at the start of a
 * line or after a blank begins a comment. There are no quotes, sections or
 * continuations, so that what is there is what is meant. */
#include "base/err.h"
#include "config/settings.h"
#include "config/value.h"

#include <stdbool.h>

struct place {
    const char *file_name;
    const uint8_t *line_start;
    uint32_t line; /* from 1 */
};

/* "FILE:LINE:COLUMN: " of a byte in the present line. */
static void put_place(struct buf *error, const struct place *place,
                      const uint8_t *at)
{
    buf_printf(error, "%s:%u:%zu: ", place->file_name, place->line,
               (size_t)(at - place->line_start) + 1);
}

static bool is_blank(uint8_t character)
{
    return character == ' ' || character == '\t';
}

/* Without the blanks on both sides. */
static struct bytes trimmed(struct bytes text)
{
    while (text.size > 0 && is_blank(text.data[0])) {
        text = bytes_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && is_blank(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

/* Without a comment; a `#` inside a word is part of the word. */
static struct bytes without_comment(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] == '#' && (i == 0 || is_blank(line.data[i - 1]))) {
            line.size = i;
        }
    }
    return line;
}

/* The first control character, or NULL. */
static const uint8_t *find_control(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++) {
        uint8_t character = line.data[i];

        if ((character < ' ' && character != '\t') || character == 0x7f) {
            return line.data + i;
        }
    }
    return NULL;
}

/* Splits "name = value". */
static int split(const struct place *place, struct bytes line,
                 struct bytes *ret_name, struct bytes *ret_value,
                 struct buf *error)
{
    size_t equals = 0;

    while (equals < line.size && line.data[equals] != '=') {
        equals++;
    }
    if (equals == line.size) {
        put_place(error, place, line.data);
        value_put_quoted(error, line);
        buf_printf(error, " has no '='; write `name = value`, or `# comment`");
        return ERR_MALFORMED;
    }
    *ret_name = trimmed(bytes_of(line.data, equals));
    *ret_value =
        trimmed(bytes_of(line.data + equals + 1, line.size - equals - 1));
    if (ret_name->size == 0 || ret_value->size == 0) {
        put_place(error, place, line.data + equals);
        buf_printf(error, "there is no %s '='; write `name = value`",
                   ret_name->size == 0 ? "name before" : "value after");
        return ERR_MALFORMED;
    }
    if (ret_value->data[0] == '"' || ret_value->data[0] == '\'') {
        put_place(error, place, ret_value->data);
        buf_printf(error, "values are written without quotes");
        return ERR_MALFORMED;
    }
    return 0;
}

/* Whether the line names something that an earlier line has set; lists may
 * be given again. `seen` has one bit for each setting. */
static bool is_repeated(struct bytes name, uint64_t *seen)
{
    const struct setting *setting = settings_find(name);
    size_t count;
    uint64_t bit;

    if (setting == NULL || setting_is_list(setting)) {
        return false;
    }
    bit = UINT64_C(1) << (size_t)(setting - settings_schema(&count));
    if ((*seen & bit) != 0) {
        return true;
    }
    *seen |= bit;
    return false;
}

static int take_line(struct settings *settings, const struct place *place,
                     struct bytes line, uint64_t *seen, struct buf *error)
{
    const uint8_t *control = find_control(line);
    struct bytes name;
    struct bytes value;
    const uint8_t *at;
    size_t error_size = error->size;
    int rv;

    if (control != NULL) {
        put_place(error, place, control);
        buf_printf(error, "a control character (0x%02x); remove it", *control);
        return ERR_MALFORMED;
    }
    line = trimmed(without_comment(line));
    if (line.size == 0) {
        return 0;
    }
    rv = split(place, line, &name, &value, error);
    if (rv != 0) {
        return rv;
    }
    if (is_repeated(name, seen)) {
        put_place(error, place, name.data);
        value_put_quoted(error, name);
        buf_printf(error, " is set twice; remove one of the lines");
        return ERR_EXISTS;
    }
    at = settings_find(name) == NULL ? name.data : value.data;
    put_place(error, place, at);
    rv = settings_set(settings, SETTINGS_FILE, name, value, error);
    if (rv == 0) {
        error->size = error_size;
    }
    return rv;
}

int settings_parse_file(struct settings *settings, const char *file_name,
                        struct bytes text, struct buf *error)
{
    const uint8_t *end = text.data + text.size;
    struct place place = {.file_name = file_name, .line_start = text.data};
    uint64_t seen = 0;

    if (text.size > SETTINGS_FILE_SIZE_MAX) {
        buf_printf(error, "%s: the file has more than %d bytes; shorten it",
                   file_name, (int)SETTINGS_FILE_SIZE_MAX);
        return ERR_LIMIT;
    }
    while (place.line_start < end) {
        const uint8_t *next = place.line_start;
        struct bytes line;
        int rv;

        place.line++;
        while (next < end && *next != '\n') {
            next++;
        }
        line = bytes_of(place.line_start, (size_t)(next - place.line_start));
        if (line.size > 0 && line.data[line.size - 1] == '\r') {
            line.size--;
        }
        rv = take_line(settings, &place, line, &seen, error);
        if (rv != 0) {
            return rv;
        }
        place.line_start = next == end ? end : next + 1;
    }
    return 0;
}
