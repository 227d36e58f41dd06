/* SPDX-License-Identifier: Apache-2.0
 * Which cookie is shared with which peer: rows of a pattern and a cookie, the
 * first that matches counts, and a default for all other names. It holds
 * secrets: they are overwritten at the end, and never printed. */
#ifndef QUORATE_SECURITY_COOKIES_H
#define QUORATE_SECURITY_COOKIES_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum {
    COOKIES_MAX = 16,       /* rows */
    COOKIES_SIZE_MAX = 255, /* bytes of a cookie */
    COOKIES_NAME_MAX = 255, /* bytes of a pattern */
};

struct cookies_row {
    size_t pattern_size;
    size_t cookie_size;
    uint8_t pattern[COOKIES_NAME_MAX];
    uint8_t cookie[COOKIES_SIZE_MAX];
};

struct cookies {
    struct cookies_row rows[COOKIES_MAX];
    size_t count;            /* rows in use */
    struct cookies_row rest; /* its cookie is the default */
};

void cookies_init(struct cookies *cookies);

/* Overwrites all. */
void cookies_wipe(struct cookies *cookies);

/* ERR_LIMIT: it is longer than a cookie may be; nothing has changed. */
int cookies_set_default(struct cookies *cookies, struct bytes cookie) MUST_USE;

/* Appends a row. ERR_LIMIT: too many, or too long; nothing has changed. */
int cookies_add(struct cookies *cookies, struct bytes pattern,
                struct bytes cookie) MUST_USE;

/* The cookie for that peer; borrowed until the next change. */
struct bytes cookies_find(const struct cookies *cookies, struct bytes name);

#endif
