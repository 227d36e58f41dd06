/* SPDX-License-Identifier: Apache-2.0
 * Terms as real virtual machines write them (test/vectors/record.escript):
 * each is valid, is truncated if cut, can be walked through, and is written
 * again as the index says. The folder is $QUORATE_TEST_VECTORS or
 * test/vectors. */
#include "base/mem.h"
#include "etf/validate.h"
#include "fuzz/etf_reader_walk.h"
#include "lib/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096, FILE_SIZE_MAX = 1 << 20, LINE_SIZE = 4096 };

static const char *folder(void)
{
    const char *path = getenv("QUORATE_TEST_VECTORS");

    return path != NULL ? path : "test/vectors";
}

static FILE *open_file(const char *name)
{
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof(path), "%s/%s", folder(), name);
    FILE *file;

    assert_in_range(size, 1, PATH_SIZE - 1);
    file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot read %s", path);
    }
    return file;
}

/* The file's bytes in memory of just their size. The caller frees. */
static struct bytes read_vector(const char *name)
{
    static uint8_t data[FILE_SIZE_MAX];
    FILE *file = open_file(name);
    size_t size = fread(data, 1, sizeof(data), file);
    void *copy = mem_copy(data, size);

    assert_int_equal(fclose(file), 0);
    assert_in_range(size, 2, FILE_SIZE_MAX - 1);
    assert_non_null(copy);
    return bytes_of(copy, size);
}

static void free_vector(struct bytes vector)
{
    mem_free((void *)(uintptr_t)vector.data);
}

/* Calls `check` for each line of each index; gives the number of lines. */
static int for_each(void (*check)(const char *file, const char *expectation))
{
    DIR *dir = opendir(folder());
    const struct dirent *entry;
    int count = 0;

    if (dir == NULL) {
        fail_msg("there is no folder %s", folder());
        return 0;
    }
    while ((entry = readdir(dir)) != NULL) {
        char line[LINE_SIZE];
        const char *dot = strrchr(entry->d_name, '.');
        FILE *index;

        if (dot == NULL || strcmp(dot, ".index") != 0) {
            continue;
        }
        index = open_file(entry->d_name);
        while (fgets(line, sizeof(line), index) != NULL) {
            char name[100];
            char expectation[20];

            assert_int_equal(sscanf(line, "%99s %19s", name, expectation), 2);
            check(name, expectation);
            count++;
        }
        assert_int_equal(fclose(index), 0);
    }
    assert_int_equal(closedir(dir), 0);
    return count;
}

static int validate(struct bytes vector, struct bytes *ret_raw)
{
    struct etf_limits limits = etf_limits_default(FILE_SIZE_MAX);

    return etf_validate_external(vector, &limits, ret_raw);
}

static void check_valid(const char *file, const char *expectation)
{
    struct bytes vector = read_vector(file);
    bool is_refused = strcmp(expectation, "refused") == 0;
    struct bytes raw = bytes_of(NULL, 0);
    int rv = validate(vector, &raw);

    if (rv != (is_refused ? ERR_MALFORMED : 0)) {
        fail_msg("%s: %s", file, err_atom(rv));
    }
    if (rv == 0) {
        struct etf_reader reader = etf_reader_of(raw);

        assert_int_equal(raw.size, vector.size - 1);
        assert_ok(etf_skip(&reader));
        assert_true(etf_at_end(&reader));
    }
    free_vector(vector);
}

static void every_vector_is_valid_or_refused_as_expected(void **state)
{
    (void)state;
    assert_in_range(for_each(check_valid), 80, 10000);
}

static void check_cut(const char *file, const char *expectation)
{
    struct bytes vector = read_vector(file);

    for (size_t cut = 0; cut < vector.size; cut++) {
        void *copy = mem_copy(vector.data, cut);
        struct bytes raw = bytes_of(NULL, 4711);
        int rv = validate(bytes_of(copy, cut), &raw);

        assert_non_null(copy);
        if (raw.size != 4711 || rv == 0 ||
            (rv != ERR_TRUNCATED && strcmp(expectation, "refused") != 0)) {
            fail_msg("%s cut to %zu: %s", file, cut, err_atom(rv));
        }
        mem_free(copy);
    }
    free_vector(vector);
}

