/* SPDX-License-Identifier: Apache-2.0
 * From the text of a setting to its value: one function per type. Each returns
 * 0, or ERR_BADARG with a sentence appended to `error` and nothing stored. */
#ifndef QUORATE_CONFIG_VALUE_H
#define QUORATE_CONFIG_VALUE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "config/settings.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends a text in single quotes: at most 64 bytes of it, with what is not
 * printable replaced, since it may come from anywhere. */
void value_put_quoted(struct buf *buf, struct bytes text);

/* Decimal digits; `min` <= value <= `max`. */
int value_number(struct bytes text, uint64_t min, uint64_t max,
                 uint64_t *ret_number, struct buf *error) MUST_USE;

/* Decimal digits, then nothing, KiB, MiB, GiB or TiB; a multiple of 4096. */
int value_size(struct bytes text, uint64_t min, uint64_t max,
               uint64_t *ret_size, struct buf *error) MUST_USE;

/* true or false. */
int value_bool(struct bytes text, bool *ret_bool, struct buf *error) MUST_USE;

/* strict (true) or off. */
int value_verify(struct bytes text, bool *ret_verify,
                 struct buf *error) MUST_USE;

/* kill (true) or report. */
int value_hung(struct bytes text, bool *ret_kills, struct buf *error) MUST_USE;

int value_lease_profile(struct bytes text,
                        enum settings_lease_profile *ret_profile,
                        struct buf *error) MUST_USE;

int value_log_level(struct bytes text, enum settings_log_level *ret_level,
                    struct buf *error) MUST_USE;

/* NAME@HOST into SETTINGS_NAME_SIZE_MAX + 1 bytes. */
int value_name(struct bytes text, char *ret_name, struct buf *error) MUST_USE;

/* A path into SETTINGS_PATH_SIZE_MAX + 1 bytes. */
int value_path(struct bytes text, char *ret_path, struct buf *error) MUST_USE;

/* HOST:PORT with PORT from `port_min` to 65535. */
int value_address(struct bytes text, uint16_t port_min,
                  struct settings_address *ret_address,
                  struct buf *error) MUST_USE;

/* PATTERN=PATH. */
int value_peer_cookie(struct bytes text,
                      struct settings_peer_cookie *ret_cookie,
                      struct buf *error) MUST_USE;

/* PATTERN=ROLE. */
int value_role(struct bytes text, struct settings_role_rule *ret_rule,
               struct buf *error) MUST_USE;

/* NAME@HOST=ADDR:PORT. */
int value_member(struct bytes text, struct settings_member *ret_member,
                 struct buf *error) MUST_USE;

#endif
