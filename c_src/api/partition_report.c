/* SPDX-License-Identifier: Apache-2.0 */
#include "api/partition_report.h"

#include "api/results.h"
#include "base/ensure.h"
#include "etf/writer.h"

static bool has_bit(uint32_t set, uint32_t i)
{
    return (set & (1U << i)) != 0;
}

static void put_set(struct buf *buf, const struct partition_report *report,
                    uint16_t set)
{
    struct bytes names[PARTITION_REPORT_MEMBERS_MAX];
    size_t count = 0;

    for (uint32_t i = 0; i < report->member_count; i++) {
        if (has_bit(set, i)) {
            names[count++] = report->members[i].name;
        }
    }
    results_put_nodes(buf, names, count);
}

static void put_groups(struct buf *buf, const struct partition_report *report)
{
    if (report->group_count > 0) {
        etf_put_list(buf, report->group_count);
    }
    for (uint32_t i = 0; i < report->group_count; i++) {
        put_set(buf, report, report->groups[i]);
    }
    etf_put_nil(buf);
}

static void put_one_way(struct buf *buf, const struct partition_report *report)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < report->member_count; i++) {
        count += (uint32_t)__builtin_popcount(report->one_way[i]);
    }
    if (count > 0) {
        etf_put_list(buf, count);
    }
    for (uint32_t i = 0; i < report->member_count; i++) {
        for (uint32_t j = 0; j < report->member_count; j++) {
            if (has_bit(report->one_way[i], j)) {
                etf_put_tuple(buf, 2);
                results_put_node(buf, report->members[i].name);
                results_put_node(buf, report->members[j].name);
            }
        }
    }
    etf_put_nil(buf);
}

static void put_rtts(struct buf *buf, const struct partition_report *report)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < report->member_count; i++) {
        count += report->members[i].has_rtt;
    }
    etf_put_map(buf, count);
    for (uint32_t i = 0; i < report->member_count; i++) {
        const struct partition_report_member *member = &report->members[i];

        if (member->has_rtt) {
            results_put_node(buf, member->name);
            etf_put_map(buf, 2);
            etf_put_atom(buf, "last");
            etf_put_u64(buf, member->rtt_last_us);
            etf_put_atom(buf, "median");
            etf_put_u64(buf, member->rtt_median_us);
        }
    }
}

void partition_report_put(struct buf *buf,
                          const struct partition_report *report)
{
    ensure(report->member_count <= PARTITION_REPORT_MEMBERS_MAX);
    etf_put_map(buf, 10);
    etf_put_atom(buf, "verdict");
    etf_put_atom(buf, report->verdict);
    etf_put_atom(buf, "since");
    etf_put_u64(buf, report->since_ms);
    etf_put_atom(buf, "quorum");
    etf_put_bool(buf, report->has_quorum);
    etf_put_atom(buf, "deadline");
    if (report->has_deadline) {
        etf_put_u64(buf, report->deadline_ms);
    } else {
        etf_put_atom(buf, "undefined");
    }
    etf_put_atom(buf, "expected");
    results_put_nodes(buf, report->expected, report->expected_count);
    etf_put_atom(buf, "missing");
    results_put_nodes(buf, report->missing, report->missing_count);
    etf_put_atom(buf, "unheard");
    put_set(buf, report, report->unheard);
    etf_put_atom(buf, "groups");
    put_groups(buf, report);
    etf_put_atom(buf, "one_way");
    put_one_way(buf, report);
    etf_put_atom(buf, "rtt");
    put_rtts(buf, report);
}
