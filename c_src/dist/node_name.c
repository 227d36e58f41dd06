/* SPDX-License-Identifier: Apache-2.0
 * Node names: one pass that finds the '@' and checks every character. */
#include "dist/node_name.h"

#include "base/err.h"

int node_name_split(struct bytes name, struct bytes *ret_alive,
                    struct bytes *ret_host)
{
    size_t at = name.size;

    if (name.size > NODE_NAME_SIZE_MAX) {
        return ERR_BADARG;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];

        /* Peers make atoms of names and people read them in logs. */
        if (c <= ' ' || c > '~') {
            return ERR_BADARG;
        }
        if (c == '@') {
            if (at != name.size) {
                return ERR_BADARG;
            }
            at = i;
        }
    }
    if (at == 0 || at + 1 >= name.size) {
        return ERR_BADARG;
    }
    *ret_alive = bytes_of(name.data, at);
    *ret_host = bytes_of(name.data + at + 1, name.size - at - 1);
    return 0;
}

bool node_name_is_valid(struct bytes name)
{
    struct bytes alive;
    struct bytes host;

    return node_name_split(name, &alive, &host) == 0;
}
