/* SPDX-License-Identifier: Apache-2.0
 * Assertions that stay on in release builds. They guard against our own
 * mistakes only: whatever a peer or a file can cause is an error code. */
#ifndef QUORATE_BASE_ENSURE_H
#define QUORATE_BASE_ENSURE_H

/* Prints place and condition on standard error and aborts. */
_Noreturn void ensure_failed(const char *condition, const char *file, int line);

/* Aborts unless `condition` holds. One condition per call. */
#define ensure(condition) \
    ((condition) ? (void)0 : ensure_failed(#condition, __FILE__, __LINE__))

/* Marks a branch that no input can reach. */
#define unreachable() ensure_failed("unreachable", __FILE__, __LINE__)

#endif
