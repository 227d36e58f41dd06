/* SPDX-License-Identifier: Apache-2.0
 * The cookies of this member: read at the start, and again at SIGHUP. A new set
 * takes the place of the old one only if all of it can be read. Links that are
 * up stay: a cookie counts while hands are shaken. */
#include "node/secrets.h"

#include "base/err.h"
#include "base/mem.h"
#include "node/node.h"

#include <string.h>
#include <unistd.h>

enum { COOKIE_LINE_MAX = 300 };

_Static_assert((int)COOKIES_MAX == (int)SETTINGS_PEER_COOKIES_MAX,
               "there is a row for each setting");
_Static_assert((int)COOKIES_NAME_MAX == (int)SETTINGS_NAME_SIZE_MAX,
               "a row has room for each pattern");

/* The first line of standard input of a supervised member: cookie VALUE. Byte
 * by byte, since what follows is not ours to take. */
static int read_cookie_line(struct buf *cookie, struct buf *error)
{
    static const char prefix[] = "cookie ";
    struct buf line;
    uint8_t byte;
    int rv = 0;

    buf_init(&line, COOKIE_LINE_MAX);
    /* All of it at once, so that it leaves no copy behind as it grows. */
    if (buf_reserve(&line, COOKIE_LINE_MAX) == NULL) {
        buf_printf(error, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    while (buf_error(&line) == 0 && read(STDIN_FILENO, &byte, 1) == 1 &&
           byte != '\n') {
        buf_put_u8(&line, byte);
    }
    if (line.size < sizeof(prefix) ||
        memcmp(line.data, prefix, sizeof(prefix) - 1) != 0) {
        buf_printf(error, "standard input must begin with a line: "
                          "cookie VALUE (that is what --supervised means)");
        rv = ERR_BADARG;
    } else if (line.size - (sizeof(prefix) - 1) > COOKIES_SIZE_MAX) {
        buf_printf(error, "a cookie has at most %d characters",
                   (int)COOKIES_SIZE_MAX);
        rv = ERR_BADARG;
    } else {
        buf_put(cookie, line.data + sizeof(prefix) - 1,
                line.size - (sizeof(prefix) - 1));
        rv = buf_error(cookie);
    }
    buf_wipe(&line);
    return rv;
}

static int read_default(const struct settings *settings,
                        const struct cookies *old, struct cookies *cookies,
                        struct buf *error)
{
    struct buf cookie;
    int rv = 0;

    if (settings->supervised && old != NULL) {
        /* Standard input is read once. */
        return cookies_set_default(
            cookies, bytes_of(old->rest.cookie, old->rest.cookie_size));
    }
    buf_init(&cookie, COOKIE_LINE_MAX);
    rv = settings->supervised
             ? read_cookie_line(&cookie, error)
             : sys_read_cookie(settings->cookie_file, &cookie, error);
    if (rv == 0) {
        rv = cookies_set_default(cookies, buf_bytes(&cookie));
    }
    buf_wipe(&cookie);
    return rv;
}

static int read_row(const struct settings_peer_cookie *setting,
                    struct cookies *cookies, struct buf *error)
{
    struct buf cookie;
    int rv;

    buf_init(&cookie, COOKIE_LINE_MAX);
    rv = sys_read_cookie(setting->file, &cookie, error);
    if (rv == 0) {
        rv = cookies_add(cookies, bytes_of_string(setting->pattern),
                         buf_bytes(&cookie));
    }
    buf_wipe(&cookie);
    return rv;
}

static void free_cookies(struct cookies *cookies)
{
    if (cookies != NULL) {
        cookies_wipe(cookies);
    }
    mem_free(cookies);
}

/* All of them anew; nothing changes on error. */
static int read_all(struct node *node, struct buf *error)
{
    const struct settings *settings = node->settings;
    struct cookies *cookies = mem_alloc(sizeof(*cookies));
    int rv;

    if (cookies == NULL) {
        buf_printf(error, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    cookies_init(cookies);
    rv = read_default(settings, node->cookies, cookies, error);
    for (uint32_t i = 0; rv == 0 && i < settings->peer_cookie_count; i++) {
        rv = read_row(&settings->peer_cookies[i], cookies, error);
    }
    if (rv != 0) {
        free_cookies(cookies);
        return rv;
    }
    free_cookies(node->cookies);
    node->cookies = cookies;
    return 0;
}

int secrets_open(struct node *node, struct buf *error)
{
    return read_all(node, error);
}

void secrets_reload(struct node *node)
{
    struct buf error;

    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    if (read_all(node, &error) == 0) {
        log_line(LOG_INFO, "cookies_reloaded", "peer_cookies=%zu",
                 node->cookies->count);
    } else {
        log_line(LOG_ERROR, "cookies_reload_failed", "why=\"%.*s\"",
                 (int)error.size, (const char *)error.data);
    }
    buf_close(&error);
}

void secrets_close(struct node *node)
{
    free_cookies(node->cookies);
    node->cookies = NULL;
}

struct bytes secrets_find_cookie(void *arg, struct bytes peer_name)
{
    const struct node *node = (const struct node *)arg;

    return cookies_find(node->cookies, peer_name);
}
