/* SPDX-License-Identifier: Apache-2.0
 * What can be set, and what it is set to. One table (settings_schema()) has
 * the name, type, default and bounds of each setting; files, flags and the
 * environment all go through settings_set(), so that there is one validator.
 *
 * A value from a stronger origin wins, in whatever order they are set:
 * default < file < environment < flag. Errors are one line of text for the
 * user: what is wrong, and what to do. */
#ifndef QUORATE_CONFIG_SETTINGS_H
#define QUORATE_CONFIG_SETTINGS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SETTINGS_MEMBERS_MAX = 7,        /* voters */
    SETTINGS_NAME_SIZE_MAX = 255,    /* bytes of a node name */
    SETTINGS_PATH_SIZE_MAX = 4095,   /* bytes */
    SETTINGS_ADDRESS_SIZE_MAX = 255, /* bytes of ADDR:PORT */
    SETTINGS_FILE_SIZE_MAX = 65536,  /* bytes of a configuration file */
    SETTINGS_ERROR_SIZE_MAX = 8192,  /* room for any error text */
    SETTINGS_COUNT_MAX = 32,         /* settings in the table */
    SETTINGS_PEER_COOKIES_MAX = 16,  /* cookies for certain peers */
    SETTINGS_ROLES_MAX = 64          /* rules for the roles of peers */
};

enum settings_origin {
    SETTINGS_DEFAULT,
    SETTINGS_FILE,
    SETTINGS_ENVIRONMENT,
    SETTINGS_FLAG
};

enum settings_log_level {
    SETTINGS_LOG_ERROR,
    SETTINGS_LOG_WARN,
    SETTINGS_LOG_INFO,
    SETTINGS_LOG_DEBUG
};

/* Sets of times that fit together (settings_check()). */
enum settings_lease_profile {
    SETTINGS_LEASE_DEFAULT,
    SETTINGS_LEASE_FAST,
    SETTINGS_LEASE_PATIENT
};

/* Where to listen or to connect: "127.0.0.1:4370", "[::1]:4370", "host:0". */
struct settings_address {
    char text[SETTINGS_ADDRESS_SIZE_MAX + 1]; /* as given */
    char host[SETTINGS_ADDRESS_SIZE_MAX + 1]; /* without brackets */
    uint16_t port;
};

struct settings_member {
    char name[SETTINGS_NAME_SIZE_MAX + 1]; /* NAME@HOST */
    struct settings_address address;       /* its port is not 0 */
};

/* Patterns of node names: `*` stands for any run of characters. */
struct settings_peer_cookie {
    char pattern[SETTINGS_NAME_SIZE_MAX + 1];
    char file[SETTINGS_PATH_SIZE_MAX + 1];
};

enum settings_role {
    SETTINGS_ROLE_CLIENT,
    SETTINGS_ROLE_WORKER,
    SETTINGS_ROLE_MEMBER
};

struct settings_role_rule {
    char pattern[SETTINGS_NAME_SIZE_MAX + 1];
    enum settings_role role;
};

/* Texts that are not set are "". All of it is plain data: a copy is a copy. */
struct settings {
    char name[SETTINGS_NAME_SIZE_MAX + 1]; /* NAME@HOST of this member */
    char cookie_file[SETTINGS_PATH_SIZE_MAX + 1];
    char data_dir[SETTINGS_PATH_SIZE_MAX + 1];
    struct settings_address listen;                       /* port 0: any */
    struct settings_member members[SETTINGS_MEMBERS_MAX]; /* initial voters */
    uint32_t member_count; /* 0: this member alone */
    struct settings_member joins[SETTINGS_MEMBERS_MAX]; /* of its cluster */
    uint32_t join_count; /* not 0: this member waits to be added */
    /* The first that matches counts. */
    struct settings_peer_cookie peer_cookies[SETTINGS_PEER_COOKIES_MAX];
    uint32_t peer_cookie_count;
    struct settings_role_rule roles[SETTINGS_ROLES_MAX];
    uint32_t role_count;
    /* PEM files: with the first TLS is on, and all three are needed. */
    char tls_cert_file[SETTINGS_PATH_SIZE_MAX + 1];
    char tls_key_file[SETTINGS_PATH_SIZE_MAX + 1];
    char tls_ca_file[SETTINGS_PATH_SIZE_MAX + 1];
    bool verify_name; /* a peer's name must be in its certificate */
    bool epmd;        /* register with epmd, ask it */
    bool supervised;  /* cookie and end of file by stdin */
    enum settings_log_level log_level;
    enum settings_lease_profile lease_profile; /* for times not given */
    uint32_t election_timeout_ms;
    uint32_t heartbeat_interval_ms;
    uint32_t ttl_owner_ms;           /* an owner may act after a renewal */
    uint32_t stop_budget_ms;         /* to kill what runs without a lease */
    uint32_t ttl_leader_ms;          /* the leader waits before it gives away */
    bool kills_hung_worker;          /* one of this host that does not report */
    uint64_t state_map_size;         /* bytes; a multiple of 4096 */
    uint64_t snapshot_log_size;      /* bytes between two snapshots, at least */
    uint64_t ownership_journal_size; /* of all its files; 0: none is kept */
    char ownership_journal_dir[SETTINGS_PATH_SIZE_MAX + 1]; /* "": data_dir */
    uint32_t requests_max;               /* in flight, then ERR_BUSY */
    uint8_t origins[SETTINGS_COUNT_MAX]; /* enum settings_origin, by setting */
};

