/* SPDX-License-Identifier: Apache-2.0
 * A random cookie: 256 bits as 52 small letters and digits behind a letter, so
 * that no shell and no Erlang term needs quotes around it. */
#include "base/err.h"
#include "cli/local.h"
#include "io/sys.h"

#include <stdio.h>
#include <string.h>

enum {
    RANDOM_SIZE = 52,              /* bytes, of which 5 bits each are used */
    COOKIE_SIZE = 1 + RANDOM_SIZE, /* bytes */
};

/* With a line end. */
static void make_cookie(char ret_cookie[COOKIE_SIZE + 1])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[RANDOM_SIZE];

    sys_random(random, sizeof(random));
    ret_cookie[0] = 'q';
    for (size_t i = 0; i < RANDOM_SIZE; i++) {
        ret_cookie[1 + i] = digits[random[i] & 31];
    }
    ret_cookie[COOKIE_SIZE] = '\n';
    explicit_bzero(random, sizeof(random));
}

static void tell_failure(const char *path, int err)
{
    if (err == ERR_EXISTS) {
        (void)fprintf(stderr,
                      "quorate: %s is there already, and a cookie in use is "
                      "never replaced; give another --file\n",
                      path);
    } else {
        (void)fprintf(stderr, "quorate: cannot write the cookie file %s: %s\n",
                      path, err_text(err));
    }
}

int cookie_run(const struct options *options)
{
    const char *path = options->local.file;
    char cookie[COOKIE_SIZE + 1];
    int rv = 0;

    make_cookie(cookie);
    if (path != NULL) {
        rv = sys_create_file(path, bytes_of(cookie, sizeof(cookie)));
        if (rv != 0) {
            tell_failure(path, rv);
        }
    } else {
        /* Without a buffer, which would keep a copy. */
        (void)setvbuf(stdout, NULL, _IONBF, 0);
        if (fwrite(cookie, 1, sizeof(cookie), stdout) != sizeof(cookie)) {
            rv = ERR_IO; /* a closed pipe; there is nobody to tell */
        }
    }
    explicit_bzero(cookie, sizeof(cookie));
    return local_exit_code(rv);
}
