/* SPDX-License-Identifier: Apache-2.0
 * Builds External Term Format into a bounded `struct buf`. The encoding of
 * single terms is erl_interface's (ei_encode_*); the bounds are ours. Errors
 * are the buffer's and sticky: look at buf_error() once at the end. Besides
 * the buffer's own there is ERR_BADARG: an atom or node name that is no UTF-8,
 * a float that is not finite. ERR_LIMIT may also be a name of more than 255
 * characters, or a size beyond 2^31. */
#ifndef QUORATE_ETF_WRITER_H
#define QUORATE_ETF_WRITER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void etf_put_version(struct buf *buf); /* 131 */
void etf_put_atom(struct buf *buf, const char *name);
void etf_put_atom_bytes(struct buf *buf, struct bytes name); /* UTF-8 */
void etf_put_bool(struct buf *buf, bool value);
void etf_put_u64(struct buf *buf, uint64_t value);
void etf_put_i64(struct buf *buf, int64_t value);
void etf_put_double(struct buf *buf, double value);
void etf_put_binary(struct buf *buf, struct bytes bytes);
/* Of a binary whose `size` bytes follow. */
void etf_put_binary_head(struct buf *buf, size_t size);
void etf_put_string_binary(struct buf *buf, const char *text); /* a binary */
void etf_put_tuple(struct buf *buf, uint32_t arity); /* elements follow */
void etf_put_map(struct buf *buf, uint32_t pairs);   /* key, value, ... */
void etf_put_list(struct buf *buf, uint32_t count);  /* count > 0; then
                                                        elements and a nil */
void etf_put_nil(struct buf *buf);
void etf_put_raw(struct buf *buf, struct bytes raw); /* a raw term */

struct etf_pid; /* etf/reader.h */
void etf_put_pid(struct buf *buf, const struct etf_pid *pid);

/* A reference of up to 5 words of node `node`. */
void etf_put_reference(struct buf *buf, struct bytes node, uint32_t creation,
                       const uint32_t *words, uint32_t word_count);

#endif
