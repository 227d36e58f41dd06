/* SPDX-License-Identifier: Apache-2.0 */
#include "state/version.h"

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int state_version_compare(struct state_version a, struct state_version b)
{
    int order = compare(a.epoch, b.epoch);

    return order != 0 ? order : compare(a.seq, b.seq);
}

int state_stamp_compare(struct state_stamp a, struct state_stamp b)
{
    int order = state_version_compare(a.version, b.version);

    return order != 0 ? order : compare(a.ballot, b.ballot);
}
