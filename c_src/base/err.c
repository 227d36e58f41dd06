/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

static const char *const atoms[] = {
#define X(name, atom, text) atom,
    ERR_LIST(X)
#undef X
};

static const char *const texts[] = {
#define X(name, atom, text) text,
    ERR_LIST(X)
#undef X
};

static int index_of(int err)
{
    if (err <= ERR_BASE || err >= ERR_END) {
        return -1;
    }
    return err - ERR_BASE - 1;
}

const char *err_atom(int err)
{
    int index = index_of(err);

    if (err == ERR_OK) {
        return "ok";
    }
    return index < 0 ? "unknown" : atoms[index];
}

const char *err_text(int err)
{
    int index = index_of(err);

    if (err == ERR_OK) {
        return "success";
    }
    return index < 0 ? "unknown error" : texts[index];
}
