/* SPDX-License-Identifier: Apache-2.0
 * Each line is a word, a blank, and the rest; their order is fixed, so that a
 * card has one form. */
#include "cluster/card.h"

#include "base/ensure.h"
#include "base/err.h"

#include <inttypes.h>
#include <string.h>

enum { HEX_DIGITS = 16 };

static const char first_line[] = "quorate 2";

static void put_hex(struct buf *text, const char *word, uint64_t value)
{
    if (value == 0) {
        buf_printf(text, "%s -\n", word);
    } else {
        buf_printf(text, "%s %016" PRIx64 "\n", word, value);
    }
}

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

void card_print(struct buf *text, const struct card *card)
{
    buf_printf(text, "%s\nname %s\n", first_line, card->name);
    put_hex(text, "id", card->id);
    put_hex(text, "cluster", card->cluster);
    put_hex(text, "instance", card->instance);
    buf_printf(text, "address %s\n", or_dash(card->address));
    for (uint32_t i = 0; i < card->voter_count; i++) {
        buf_printf(text, "voter %s\n", card->voters[i]);
    }
    buf_printf(text, "index %" PRIu64 "\n", card->directory.index);
    for (uint32_t i = 0; i < card->directory.count; i++) {
        const struct directory_entry *entry = &card->directory.entries[i];

        buf_printf(text, "member %016" PRIx64 " %016" PRIx64 " %s %s\n",
                   entry->id, entry->instance, entry->name,
                   or_dash(entry->address));
    }
}

/* Cuts off what is before the first `end`, and the `end`. */
static bool take_until(struct bytes *text, char end, struct bytes *ret_part)
{
    const uint8_t *at =
        text->size == 0 ? NULL : memchr(text->data, end, text->size);

    if (at == NULL) {
        return false;
    }
    *ret_part = bytes_of(text->data, (size_t)(at - text->data));
    *text = bytes_of(at + 1, text->size - ret_part->size - 1);
    return true;
}

/* The rest of the next line, if that begins with the word. */
static bool take_line(struct bytes *text, const char *word,
                      struct bytes *ret_rest)
{
    struct bytes left = *text;
    struct bytes line;
    struct bytes first;

    if (!take_until(&left, '\n', &line) || !take_until(&line, ' ', &first) ||
        !bytes_is(first, word)) {
        return false;
    }
    *ret_rest = line;
    *text = left;
    return true;
}

static bool read_hex(struct bytes text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.size != HEX_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = text.data[i];

        if (digit >= '0' && digit <= '9') {
            value = value << 4 | (uint64_t)(digit - '0');
        } else if (digit >= 'a' && digit <= 'f') {
            value = value << 4 | (uint64_t)(digit - 'a' + 10);
        } else {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

static bool take_hex(struct bytes *text, const char *word, uint64_t *ret_value)
{
    struct bytes rest;

    return take_line(text, word, &rest) &&
           (bytes_is(rest, "-") ||
            (read_hex(rest, ret_value) && *ret_value != 0));
}

static bool read_index(struct bytes text, uint64_t *ret_index)
{
    uint64_t index = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)text.data[i] - '0';

        if (digit > 9 || index > (INT64_MAX - digit) / 10) {
            return false;
        }
        index = index * 10 + digit;
    }
    *ret_index = index;
    return text.size > 0 && (text.data[0] != '0' || text.size == 1);
}

static struct bytes without_dash(struct bytes text)
{
    return bytes_is(text, "-") ? bytes_of(text.data, 0) : text;
}

static bool read_member(struct bytes line, struct directory *directory)
{
    struct directory_entry entry;
    struct bytes id_text;
    struct bytes instance_text;
    struct bytes name;
    uint64_t id = 0;
    uint64_t instance = 0;

    return take_until(&line, ' ', &id_text) && read_hex(id_text, &id) &&
           take_until(&line, ' ', &instance_text) &&
           read_hex(instance_text, &instance) &&
           take_until(&line, ' ', &name) && line.size > 0 &&
           directory_entry_init(&entry, id, instance, name,
                                without_dash(line)) == 0 &&
           directory_find(directory, id) == NULL &&
           directory_put(directory, &entry) == 0;
}

/* A name as text, by the rules of an entry. */
static bool read_name(struct bytes text, char *ret_name)
{
    struct directory_entry entry;

    if (directory_entry_init(&entry, 1, 0, text, bytes_of(NULL, 0)) != 0) {
        return false;
    }
    memcpy(ret_name, entry.name, sizeof(entry.name));
    return true;
}

static bool parse(struct bytes text, struct card *card)
{
    struct directory_entry entry;
    struct bytes rest;

    if (!take_line(&text, "name", &rest) || !read_name(rest, card->name) ||
        !take_hex(&text, "id", &card->id) ||
        !take_hex(&text, "cluster", &card->cluster) ||
        !take_hex(&text, "instance", &card->instance) || card->id == 0 ||
        card->instance == 0 || !take_line(&text, "address", &rest) ||
        rest.size == 0 ||
        directory_entry_init(&entry, 1, 0, bytes_of_string(card->name),
                             without_dash(rest)) != 0) {
        return false;
    }
    memcpy(card->address, entry.address, sizeof(card->address));
    while (take_line(&text, "voter", &rest)) {
        if (card->voter_count == CARD_VOTERS_MAX ||
            !read_name(rest, card->voters[card->voter_count])) {
            return false;
        }
        card->voter_count++;
    }
    if (!take_line(&text, "index", &rest) ||
        !read_index(rest, &card->directory.index)) {
        return false;
    }
    while (take_line(&text, "member", &rest)) {
        if (!read_member(rest, &card->directory)) {
            return false;
        }
    }
    return text.size == 0;
}

int card_parse(struct bytes text, struct card *ret_card)
{
    struct card card = {.id = 0};
    struct bytes line;

    if (!take_until(&text, '\n', &line)) {
        return ERR_MALFORMED;
    }
    if (!bytes_is(line, first_line)) {
        return line.size > 8 && memcmp(line.data, first_line, 8) == 0
                   ? ERR_UNSUPPORTED
                   : ERR_MALFORMED;
    }
    if (!parse(text, &card)) {
        return ERR_MALFORMED;
    }
    *ret_card = card;
    return 0;
}
