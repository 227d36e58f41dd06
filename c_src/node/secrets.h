/* SPDX-License-Identifier: Apache-2.0
 * The cookies that a member shares with its peers. Private to node/. */
#ifndef QUORATE_NODE_SECRETS_H
#define QUORATE_NODE_SECRETS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

struct node;

/* Reads all that the settings name. On error a sentence is appended. */
int secrets_open(struct node *node, struct buf *error) MUST_USE;

/* Reads them again; what cannot be read changes nothing, and is logged. */
void secrets_reload(struct node *node);

void secrets_close(struct node *node);

/* For peers_config: `arg` is the node. */
struct bytes secrets_find_cookie(void *arg, struct bytes peer_name);

#endif