static void every_vector_cut_anywhere_is_truncated(void **state)
{
    (void)state;
    assert_in_range(for_each(check_cut), 80, 10000);
}

/* A byte at a time, each step from memory of just what has arrived. */
static void check_steps(const char *file, const char *expectation)
{
    struct bytes vector = read_vector(file);
    struct bytes raw = bytes_of(vector.data + 1, vector.size - 1);
    struct etf_limits limits = etf_limits_default(FILE_SIZE_MAX);
    struct etf_validator validator;
    bool is_done = false;
    int rv = 0;

    etf_validator_init(&validator, &limits);
    for (size_t arrived = 0; arrived <= raw.size && rv == 0; arrived++) {
        void *copy = mem_copy(raw.data, arrived);

        assert_non_null(copy);
        assert_false(is_done);
        rv = etf_validator_step(&validator, bytes_of(copy, arrived), raw.size,
                                SIZE_MAX, &is_done);
        mem_free(copy);
    }
    if (strcmp(expectation, "refused") == 0) {
        assert_err(rv, ERR_MALFORMED);
    } else {
        assert_ok(rv);
        assert_true(is_done);
        assert_int_equal(validator.size, raw.size);
    }
    free_vector(vector);
}

static void every_vector_may_arrive_byte_by_byte(void **state)
{
    (void)state;
    assert_in_range(for_each(check_steps), 80, 10000);
}

static void check_written_again(const char *file, const char *expectation)
{
    struct bytes vector = read_vector(file);
    struct bytes raw;
    struct buf first;
    struct buf second;

    if (strcmp(expectation, "refused") == 0) {
        free_vector(vector);
        return;
    }
    assert_ok(validate(vector, &raw));
    buf_init(&first, FILE_SIZE_MAX);
    buf_init(&second, FILE_SIZE_MAX);
    etf_put_version(&first);
    assert_ok(walk_term(raw, &first));
    assert_ok(buf_error(&first));
    if (bytes_equal(buf_bytes(&first), vector) !=
        (strcmp(expectation, "exact") == 0)) {
        fail_msg("%s is not %s", file, expectation);
    }
    /* Whatever the first bytes were, ours stay the same. */
    assert_ok(validate(buf_bytes(&first), &raw));
    etf_put_version(&second);
    assert_ok(walk_term(raw, &second));
    assert_ok(buf_error(&second));
    assert_bytes(buf_bytes(&second), first.data, first.size);
    buf_close(&first);
    buf_close(&second);
    free_vector(vector);
}

static void every_vector_is_written_again_as_expected(void **state)
{
    (void)state;
    assert_in_range(for_each(check_written_again), 80, 10000);
}

/* Every byte of every small vector set to every value: whatever the validator
 * still takes, the reader gets through. */
static void check_changed(const char *file, const char *expectation)
{
    struct bytes vector = read_vector(file);
    uint8_t *copy = mem_copy(vector.data, vector.size);

    (void)expectation;
    assert_non_null(copy);
    for (size_t i = 0; i < vector.size && vector.size < 300; i++) {
        for (unsigned value = 0; value < 256; value++) {
            struct bytes raw;

            copy[i] = (uint8_t)value;
            if (validate(bytes_of(copy, vector.size), &raw) == 0) {
                struct etf_reader reader = etf_reader_of(raw);

                assert_ok(etf_skip(&reader));
                assert_true(etf_at_end(&reader));
            }
        }
        copy[i] = vector.data[i];
    }
    mem_free(copy);
    free_vector(vector);
}

static void changed_vectors_are_refused_or_readable(void **state)
{
    (void)state;
    assert_in_range(for_each(check_changed), 80, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_valid_or_refused_as_expected),
        cmocka_unit_test(every_vector_cut_anywhere_is_truncated),
        cmocka_unit_test(every_vector_may_arrive_byte_by_byte),
        cmocka_unit_test(every_vector_is_written_again_as_expected),
        cmocka_unit_test(changed_vectors_are_refused_or_readable),
    };

    return cmocka_run_group_tests_name("etf_vectors", tests, NULL, NULL);
}
