/* SPDX-License-Identifier: Apache-2.0
 * Who may do what, as far as this member is asked; what is refused is counted
 * and logged here. Private to node/. */
#ifndef QUORATE_NODE_ACCESS_H
#define QUORATE_NODE_ACCESS_H

#include "api/request.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "security/role.h"

#include <stdbool.h>

struct node;
struct link;

/* Sets the role of a peer that is up, and whether it may manage members: by its
 * name, the settings, its certificate. */
void access_set_role(const struct node *node, struct link *link);

/* Whether this peer may make this call. */
bool access_allows_call(struct node *node, const struct link *link,
                        const struct api_request *api) MUST_USE;

/* Whether it may send a message {quorate, 1, Kind, Body}. */
bool access_allows_message(struct node *node, const struct link *link,
                           enum security_right right,
                           struct bytes kind) MUST_USE;

/* Whether a raw term of a message of that kind is a pid of the peer's own
 * node: nobody speaks for the processes of another one. */
bool access_allows_pid(struct node *node, const struct link *link,
                       struct bytes pid, const char *kind) MUST_USE;

#endif
