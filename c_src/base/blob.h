/* SPDX-License-Identifier: Apache-2.0
 * Bytes that several hold and nobody changes: a big value goes to other
 * members, to the disk and into an answer without a copy for each. The last
 * one that lets go frees them; holders may be on different threads. */
#ifndef QUORATE_BASE_BLOB_H
#define QUORATE_BASE_BLOB_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>

struct blob;

/* Takes the bytes of `buf`, which is empty then; one holder. NULL: no memory,
 * and `buf` is as before. The buffer must have no error. */
struct blob *blob_take(struct buf *buf) MUST_USE;

/* The same with a copy. */
struct blob *blob_copy(struct bytes bytes) MUST_USE;

/* One more holder. */
struct blob *blob_hold(struct blob *blob);

/* One less. NULL is allowed. */
void blob_release(struct blob *blob);

/* Borrowed from those who hold it. */
struct bytes blob_bytes(const struct blob *blob);

/* Whether there are other holders than the caller. */
bool blob_is_shared(const struct blob *blob);

#endif
