/* SPDX-License-Identifier: Apache-2.0
 * What one member says to another every quarter of a second about who hears
 * whom: two stamps, by which a round trip is measured, and rows, one for each
 * member it knows of, its own first.
 *
 *   u8 version  u64 stamp  u64 echo  u32 held  u8 count
 *   count times: u64 id  u64 number  u32 age  u16 heard  u16 arriving
 *
 * Bit i of `heard` and `arriving` is the member of entry i. Numbers are big
 * endian. Plain data. */
#ifndef QUORATE_CLUSTER_REACH_PROBE_H
#define QUORATE_CLUSTER_REACH_PROBE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cluster/directory.h"

#include <stdint.h>

enum {
    REACH_MAX = DIRECTORY_MAX,
    REACH_PROBE_VERSION = 1,
    REACH_PROBE_SIZE_MAX = 22 + REACH_MAX * 24, /* bytes */
};

/* What a member said of itself. */
struct reach_row {
    uint64_t number;   /* grows with each that it says; 0: none is known */
    uint32_t age_ms;   /* since it said so */
    uint16_t heard;    /* whose probes come to it */
    uint16_t arriving; /* whose packets come to it, but nothing in them that is
                          new: they do not learn that theirs arrive */
};

struct reach_probe {
    uint64_t stamp_us; /* of the sender's clock, to be sent back */
    uint64_t echo_us;  /* the receiver's last stamp; 0: none has come */
    uint32_t held_us;  /* since that came */
    uint32_t count;    /* 1 to REACH_MAX; entry 0 is the sender */
    uint64_t ids[REACH_MAX];
    struct reach_row rows[REACH_MAX];
};

/* Appends it. */
void reach_probe_encode(struct buf *out, const struct reach_probe *probe);

/* 0; ERR_UNSUPPORTED: another version; ERR_MALFORMED. The result is untouched
 * then. Afterwards: no id is 0 or there twice, entry 0 has a row, no bit is of
 * an entry that is not there. */
int reach_probe_decode(struct bytes bytes,
                       struct reach_probe *ret_probe) MUST_USE;

#endif
