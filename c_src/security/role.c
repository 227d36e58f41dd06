/* SPDX-License-Identifier: Apache-2.0
 * The one table of rights (docs/security.md explains each row). */
#include "security/role.h"

#include "base/ensure.h"
#include "base/err.h"

static const bool table[RIGHTS][ROLES] = {
    /*                client, worker, member */
    [RIGHT_NONE] = {false, false, false},
    [RIGHT_READ] = {true, true, true},
    [RIGHT_SANDBOX] = {true, true, true},
    [RIGHT_SELECT] = {true, true, true},
    [RIGHT_STATE] = {false, true, true},
    [RIGHT_NAME] = {false, true, true},
    [RIGHT_AGENT] = {false, true, true},
    [RIGHT_MEMBER] = {false, false, true},
    [RIGHT_MANAGE] = {false, false, true},
};

static const char *const texts[ROLES] = {
    [ROLE_CLIENT] = "client",
    [ROLE_WORKER] = "worker",
    [ROLE_MEMBER] = "member",
};

bool role_may(enum security_role role, enum security_right right)
{
    ensure(role < ROLES);
    ensure(right < RIGHTS);
    return table[right][role];
}

const char *role_text(enum security_role role)
{
    ensure(role < ROLES);
    return texts[role];
}

int role_parse(struct bytes text, enum security_role *ret_role)
{
    for (int i = 0; i < ROLES; i++) {
        if (bytes_is(text, texts[i])) {
            *ret_role = (enum security_role)i;
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

static enum security_role lesser(enum security_role a, enum security_role b)
{
    return a < b ? a : b;
}

enum security_role role_decide(const struct role_claims *claims)
{
    enum security_role role = claims->is_member ? ROLE_MEMBER : ROLE_WORKER;
    enum security_role said = ROLE_CLIENT;

    if (claims->is_set) {
        role = lesser(role, claims->setting);
    }
    if (claims->certificate.size > 0) {
        if (role_parse(claims->certificate, &said) != 0) {
            said = ROLE_CLIENT;
        }
        role = lesser(role, said);
    }
    return role;
}

bool role_may_manage(const struct role_claims *claims)
{
    struct role_claims apart_from_name = *claims;

    apart_from_name.is_member = true;
    return role_decide(&apart_from_name) == ROLE_MEMBER;
}
