/* SPDX-License-Identifier: Apache-2.0
 * Who can reach whom, as this member tells its users. Private to node/.
 *
 *   partitions.c   feeds the detector (cluster/reach.h) and does what it says
 *   report.c       members and workers against those that are expected
 *   subscribers.c  who is told of changes
 */
#ifndef QUORATE_NODE_PARTITIONS_H
#define QUORATE_NODE_PARTITIONS_H

#include "api/request.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/list.h"
#include "cluster/members.h"
#include "cluster/reach.h"

#include <stdbool.h>
#include <stdint.h>

struct node;
struct link;

enum {
    PARTITIONS_SUBSCRIBERS_MAX = 256,
    PARTITIONS_LOOK_MS = 250,    /* between two looks at the workers */
    PARTITIONS_WORKER_MS = 1750, /* silence of one; keep-alives are slower
                                    than probes */
    PARTITIONS_REPORT_MAX = 4 * 1024 * 1024, /* bytes */
};

/* What subscribers are told of: another one is news. */
struct partitions_picture {
    struct reach_matrix matrix;
    uint32_t verdict;         /* enum partition_verdict */
    uint32_t expected;        /* members and workers */
    uint32_t missing_workers; /* how many, and which */
    uint32_t has_quorum;
    uint64_t missing_hash;
};

struct partitions {
    struct reach reach;
    struct partitions_picture picture;
    uint64_t since_ms; /* the verdict is what it is */
    uint64_t looked_ms;
    uint64_t ticked_ms;
    struct bytes
        expected; /* owned; a raw list of atoms; empty: none were set */
    struct list subscribers;
    uint32_t subscriber_count;
    uint64_t dropped; /* subscribers who did not read */
};

/* Of those who vote, as far as this member knows. */
enum partitions_majority {
    MAJORITY_THERE,    /* was heard just now; the own member counts, too */
    MAJORITY_IN_DOUBT, /* was never heard since this one started, or is silent
                          and not given up yet */
    MAJORITY_GONE      /* enough of them are out of reach */
};

void partitions_init(struct node *node);
void partitions_start(struct node *node); /* who it is, is known */
void partitions_close(struct node *node);
void partitions_tick(struct node *node);
int partitions_receive(struct node *node, const struct link *link,
                       struct bytes probe) MUST_USE;
/* A link to a member is there, or has gone. */
void partitions_link(struct node *node, const struct member *member,
                     bool is_up);
enum partition_verdict partitions_verdict(struct node *node);
/* While two halves of voters decide together: the worse one. */
enum partitions_majority partitions_majority(const struct node *node);

/* --- report.c ------------------------------------------------------------- */

void report_picture(struct node *node, struct partitions_picture *ret_picture);
/* As of the last look. */
void report_put(struct node *node, struct buf *result);
void report_put_expected(struct node *node, struct buf *result);
/* `nodes`: a raw list that api_decode() has accepted; copied. ERR_NOMEM. */
int report_expect(struct node *node, struct bytes nodes) MUST_USE;

/* --- subscribers.c -------------------------------------------------------- */

void subscribers_add(struct node *node, const struct api_request *api,
                     struct buf *result);
void subscribers_remove(struct node *node, const struct api_request *api,
                        struct buf *result);
/* Its process, or the link to it, is gone. */
void subscribers_down(struct node *node, struct bytes reference);
/* Sends {quorate, Word, Report} to all of them. */
void subscribers_tell(struct node *node, const char *word);
void subscribers_close(struct node *node);

#endif
