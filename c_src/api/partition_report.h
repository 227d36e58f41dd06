/* SPDX-License-Identifier: Apache-2.0
 * The answer of partition_detector:partition_report(), which subscribers are
 * told too (docs/operations.md, Partitions). */
#ifndef QUORATE_API_PARTITION_REPORT_H
#define QUORATE_API_PARTITION_REPORT_H

#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PARTITION_REPORT_MEMBERS_MAX = 16 };

struct partition_report_member {
    struct bytes name;
    bool has_rtt;
    uint32_t rtt_last_us;
    uint32_t rtt_median_us;
};

/* Sets of members are bits by their position in `members`. */
struct partition_report {
    const char *verdict; /* no_partition, ... */
    uint64_t since_ms;   /* for how long that is so */
    bool has_quorum;
    bool has_deadline;
    uint64_t deadline_ms;         /* from now */
    const struct bytes *expected; /* nodes */
    size_t expected_count;
    const struct bytes *missing;
    size_t missing_count;
    struct partition_report_member members[PARTITION_REPORT_MEMBERS_MAX];
    uint32_t member_count;
    const uint16_t *groups;
    uint32_t group_count;
    const uint16_t *one_way; /* [a] bit b: {A, B} */
    uint16_t unheard;
};

/* Appends #{verdict, since, quorum, deadline, expected, missing, unheard,
 * groups, one_way, rtt}. */
void partition_report_put(struct buf *buf,
                          const struct partition_report *report);

#endif
