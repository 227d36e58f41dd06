/* SPDX-License-Identifier: Apache-2.0
 * What no worker had room for, the least of it: what needs as much of all, or
 * more, need not be tried. A worker that has room for less than one of them is
 * still looked for. */
#ifndef QUORATE_PLACEMENT_MISFITS_H
#define QUORATE_PLACEMENT_MISFITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MISFITS_MAX = 64 };

/* Zeros: none. */
struct misfits {
    struct misfit {
        uint32_t cpu;     /* thousandths of a core */
        uint32_t memory;  /* MiB */
    } needs[MISFITS_MAX]; /* none needs as much as another one of all */
    size_t count;
};

/* Whether one that needs no more of anything is among them. */
bool misfits_have(const struct misfits *misfits, uint32_t cpu, uint32_t memory);

/* Adds it, if there is none like it yet, in place of all that need as much.
 * False: there are MISFITS_MAX already, and nothing is changed. */
bool misfits_add(struct misfits *misfits, uint32_t cpu, uint32_t memory);

#endif
