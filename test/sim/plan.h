/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong in a random run, and when: drawn from the seed before the run
 * and apart from all else that is random, so that single faults can be left out
 * to see whether a failure needs them. */
#ifndef QUORATE_TEST_SIM_PLAN_H
#define QUORATE_TEST_SIM_PLAN_H

#include "sim/cluster.h"

#include <stddef.h>
#include <stdint.h>

enum { PLAN_FAULTS_MAX = 1024, PLAN_TEXT_SIZE = 96 };

enum plan_type {
    PLAN_RATES, /* of loss, duplicates, delay, by the number `a`; of errors of
                   disks if `b` is not 0 */
    PLAN_TOGGLE,
    PLAN_BOUNCE, /* down, and up again at once */
    PLAN_ISOLATE,
    PLAN_STICK, /* the disk, until it is mended */
    PLAN_PAUSE, /* `a` milliseconds */
    PLAN_CLOCK, /* at `a` thousandths */
    PLAN_CUT,   /* the link from `node` to `a` */
    PLAN_SPLIT, /* by the bits of `a` */
    PLAN_MEND,
    PLAN_CHANGE, /* voters `a`, learners `b`, as bits */
    PLAN_HAND_OVER,
    PLAN_START,
    PLAN_FILL,  /* the disk, for `a` milliseconds */
    PLAN_DAMAGE /* a bit, by the number `a`, while the power is cut */
};

/* The node that leads then, instead of a certain one. */
#define PLAN_LEADER UINT32_MAX

struct plan_fault {
    uint64_t ms; /* since the start of the run */
    enum plan_type type;
    uint32_t node;
    uint32_t a;
    uint32_t b;
    bool is_left_out;
};

struct plan {
    struct plan_fault faults[PLAN_FAULTS_MAX];
    size_t count;
};

/* The faults of `ms` milliseconds. */
void plan_draw(struct plan *plan, const struct cluster *cluster, uint64_t ms);

void plan_carry_out(struct cluster *cluster, const struct plan_fault *fault);

/* One line about it. */
void plan_describe(const struct plan_fault *fault, char *text);

#endif
