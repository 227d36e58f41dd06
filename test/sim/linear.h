/* SPDX-License-Identifier: Apache-2.0
 * Is a history of calls linearizable? Each call has to look as if it took place
 * at one moment between its begin and its end (Herlihy and Wing,
 * "Linearizability", 1990), on registers that can be read, written, and
 * compared and set. Registers are independent, so each is judged alone
 * (idem, 3.1).
 *
 * The search is that of Wing and Gong ("Testing and Verifying Concurrent
 * Objects", 1993) as Lowe has it ("Testing for Linearizability", 2017): a list
 * of begins and ends in the order of time, from which calls are taken out as
 * they are put into the order, and a memory of what has been tried. Two sets of
 * calls are taken for equal if 128 random bits say so. */
#ifndef QUORATE_TEST_SIM_LINEAR_H
#define QUORATE_TEST_SIM_LINEAR_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINEAR_CALLS_MAX = 1 << 20,
    LINEAR_STEPS_MAX = 50 * 1000 * 1000 /* then it is too hard */
};

enum linear_kind { LINEAR_READ, LINEAR_WRITE, LINEAR_CAS };

/* One call. The registers hold 0 at the start. */
struct linear_call {
    enum linear_kind kind;
    uint64_t reg;      /* which register */
    uint64_t value;    /* READ: what came back; else the value to write */
    uint64_t expected; /* CAS: the value that is to be there */
    bool is_unknown;   /* no answer: it may take effect at any time, or never */
    bool has_failed;   /* CAS: another value was there */
    uint64_t begin;    /* times; no two of a history are equal */
    uint64_t end;      /* after `begin`; ignored if it is unknown */
};

enum linear_verdict {
    LINEAR_RIGHT,
    LINEAR_WRONG,
    LINEAR_TOO_HARD,
    LINEAR_NO_MEMORY
};

/* `ret_stuck` (may be NULL): if it is wrong, the position of the call that the
 * longest order found had no place for. Calls with is_unknown that are reads
 * say nothing, and are left out. */
enum linear_verdict linear_check(const struct linear_call *calls, size_t count,
                                 size_t *ret_stuck);

#endif
