/* SPDX-License-Identifier: Apache-2.0
 * Rights are looked up where something comes in, once: a call that a member
 * passes on to the leader was looked at by that member. */
#include "node/access.h"

#include "base/ensure.h"
#include "etf/reader.h"
#include "node/node.h"
#include "security/pattern.h"

static enum security_role role_of_setting(enum settings_role role)
{
    switch (role) {
    case SETTINGS_ROLE_CLIENT:
        return ROLE_CLIENT;
    case SETTINGS_ROLE_WORKER:
        return ROLE_WORKER;
    case SETTINGS_ROLE_MEMBER:
        return ROLE_MEMBER;
    }
    unreachable();
}

void access_set_role(const struct node *node, struct link *link)
{
    const struct settings *settings = node->settings;
    struct role_claims claims = {.is_member = greeting_is_candidate(node, link),
                                 .certificate =
                                     peer_certificate_role(link->peer)};

    for (uint32_t i = 0; !claims.is_set && i < settings->role_count; i++) {
        const struct settings_role_rule *rule = &settings->roles[i];

        if (pattern_matches(bytes_of_string(rule->pattern),
                            link->inbox_peer.name)) {
            claims.is_set = true;
            claims.setting = role_of_setting(rule->role);
        }
    }
    link->role = role_decide(&claims);
    link->may_manage = role_may_manage(&claims);
}

/* `what` and `detail` say what was asked for. */
static void refuse(struct node *node, const struct link *link, const char *what,
                   struct bytes detail)
{
    node->counters.forbidden++;
    log_line(LOG_WARN, "forbidden",
             "peer=%.*s role=%s asked=\"%s %.*s\" total=%llu",
             (int)link->inbox_peer.name.size, link->inbox_peer.name.data,
             role_text(link->role), what, (int)detail.size, detail.data,
             (unsigned long long)node->counters.forbidden);
}

/* A name is for a process of the node that asks; only taking one away is not
 * bound to it, as with `global`. */
static bool is_own_name(const struct link *link, const struct api_request *api)
{
    return api->type != API_REGISTER ||
           bytes_equal(api->worker, link->inbox_peer.name);
}

static bool may_manage(const struct link *link)
{
    return role_may(link->role, RIGHT_MANAGE) || link->may_manage;
}

/* Its own node obeys a caller anyway; of others it could make ours the means of
 * what they refuse to hear from it. */
static bool may_run_there(const struct link *link,
                          const struct api_request *api)
{
    return api->run_on.size == 0 || may_manage(link) ||
           bytes_equal(api->run_on, link->inbox_peer.name);
}

bool access_allows_call(struct node *node, const struct link *link,
                        const struct api_request *api)
{
    if (!role_may(link->role, api->function->right) &&
        !(api->function->right == RIGHT_MANAGE && may_manage(link))) {
        refuse(node, link, "call", api->function->function);
        return false;
    }
    if (!is_own_name(link, api)) {
        refuse(node, link, "register for", api->worker);
        return false;
    }
    if (!may_run_there(link, api)) {
        refuse(node, link, "run on", api->run_on);
        return false;
    }
    return true;
}

bool access_allows_message(struct node *node, const struct link *link,
                           enum security_right right, struct bytes kind)
{
    if (!role_may(link->role, right)) {
        refuse(node, link,
               right == RIGHT_MEMBER ? "member message" : "agent message",
               kind);
        return false;
    }
    return true;
}

bool access_allows_pid(struct node *node, const struct link *link,
                       struct bytes pid, const char *kind)
{
    struct etf_reader reader = etf_reader_of(pid);
    struct etf_pid parts;

    if (etf_read_pid(&reader, &parts) == 0 && etf_at_end(&reader) &&
        bytes_equal(parts.node, link->inbox_peer.name)) {
        return true;
    }
    refuse(node, link,
           "agent message with a foreign pid:", bytes_of_string(kind));
    return false;
}