enum setting_type {
    SETTING_NAME, /* NAME@HOST */
    SETTING_PATH,
    SETTING_ADDRESS,     /* ADDR:PORT */
    SETTING_MEMBER,      /* NAME@HOST=ADDR:PORT, repeated */
    SETTING_PEER_COOKIE, /* PATTERN=PATH, repeated */
    SETTING_ROLE,        /* PATTERN=ROLE, repeated */
    SETTING_BOOL,        /* true or false */
    SETTING_VERIFY,      /* strict or off: a bool */
    SETTING_HUNG,        /* kill or report: a bool */
    SETTING_PROFILE,     /* fast, default or patient */
    SETTING_LOG_LEVEL,   /* error, warn, info or debug */
    SETTING_NUMBER,      /* a whole number, 32 bits */
    SETTING_SIZE         /* bytes, or with KiB, MiB, GiB, TiB */
};

/* One line of the table. */
struct setting {
    const char *name; /* snake_case; --kebab-case as a flag */
    enum setting_type type;
    size_t offset;            /* of its field in struct settings */
    const char *default_text; /* NULL: none */
    uint64_t min;             /* numbers and sizes: bounds, inclusive */
    uint64_t max;
    const char *help; /* for --help; one line */
};

/* The table; lives for ever. */
const struct setting *settings_schema(size_t *ret_count);

/* The line of the table with that name, or NULL. */
const struct setting *settings_find(struct bytes name);

/* Whether it may be given again, and adds to a list then. */
bool setting_is_list(const struct setting *setting);

/* All defaults. */
void settings_init(struct settings *settings);

/* Sets one value from its text. 0, or ERR_NOT_FOUND (no such setting),
 * ERR_BADARG, ERR_EXISTS (in a list twice), ERR_LIMIT (a list is full), with a
 * sentence appended to `error`; `settings` are unchanged then. A value from a
 * weaker origin than the present one is checked and dropped. */
int settings_set(struct settings *settings, enum settings_origin origin,
                 struct bytes name, struct bytes value,
                 struct buf *error) MUST_USE;

/* Takes the lines of a file: `name = value`, `# comment`. The text of an error
 * begins with FILE:LINE:COLUMN. Errors as of settings_set(), ERR_MALFORMED (a
 * line without `=`, a control character), ERR_EXISTS (a name twice, if
 * it is no list). On error some lines may have been taken already. */
int settings_parse_file(struct settings *settings, const char *file_name,
                        struct bytes text, struct buf *error) MUST_USE;

/* Whether the links of a member are to be TLS. 0, or ERR_BADARG with a sentence
 * appended to `error`: only some of the files are set. */
int settings_check_tls(const struct settings *settings, bool *ret_is_on,
                       struct buf *error) MUST_USE;

/* To be called once, after all values are set: fills in what follows from
 * others (the address to listen on, if this member is in the list of members
 * and none was given; the times of the lease profile, where none was given),
 * then checks what one value alone cannot show, above all
 * ttl_owner * 1.01 + stop_budget <= ttl_leader * 0.99. 0, or ERR_BADARG with a
 * sentence appended to `error`. */
int settings_check(struct settings *settings, struct buf *error) MUST_USE;

#endif
