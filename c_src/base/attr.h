/* SPDX-License-Identifier: Apache-2.0
 * Compiler attributes used by every header. */
#ifndef QUORATE_BASE_ATTR_H
#define QUORATE_BASE_ATTR_H

/* The result must be used; ignoring it needs a `(void)` and a reason. */
#define MUST_USE __attribute__((warn_unused_result))

/* printf-like arguments are checked against the format. */
#define PRINTF_LIKE(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

#endif
