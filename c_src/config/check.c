/* SPDX-License-Identifier: Apache-2.0
 * What must hold between settings. */
#include "base/err.h"
#include "config/settings.h"
#include "config/suggest.h"

#include <inttypes.h>
#include <string.h>

/* The rates of two clocks differ by less than this (design.md, section 2). */
enum { CLOCK_DRIFT_PERCENT = 1 };

/* The place of this member in its list of members, or NULL. */
static const struct settings_member *find_self(const struct settings *settings)
{
    for (uint32_t i = 0; i < settings->member_count; i++) {
        if (strcmp(settings->members[i].name, settings->name) == 0) {
            return &settings->members[i];
        }
    }
    return NULL;
}

static int require(const char *value, const char *flag, const char *what,
                   struct buf *error)
{
    if (value[0] != '\0') {
        return 0;
    }
    buf_printf(error, "%s is not set; give --%s %s", what, flag,
               strcmp(flag, "name") == 0 ? "NAME@HOST" : "PATH");
    return ERR_BADARG;
}

static int check_presence(const struct settings *settings, struct buf *error)
{
    int rv = require(settings->name, "name", "the name of the member", error);

    if (rv != 0) {
        return rv;
    }
    rv = require(settings->data_dir, "data-dir", "the data directory", error);
    if (rv != 0 || settings->supervised) {
        return rv;
    }
    return require(settings->cookie_file, "cookie-file", "the cookie file",
                   error);
}

static int check_members(const struct settings *settings, struct buf *error)
{
    if (settings->member_count == 0) {
        return 0;
    }
    if (find_self(settings) == NULL) {
        struct suggestion suggestion;

        suggestion_init(&suggestion, bytes_of_string(settings->name));
        for (uint32_t i = 0; i < settings->member_count; i++) {
            suggestion_consider(&suggestion, settings->members[i].name);
        }
        buf_printf(error, "'%s' is not among the members; ", settings->name);
        if (suggestion.best != NULL) {
            buf_printf(error, "did you mean '%s'?", suggestion.best);
        } else {
            buf_printf(error, "add a member %s=ADDR:PORT", settings->name);
        }
        return ERR_BADARG;
    }
    if (settings->member_count % 2 == 0) {
        buf_printf(error,
                   "there are %" PRIu32 " members; an even number bears no "
                   "more losses than one fewer: give 1, 3, 5 or 7",
                   settings->member_count);
        return ERR_BADARG;
    }
    return 0;
}

