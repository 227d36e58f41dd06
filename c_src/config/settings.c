/* SPDX-License-Identifier: Apache-2.0
 * The table of settings, and the one way to set one. */
#include "config/settings.h"

#include "base/ensure.h"
#include "base/err.h"
#include "config/suggest.h"
#include "config/value.h"

#include <string.h>

#define FIELD(name) offsetof(struct settings, name)
#define MIB         (UINT64_C(1) << 20)
#define TIB         (UINT64_C(1) << 40)

static const struct setting schema[] = {
    {"name", SETTING_NAME, FIELD(name), NULL, 0, 0,
     "the node name of this member"},
    {"cookie_file", SETTING_PATH, FIELD(cookie_file), NULL, 0, 0,
     "the file that holds the cookie of the cluster"},
    {"data_dir", SETTING_PATH, FIELD(data_dir), NULL, 0, 0,
     "the directory of the log and the states"},
    {"listen", SETTING_ADDRESS, FIELD(listen), "127.0.0.1:0", 0, 0,
     "where to serve; port 0 takes a free one"},
    {"member", SETTING_MEMBER, FIELD(members), NULL, 0, 0,
     "one of the first voters; repeated"},
    {"join", SETTING_MEMBER, FIELD(joins), NULL, 0, 0,
     "a member of the cluster to be added to; repeated"},
    {"peer_cookie", SETTING_PEER_COOKIE, FIELD(peer_cookies), NULL, 0, 0,
     "a cookie for peers of such names; repeated"},
    {"role", SETTING_ROLE, FIELD(roles), NULL, 0, 0,
     "the role of peers of such names; repeated"},
    {"tls_cert_file", SETTING_PATH, FIELD(tls_cert_file), NULL, 0, 0,
     "our certificate (PEM); turns TLS on"},
    {"tls_key_file", SETTING_PATH, FIELD(tls_key_file), NULL, 0, 0,
     "its key (PEM), for our eyes only"},
    {"tls_ca_file", SETTING_PATH, FIELD(tls_ca_file), NULL, 0, 0,
     "who may vouch for peers (PEM)"},
    {"verify_name", SETTING_VERIFY, FIELD(verify_name), "strict", 0, 0,
     "a peer's name must be in its certificate"},
    {"epmd", SETTING_BOOL, FIELD(epmd), "true", 0, 0,
     "register with the port mapper (epmd)"},
    {"log_level", SETTING_LOG_LEVEL, FIELD(log_level), "info", 0, 0,
     "error, warn, info or debug"},
    {"lease_profile", SETTING_PROFILE, FIELD(lease_profile), "default", 0, 0,
     "fast, default or patient: times of leases"},
    {"election_timeout_ms", SETTING_NUMBER, FIELD(election_timeout_ms), "500",
     50, 60000, "how long a leader may be silent"},
    {"heartbeat_interval_ms", SETTING_NUMBER, FIELD(heartbeat_interval_ms),
     "100", 10, 10000, "how often a leader is heard"},
    {"ttl_owner_ms", SETTING_NUMBER, FIELD(ttl_owner_ms), "2500", 100, 600000,
     "how long an owner may act after a renewal"},
    {"stop_budget_ms", SETTING_NUMBER, FIELD(stop_budget_ms), "1000", 50,
     600000, "how long it may then take to stop"},
    {"ttl_leader_ms", SETTING_NUMBER, FIELD(ttl_leader_ms), "4000", 150,
     1800000, "how long the leader waits before it gives away"},
    {"on_hung_worker", SETTING_HUNG, FIELD(kills_hung_worker), "kill", 0, 0,
     "kill or report one of this host that hangs"},
    {"state_map_size", SETTING_SIZE, FIELD(state_map_size), "64GiB", 16 * MIB,
     16 * TIB, "the most that all states may take on disk"},
    {"snapshot_log_size", SETTING_SIZE, FIELD(snapshot_log_size), "64MiB",
     1 * MIB, 16384 * MIB, "so much log at least between two snapshots"},
    {"ownership_journal_size", SETTING_SIZE, FIELD(ownership_journal_size),
     "64MiB", 0 * MIB, 16384 * MIB,
     "the most that the ownership journal takes; 0: off"},
    {"ownership_journal_dir", SETTING_PATH, FIELD(ownership_journal_dir), NULL,
     0, 0, "where it is kept, if not in data_dir"},
    {"requests_max", SETTING_NUMBER, FIELD(requests_max), "65536", 1, 1000000,
     "the most requests in flight"},
    {"supervised", SETTING_BOOL, FIELD(supervised), "false", 0, 0,
     "a port program: cookie, end by standard input"},
};

enum { SETTING_COUNT = sizeof(schema) / sizeof(schema[0]) };

_Static_assert((int)SETTING_COUNT <= (int)SETTINGS_COUNT_MAX,
               "origins has a place for each setting");

const struct setting *settings_schema(size_t *ret_count)
{
    *ret_count = SETTING_COUNT;
    return schema;
}

const struct setting *settings_find(struct bytes name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (bytes_is(name, schema[i].name)) {
            return &schema[i];
        }
    }
    return NULL;
}

void settings_init(struct settings *settings)
{
    struct buf error;

    /* No room for a sentence: a default that fails is our own mistake. */
    buf_init(&error, 0);
    memset(settings, 0, sizeof(*settings));
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        int rv = 0;

        if (schema[i].default_text != NULL) {
            rv = settings_set(settings, SETTINGS_DEFAULT,
                              bytes_of_string(schema[i].name),
                              bytes_of_string(schema[i].default_text), &error);
        }
        ensure(rv == 0);
    }
}

