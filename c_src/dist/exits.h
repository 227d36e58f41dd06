/* SPDX-License-Identifier: Apache-2.0
 * Links, monitors and ends of processes, theirs and ours. The rules are those
 * of a virtual machine (erts: Reference Manual, "Processes"). */
#ifndef QUORATE_DIST_EXITS_H
#define QUORATE_DIST_EXITS_H

#include "dist/relations.h"
#include "dist/turn.h"

/* One for each operation. */
void exits_link(struct turn *turn);
void exits_unlink(struct turn *turn);
void exits_unlink_ack(struct turn *turn);
void exits_monitor(struct turn *turn);
void exits_demonitor(struct turn *turn);
void exits_exit(struct turn *turn);
void exits_exit2(struct turn *turn);
void exits_monitor_exit(struct turn *turn);
void exits_spawn_reply(struct turn *turn);

/* A process of ours has ended: tells those who link with it or monitor it,
 * except its caller; their relations are gone then. Frames for `peer` go to
 * `out`. */
void exits_tell(struct inbox *inbox, struct process *process,
                struct bytes reason, const struct inbox_peer *peer,
                struct buf *out);

#endif
