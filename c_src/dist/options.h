/* SPDX-License-Identifier: Apache-2.0
 * The options of a spawn request, in the forms in which virtual machines send
 * them (erts: erlang:spawn_opt/4, erlang:spawn_request/5). */
#ifndef QUORATE_DIST_OPTIONS_H
#define QUORATE_DIST_OPTIONS_H

#include "base/attr.h"
#include "etf/reader.h"

#include <stdbool.h>

struct spawn_options {
    bool is_linked;
    bool is_monitored;
    bool is_bad; /* there is one that a virtual machine does not know */
};

/* Steps over the list. ERR_BADARG if it is no proper list. */
int spawn_options_read(struct etf_reader *reader,
                       struct spawn_options *ret_options) MUST_USE;

#endif
