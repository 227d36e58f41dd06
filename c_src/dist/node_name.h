/* SPDX-License-Identifier: Apache-2.0
 * Node names, NAME@HOST. */
#ifndef QUORATE_DIST_NODE_NAME_H
#define QUORATE_DIST_NODE_NAME_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>

enum { NODE_NAME_SIZE_MAX = 255 }; /* bytes */

/* Splits a name of 1..255 printable ASCII characters with one '@' that has
 * something on both sides; the parts are borrowed. 0, or ERR_BADARG. */
int node_name_split(struct bytes name, struct bytes *ret_alive,
                    struct bytes *ret_host) MUST_USE;

bool node_name_is_valid(struct bytes name);

#endif
