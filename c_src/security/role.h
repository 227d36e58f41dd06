/* SPDX-License-Identifier: Apache-2.0
 * What a peer may do. Each peer has one role, and one table (role.c) says which
 * role has which right. A call needs the right in its row of api/functions.c,
 * a message that of the name it is sent to. What a virtual machine does by
 * itself (ping, monitors, links) needs none. */
#ifndef QUORATE_SECURITY_ROLE_H
#define QUORATE_SECURITY_ROLE_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>

/* The least first: each has all rights of those before it. */
enum security_role {
    ROLE_CLIENT, /* calls */
    ROLE_WORKER, /* also runs sandboxes */
    ROLE_MEMBER, /* one of the configured set */
    ROLES        /* count */
};

enum security_right {
    RIGHT_NONE,    /* nobody's: what was left out of a table is not allowed */
    RIGHT_READ,    /* look at what there is, states included */
    RIGHT_SANDBOX, /* create and stop sandboxes */
    RIGHT_SELECT,  /* ask where one would run */
    RIGHT_STATE,   /* write states */
    RIGHT_NAME,    /* register and unregister names */
    RIGHT_AGENT,   /* attach as a worker, and all that an agent says */
    RIGHT_MEMBER,  /* the protocol of members among themselves */
    RIGHT_MANAGE,  /* add and remove members; see role_may_manage() */
    RIGHTS         /* count */
};

bool role_may(enum security_role role, enum security_right right);

/* client, worker or member. */
const char *role_text(enum security_role role);

/* 0, or ERR_NOT_FOUND: there is no such role. */
int role_parse(struct bytes text, enum security_role *ret_role) MUST_USE;

/* What speaks for a role. */
struct role_claims {
    bool is_member;             /* its name is that of a configured member */
    bool is_set;                /* a setting names a role for it */
    enum security_role setting; /* if so */
    struct bytes certificate;   /* the role in its certificate; empty: none */
};

/* The least of all that is said. A configured member may be a member, all
 * others at most a worker. A role in a certificate that is not known here
 * counts as the least. */
enum security_role role_decide(const struct role_claims *claims);

/* Whether it has RIGHT_MANAGE: a member, or a peer of which neither a setting
 * nor its certificate says that it is less than one. */
bool role_may_manage(const struct role_claims *claims);

#endif