static int check_joins(const struct settings *settings, struct buf *error)
{
    if (settings->join_count > 0 && settings->member_count > 0) {
        buf_printf(error, "--member names the first voters of a new cluster, "
                          "--join members of one that is there; give one of "
                          "the two");
        return ERR_BADARG;
    }
    for (uint32_t i = 0; i < settings->join_count; i++) {
        if (strcmp(settings->joins[i].name, settings->name) == 0) {
            buf_printf(error,
                       "--join names '%s' itself; give members that are in "
                       "the cluster already",
                       settings->name);
            return ERR_BADARG;
        }
    }
    return 0;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* Others come to the host of the name. If that is a numeric address of the
 * network and only the loopback is listened on, nobody can reach us. */
static int check_reachable(const struct settings *settings, struct buf *error)
{
    const char *host = strchr(settings->name, '@') + 1;
    bool is_numeric = strspn(host, "0123456789.") == strlen(host);

    if (is_numeric && !is_loopback(host) &&
        is_loopback(settings->listen.host)) {
        buf_printf(error,
                   "'%s' cannot be reached while listening on %s; give "
                   "--listen %s:%d",
                   settings->name, settings->listen.text, host,
                   (int)settings->listen.port);
        return ERR_BADARG;
    }
    return 0;
}

int settings_check_tls(const struct settings *settings, bool *ret_is_on,
                       struct buf *error)
{
    const struct {
        const char *path;
        const char *flag;
    } files[] = {{settings->tls_cert_file, "tls-cert-file"},
                 {settings->tls_key_file, "tls-key-file"},
                 {settings->tls_ca_file, "tls-ca-file"}};
    enum { COUNT = sizeof(files) / sizeof(files[0]) };
    const char *missing = NULL;
    size_t set = 0;

    for (size_t i = 0; i < COUNT; i++) {
        if (files[i].path[0] != '\0') {
            set++;
        } else if (missing == NULL) {
            missing = files[i].flag;
        }
    }
    if (set > 0 && missing != NULL) {
        buf_printf(error,
                   "TLS needs a certificate, its key and the authorities; give "
                   "--%s PATH too",
                   missing);
        return ERR_BADARG;
    }
    *ret_is_on = set > 0;
    return 0;
}

/* What a profile means for the times that were not given. Elections belong to
 * it: a leader that falls silent must be replaced within `ttl_owner_ms`. */
static void apply_profile(struct settings *settings)
{
    static const struct {
        const char *name;
        size_t offset;
        uint32_t fast;
        uint32_t patient;
    } times[] = {
        {"election_timeout_ms", offsetof(struct settings, election_timeout_ms),
         250, 1500},
        {"heartbeat_interval_ms",
         offsetof(struct settings, heartbeat_interval_ms), 50, 300},
        {"ttl_owner_ms", offsetof(struct settings, ttl_owner_ms), 1100, 10500},
        {"stop_budget_ms", offsetof(struct settings, stop_budget_ms), 300,
         3000},
        {"ttl_leader_ms", offsetof(struct settings, ttl_leader_ms), 1500,
         15000},
    };
    size_t count;
    const struct setting *schema = settings_schema(&count);

    if (settings->lease_profile == SETTINGS_LEASE_DEFAULT) {
        return;
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        const struct setting *setting =
            settings_find(bytes_of_string(times[i].name));

        if (settings->origins[setting - schema] == SETTINGS_DEFAULT) {
            memcpy((char *)settings + times[i].offset,
                   settings->lease_profile == SETTINGS_LEASE_FAST
                       ? &times[i].fast
                       : &times[i].patient,
                   sizeof(uint32_t));
        }
    }
}

static int check_times(const struct settings *settings, struct buf *error)
{
    uint64_t slowest = 100 + CLOCK_DRIFT_PERCENT;
    uint64_t fastest = 100 - CLOCK_DRIFT_PERCENT;
    uint64_t owner = settings->ttl_owner_ms * slowest +
                     settings->stop_budget_ms * UINT64_C(100);
    uint64_t leader = settings->ttl_leader_ms * fastest;

    if (settings->heartbeat_interval_ms * UINT64_C(2) >=
        settings->election_timeout_ms) {
        buf_printf(error,
                   "heartbeat_interval_ms (%" PRIu32 ") must be less than "
                   "half of election_timeout_ms (%" PRIu32 ")",
                   settings->heartbeat_interval_ms,
                   settings->election_timeout_ms);
        return ERR_BADARG;
    }
    if (owner > leader) {
        buf_printf(error,
                   "with ttl_owner_ms %" PRIu32 " and stop_budget_ms %" PRIu32
                   " a sandbox could run twice: ttl_leader_ms (%" PRIu32
                   ") must be at least %" PRIu64,
                   settings->ttl_owner_ms, settings->stop_budget_ms,
                   settings->ttl_leader_ms, (owner + fastest - 1) / fastest);
        return ERR_BADARG;
    }
    return 0;
}

int settings_check(struct settings *settings, struct buf *error)
{
    const struct settings_member *self = find_self(settings);
    const struct setting *listen = settings_find(bytes_of_string("listen"));
    size_t count;
    bool is_tls;
    int rv = check_presence(settings, error);

    if (rv != 0) {
        return rv;
    }
    if (self != NULL && settings->origins[listen - settings_schema(&count)] ==
                            SETTINGS_DEFAULT) {
        settings->listen = self->address;
    }
    apply_profile(settings);
    rv = check_members(settings, error);
    if (rv == 0) {
        rv = check_joins(settings, error);
    }
    if (rv == 0) {
        rv = check_reachable(settings, error);
    }
    if (rv == 0) {
        rv = settings_check_tls(settings, &is_tls, error);
    }
    if (rv == 0) {
        rv = check_times(settings, error);
    }
    return rv;
}
