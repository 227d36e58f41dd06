/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"
#include "raft/membership.h"

static const struct raft_membership joint = {.voters = {1, 2, 3},
                                             .voters_old = {3, 4},
                                             .learners = {4, 5},
                                             .voter_count = 3,
                                             .voter_old_count = 2,
                                             .learner_count = 2};

static const uint8_t joint_bytes[] = {
    1, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0,
    0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0,
    0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5};

static void the_bytes_are_these(void **state)
{
    struct raft_membership got;
    uint8_t bytes[MEMBERSHIP_SIZE_MAX];
    size_t size = membership_encode(&joint, bytes);

    (void)state;
    assert_int_equal(size, sizeof(joint_bytes));
    assert_memory_equal(bytes, joint_bytes, size);
    assert_ok(membership_decode(bytes_of(bytes, size), &got));
    assert_memory_equal(&got, &joint, sizeof(got));
}

static void the_greatest_one_fits(void **state)
{
    struct raft_membership full = {.voter_count = RAFT_VOTERS_MAX,
                                   .voter_old_count = RAFT_VOTERS_MAX,
                                   .learner_count = RAFT_LEARNERS_MAX};
    struct raft_membership got;
    uint8_t bytes[MEMBERSHIP_SIZE_MAX];

    (void)state;
    for (uint32_t i = 0; i < RAFT_VOTERS_MAX; i++) {
        full.voters[i] = UINT64_MAX - i;
        full.voters_old[i] = 100 + i;
        full.learners[i] = 200 + i;
    }
    assert_int_equal(membership_encode(&full, bytes), MEMBERSHIP_SIZE_MAX);
    assert_ok(membership_decode(bytes_of(bytes, sizeof(bytes)), &got));
    assert_true(membership_equal(&got, &full));
}

static void every_truncation_is_malformed(void **state)
{
    struct raft_membership got = {.voter_count = 99};

    (void)state;
    for (size_t size = 0; size < sizeof(joint_bytes); size++) {
        assert_err(membership_decode(bytes_of(joint_bytes, size), &got),
                   ERR_MALFORMED);
    }
    assert_int_equal(got.voter_count, 99);
}

static int with_byte(size_t place, uint8_t value)
{
    uint8_t bytes[sizeof(joint_bytes) + 1] = {0};
    struct raft_membership got;

    memcpy(bytes, joint_bytes, sizeof(joint_bytes));
    bytes[place] = value;
    return membership_decode(bytes_of(bytes, place < sizeof(joint_bytes)
                                                 ? sizeof(joint_bytes)
                                                 : sizeof(bytes)),
                             &got);
}

static void what_makes_no_sense_is_malformed(void **state)
{
    const uint8_t nobody[] = {1, 0, 0, 0};
    struct raft_membership got;

    (void)state;
    assert_ok(with_byte(9, 9));
    /* another version; an id twice; the id 0; a learner that is a voter; too
     * many; bytes behind the end; no voters */
    assert_err(with_byte(0, 2), ERR_MALFORMED);
    assert_err(with_byte(9, 2), ERR_MALFORMED);
    assert_err(with_byte(9, 0), ERR_MALFORMED);
    assert_err(with_byte(51, 1), ERR_MALFORMED);
    assert_err(with_byte(1, RAFT_VOTERS_MAX + 1), ERR_MALFORMED);
    assert_err(with_byte(sizeof(joint_bytes), 0), ERR_MALFORMED);
    assert_err(membership_decode(bytes_of(nobody, 4), &got), ERR_MALFORMED);
}

static void a_member_has_the_roles_of_its_lists(void **state)
{
    (void)state;
    assert_int_equal(membership_roles(&joint, 1), ROLE_VOTER);
    assert_int_equal(membership_roles(&joint, 3), ROLE_VOTER | ROLE_VOTER_OLD);
    assert_int_equal(membership_roles(&joint, 4),
                     ROLE_VOTER_OLD | ROLE_LEARNER);
    assert_int_equal(membership_roles(&joint, 5), ROLE_LEARNER);
    assert_int_equal(membership_roles(&joint, 6), 0);
    assert_true(membership_is_joint(&joint));
}

static void the_order_of_a_list_does_not_matter(void **state)
{
    struct raft_membership other = joint;

    (void)state;
    other.voters[0] = 3;
    other.voters[2] = 1;
    assert_true(membership_equal(&other, &joint));
    other.voters[0] = 9;
    assert_false(membership_equal(&other, &joint));
    other = joint;
    other.learner_count = 1;
    assert_false(membership_equal(&other, &joint));
    assert_false(membership_equal(&joint, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(the_greatest_one_fits),
        cmocka_unit_test(every_truncation_is_malformed),
        cmocka_unit_test(what_makes_no_sense_is_malformed),
        cmocka_unit_test(a_member_has_the_roles_of_its_lists),
        cmocka_unit_test(the_order_of_a_list_does_not_matter),
    };

    return cmocka_run_group_tests_name("raft/membership", tests, NULL, NULL);
}
