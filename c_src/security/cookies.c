/* SPDX-License-Identifier: Apache-2.0 */
#include "security/cookies.h"

#include "base/err.h"
#include "security/pattern.h"

void cookies_init(struct cookies *cookies)
{
    memset(cookies, 0, sizeof(*cookies));
}

void cookies_wipe(struct cookies *cookies)
{
    /* A compiler may leave out writes that nobody reads, but not these. */
    volatile uint8_t *data = (volatile uint8_t *)cookies;

    for (size_t i = 0; i < sizeof(*cookies); i++) {
        data[i] = 0;
    }
}

static void set_cookie(struct cookies_row *row, struct bytes cookie)
{
    row->cookie_size = cookie.size;
    if (cookie.size > 0) {
        memcpy(row->cookie, cookie.data, cookie.size);
    }
}

int cookies_set_default(struct cookies *cookies, struct bytes cookie)
{
    if (cookie.size > COOKIES_SIZE_MAX) {
        return ERR_LIMIT;
    }
    set_cookie(&cookies->rest, cookie);
    return 0;
}

int cookies_add(struct cookies *cookies, struct bytes pattern,
                struct bytes cookie)
{
    struct cookies_row *row;

    if (cookies->count == COOKIES_MAX || pattern.size > COOKIES_NAME_MAX ||
        cookie.size > COOKIES_SIZE_MAX) {
        return ERR_LIMIT;
    }
    row = &cookies->rows[cookies->count];
    row->pattern_size = pattern.size;
    if (pattern.size > 0) {
        memcpy(row->pattern, pattern.data, pattern.size);
    }
    set_cookie(row, cookie);
    cookies->count++;
    return 0;
}

struct bytes cookies_find(const struct cookies *cookies, struct bytes name)
{
    const struct cookies_row *found = &cookies->rest;

    for (size_t i = cookies->count; i > 0; i--) {
        const struct cookies_row *row = &cookies->rows[i - 1];

        if (pattern_matches(bytes_of(row->pattern, row->pattern_size), name)) {
            found = row;
        }
    }
    return bytes_of(found->cookie, found->cookie_size);
}
