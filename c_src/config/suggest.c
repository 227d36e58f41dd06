/* SPDX-License-Identifier: Apache-2.0
 * The distance counts insertions, deletions, replacements and swaps of
 * neighbours (optimal string alignment), over three rows of the table. */
#include "config/suggest.h"

#include <stdbool.h>
#include <stdint.h>

enum { ROW_SIZE = SUGGEST_WORD_SIZE_MAX + 1 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Users mix the two forms of a name; they are no edit apart. */
static uint8_t folded(uint8_t character)
{
    return character == '-' ? '_' : character;
}

/* One row of the table: `above` and `above2` are the rows before it. */
static void fill_row(struct bytes a, struct bytes b, size_t i,
                     size_t rows[3][ROW_SIZE])
{
    size_t *row = rows[i % 3];
    const size_t *above = rows[(i + 2) % 3];
    const size_t *above2 = rows[(i + 1) % 3];

    row[0] = i;
    for (size_t j = 1; j <= b.size; j++) {
        bool same = folded(a.data[i - 1]) == folded(b.data[j - 1]);
        size_t edits = above[j - 1] + (same ? 0 : 1);

        edits = least(edits, above[j] + 1);
        edits = least(edits, row[j - 1] + 1);
        if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
            a.data[i - 2] == b.data[j - 1]) {
            edits = least(edits, above2[j - 2] + 1);
        }
        row[j] = edits;
    }
}

static size_t distance(struct bytes a, struct bytes b)
{
    size_t rows[3][ROW_SIZE] = {{0}};

    for (size_t j = 0; j <= b.size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        fill_row(a, b, i, rows);
    }
    return rows[a.size % 3][b.size];
}

void suggestion_init(struct suggestion *suggestion, struct bytes word)
{
    *suggestion = (struct suggestion){.word = word};
    /* A third of the word may be wrong; beyond that it is guessing. */
    suggestion->distance = word.size / 3 + 1;
}

void suggestion_consider(struct suggestion *suggestion, const char *candidate)
{
    struct bytes other = bytes_of_string(candidate);
    size_t edits;

    if (suggestion->word.size > SUGGEST_WORD_SIZE_MAX ||
        other.size > SUGGEST_WORD_SIZE_MAX) {
        return;
    }
    edits = distance(suggestion->word, other);
    if (suggestion->best == NULL ? edits <= suggestion->distance
                                 : edits < suggestion->distance) {
        suggestion->best = candidate;
        suggestion->distance = edits;
    }
}
