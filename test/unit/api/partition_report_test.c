/* SPDX-License-Identifier: Apache-2.0
 * Reports, compared with their documented form. */
#include "api/partition_report.h"
#include "lib/test.h"
#include "terms.h"

static void report_has_its_documented_form(void **state)
{
    const struct bytes nodes[] = {
        bytes_of_string("a@h"), bytes_of_string("b@h"), bytes_of_string("c@h"),
        bytes_of_string("w@h")};
    const uint16_t groups[] = {0x3, 0x4};
    const uint16_t one_way[] = {0, 0x4, 0};
    struct partition_report report = {
        .verdict = "major_partition",
        .since_ms = 1234,
        .has_quorum = false,
        .has_deadline = true,
        .deadline_ms = 900,
        .expected = nodes,
        .expected_count = 4,
        .missing = nodes + 2,
        .missing_count = 2,
        .members = {{.name = bytes_of_string("a@h")},
                    {.name = bytes_of_string("b@h"),
                     .has_rtt = true,
                     .rtt_last_us = 70,
                     .rtt_median_us = 60},
                    {.name = bytes_of_string("c@h")}},
        .member_count = 3,
        .groups = groups,
        .group_count = 2,
        .one_way = one_way,
        .unheard = 0x4};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    partition_report_put(&buf, &report);
    assert_term(&buf,
                "#{verdict=>major_partition,since=>1234,quorum=>false,"
                "deadline=>900,expected=>[a@h,b@h,c@h,w@h],"
                "missing=>[c@h,w@h],unheard=>[c@h],groups=>[[a@h,b@h],[c@h]],"
                "one_way=>[{b@h,c@h}],rtt=>#{b@h=>#{last=>70,median=>60}}}");
    buf_close(&buf);
}

static void empty_report_is_a_whole_term(void **state)
{
    const uint16_t none[PARTITION_REPORT_MEMBERS_MAX] = {0};
    struct partition_report report = {.verdict = "no_partition",
                                      .has_quorum = true,
                                      .groups = none,
                                      .one_way = none};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    partition_report_put(&buf, &report);
    assert_term(&buf, "#{verdict=>no_partition,since=>0,quorum=>true,"
                      "deadline=>undefined,expected=>[],missing=>[],"
                      "unheard=>[],groups=>[],one_way=>[],rtt=>#{}}");
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_has_its_documented_form),
        cmocka_unit_test(empty_report_is_a_whole_term),
    };

    return cmocka_run_group_tests_name("partition_report", tests, NULL, NULL);
}
