/* SPDX-License-Identifier: Apache-2.0
 * "did you mean": of some words, the one most like a mistyped one. */
#ifndef QUORATE_CONFIG_SUGGEST_H
#define QUORATE_CONFIG_SUGGEST_H

#include "base/bytes.h"

#include <stddef.h>

enum { SUGGEST_WORD_SIZE_MAX = 64 }; /* bytes; longer words match nothing */

struct suggestion {
    struct bytes word; /* what was typed; borrowed */
    const char *best;  /* borrowed; NULL: nothing is like it */
    size_t distance;   /* edits between the two */
};

/* Starts a search for a word like `word`. */
void suggestion_init(struct suggestion *suggestion, struct bytes word);

/* Takes one more word into account; it must outlive the suggestion. */
void suggestion_consider(struct suggestion *suggestion, const char *candidate);

#endif
