/* SPDX-License-Identifier: Apache-2.0
 * One frame being handled: what inbox.c, mailbox.c and exits.c hand to one
 * another. Private to dist/. */
#ifndef QUORATE_DIST_TURN_H
#define QUORATE_DIST_TURN_H

#include "base/buf.h"
#include "dist/control.h"
#include "dist/inbox.h"

struct turn {
    struct inbox *inbox;
    struct inbox_peer *peer;
    const struct control *control;
    struct buf *out;
    struct inbox_event *event; /* to be filled; NONE at first */
};

/* inbox.c: long terms in the payload, or NULL. */
const struct etf_spans *turn_spans(const struct turn *turn);
bool turn_is_self(const struct turn *turn, struct bytes pid);

/* mailbox.c: a message to a registered name, or to the process behind them. */
void mailbox_receive_name(struct turn *turn);
void mailbox_receive_pid(struct turn *turn);
bool mailbox_has_name(struct bytes name);

#endif
