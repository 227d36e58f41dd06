/* SPDX-License-Identifier: Apache-2.0
 * UTF-8 as in RFC 3629: no overlong forms, no surrogates, at most U+10FFFF. */
#ifndef QUORATE_ETF_UTF8_H
#define QUORATE_ETF_UTF8_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* 0 and the number of characters, or ERR_MALFORMED. */
int utf8_count(struct bytes text, size_t *ret_chars) MUST_USE;

/* Whether all bytes are below 128. */
bool utf8_is_ascii(struct bytes text);

#endif