static int unknown(struct bytes name, struct buf *error)
{
    struct suggestion suggestion;

    suggestion_init(&suggestion, name);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        suggestion_consider(&suggestion, schema[i].name);
    }
    buf_printf(error, "unknown setting ");
    value_put_quoted(error, name);
    if (suggestion.best != NULL) {
        buf_printf(error, "; did you mean '%s'?", suggestion.best);
    } else {
        buf_printf(error, "; `quorate help start` lists them all");
    }
    return ERR_NOT_FOUND;
}

bool setting_is_list(const struct setting *setting)
{
    return setting->type == SETTING_MEMBER ||
           setting->type == SETTING_PEER_COOKIE ||
           setting->type == SETTING_ROLE;
}

/* Where an entry of a list goes: 0, ERR_EXISTS or ERR_LIMIT. Entries are of
 * `size` bytes, and their name or pattern comes first in each. */
struct list_of {
    void *entries;
    size_t size;
    uint32_t count; /* that stay */
    uint32_t count_max;
};

static int add_entry(const struct list_of *list, const void *entry,
                     uint32_t *ret_count, struct buf *error)
{
    char *end = (char *)list->entries + list->count * list->size;

    for (char *at = list->entries; at < end; at += list->size) {
        if (strcmp(at, entry) == 0) {
            buf_printf(error, "'%s' is there twice; give it once", at);
            return ERR_EXISTS;
        }
    }
    if (list->count == list->count_max) {
        buf_printf(error, "there are too many; give at most %u",
                   list->count_max);
        return ERR_LIMIT;
    }
    memcpy(end, entry, list->size);
    *ret_count = list->count + 1;
    return 0;
}

_Static_assert(offsetof(struct settings_member, name) == 0 &&
                   offsetof(struct settings_peer_cookie, pattern) == 0 &&
                   offsetof(struct settings_role_rule, pattern) == 0,
               "add_entry() compares what comes first");

/* Adds to a list, or begins a new one if what is there comes from a weaker
 * origin. */
static int set_list(struct settings *settings, const struct setting *setting,
                    enum settings_origin origin, struct bytes value,
                    struct buf *error)
{
    enum settings_origin present =
        (enum settings_origin)settings->origins[setting - schema];
    struct list_of list = {.entries = (char *)settings + setting->offset};
    union {
        struct settings_member member;
        struct settings_peer_cookie cookie;
        struct settings_role_rule role;
    } entry;
    uint32_t *count;
    int rv;

    memset(&entry, 0, sizeof(entry));
    if (setting->type == SETTING_MEMBER) {
        rv = value_member(value, &entry.member, error);
        list.size = sizeof(entry.member);
        list.count_max = SETTINGS_MEMBERS_MAX;
        count = setting->offset == FIELD(members) ? &settings->member_count
                                                  : &settings->join_count;
    } else if (setting->type == SETTING_PEER_COOKIE) {
        rv = value_peer_cookie(value, &entry.cookie, error);
        list.size = sizeof(entry.cookie);
        list.count_max = SETTINGS_PEER_COOKIES_MAX;
        count = &settings->peer_cookie_count;
    } else {
        rv = value_role(value, &entry.role, error);
        list.size = sizeof(entry.role);
        list.count_max = SETTINGS_ROLES_MAX;
        count = &settings->role_count;
    }
    if (rv != 0 || origin < present) {
        return rv;
    }
    list.count = origin > present ? 0 : *count;
    return add_entry(&list, &entry, count, error);
}

/* Parses a value into its place in `target`. */
static int set_scalar(struct settings *target, const struct setting *setting,
                      struct bytes value, struct buf *error)
{
    void *field = (char *)target + setting->offset;
    uint64_t number = 0;
    int rv = 0;

    switch (setting->type) {
    case SETTING_NAME:
        return value_name(value, field, error);
    case SETTING_PATH:
        return value_path(value, field, error);
    case SETTING_ADDRESS:
        return value_address(value, 0, field, error);
    case SETTING_BOOL:
        return value_bool(value, field, error);
    case SETTING_VERIFY:
        return value_verify(value, field, error);
    case SETTING_HUNG:
        return value_hung(value, field, error);
    case SETTING_PROFILE:
        return value_lease_profile(value, field, error);
    case SETTING_LOG_LEVEL:
        return value_log_level(value, field, error);
    case SETTING_SIZE:
        return value_size(value, setting->min, setting->max, field, error);
    case SETTING_NUMBER:
        rv = value_number(value, setting->min, setting->max, &number, error);
        if (rv == 0) {
            *(uint32_t *)field = (uint32_t)number;
        }
        return rv;
    case SETTING_MEMBER:
    case SETTING_PEER_COOKIE:
    case SETTING_ROLE:
        break;
    }
    unreachable();
}

int settings_set(struct settings *settings, enum settings_origin origin,
                 struct bytes name, struct bytes value, struct buf *error)
{
    const struct setting *setting = settings_find(name);
    struct settings scratch;
    enum settings_origin present;
    size_t error_size;
    int rv;

    if (setting == NULL) {
        return unknown(name, error);
    }
    present = (enum settings_origin)settings->origins[setting - schema];
    error_size = error->size;
    buf_printf(error, "%s: ", setting->name);
    if (setting_is_list(setting)) {
        rv = set_list(settings, setting, origin, value, error);
    } else if (origin < present) {
        rv = set_scalar(&scratch, setting, value, error);
    } else {
        rv = set_scalar(settings, setting, value, error);
    }
    if (rv != 0) {
        return rv;
    }
    error->size = error_size;
    if (origin > present) {
        settings->origins[setting - schema] = (uint8_t)origin;
    }
    return 0;
}
