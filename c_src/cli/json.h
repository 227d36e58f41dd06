/* SPDX-License-Identifier: Apache-2.0
 * Terms as JSON (RFC 8259): atoms and binaries are strings, true and false
 * themselves, `undefined` is null, lists and tuples are arrays, maps are
 * objects, pids are "<NODE.ID.SERIAL>". What has no counterpart is named, as
 * in "<reference>". */
#ifndef QUORATE_CLI_JSON_H
#define QUORATE_CLI_JSON_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "etf/reader.h"

/* Appends one validated raw term. 0, or an error of the reader or the buffer;
 * `text` is then half written. */
int json_put_term(struct buf *text, struct bytes raw) MUST_USE;

/* Appends a string with its quotes. Bytes that are no UTF-8 come out as the
 * Latin-1 characters of their values. */
void json_put_string(struct buf *text, struct bytes bytes);

/* Appends a term that is no container in the form that people read, without
 * quotes; steps over it. ERR_BADARG if it is a list, tuple or map. */
int json_put_plain(struct buf *text, struct etf_reader *reader) MUST_USE;

#endif
