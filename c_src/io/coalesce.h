/* SPDX-License-Identifier: Apache-2.0
 * When to wait a little before looking for input again, so that more of it has
 * come by then: one wake, one read and one write serve many frames. Network
 * cards do the same with interrupts.
 *
 * Waiting must cost nobody anything. So it is tried now and then, and kept only
 * while as many frames come in a second as without it: where one caller waits
 * for each answer, fewer do, and the try ends with its first wait. */
#ifndef QUORATE_IO_COALESCE_H
#define QUORATE_IO_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COALESCE_WAIT_NS = 100 * 1000,    /* length of a wait */
    COALESCE_TURNS_MIN = 64,          /* measured before a try */
    COALESCE_TURNS_MAX = 1024,        /* the same after many vain tries */
    COALESCE_TRY_WAITS = 8,           /* a try, and each look at the rate */
    COALESCE_KEPT_WAITS = 512,        /* then it is measured without again */
    COALESCE_FRAMES_S_MIN = 20 * 1000 /* with fewer nothing is tried */
};

enum coalesce_mode {
    COALESCE_OFF,    /* measures how many frames come */
    COALESCE_TRYING, /* waits, and compares */
    COALESCE_ON      /* waits */
};

struct coalesce {
    enum coalesce_mode mode;
    uint32_t turns_wanted; /* OFF: until the next try */
    uint32_t kept;         /* ON: waits since the last measurement */
    uint32_t turns;        /* since `since_ns`, with input */
    uint64_t frames;       /* in them */
    uint64_t since_ns;
    uint64_t rate; /* frames a second without waiting */
};

void coalesce_init(struct coalesce *coalesce, uint64_t now_ns);

/* A turn with input has ended, in which so many frames came. True: wait for
 * COALESCE_WAIT_NS before the next one. `now_ns` is monotonic. */
bool coalesce_turn(struct coalesce *coalesce, size_t frames, uint64_t now_ns);

#endif
