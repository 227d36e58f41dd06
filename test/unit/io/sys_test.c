/* SPDX-License-Identifier: Apache-2.0
 * io/sys: digests, files, locks, cookie files, log lines. */
#include "io/loop.h"
#include "io/sys.h"
#include "lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 256, ERROR_SIZE = 1024, FILE_SIZE = 100 * 1000 };

struct fixture {
    char dir[PATH_SIZE];
    char path[PATH_SIZE + 32];
    struct buf error;
    struct buf content;
};

static int set_up(void **state)
{
    struct fixture *fixture = (struct fixture *)calloc(1, sizeof(*fixture));

    (void)snprintf(fixture->dir, sizeof(fixture->dir),
                   "/tmp/quorate-sys-XXXXXX");
    if (mkdtemp(fixture->dir) == NULL) {
        return -1;
    }
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/file",
                   fixture->dir);
    buf_init(&fixture->error, ERROR_SIZE);
    buf_init(&fixture->content, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    (void)unlink(fixture->path);
    (void)rmdir(fixture->dir);
    buf_close(&fixture->error);
    buf_close(&fixture->content);
    free(fixture);
    return 0;
}

static bool error_has(const struct fixture *fixture, const char *text)
{
    return memmem(fixture->error.data, fixture->error.size, text,
                  strlen(text)) != NULL;
}

static void put_file(const struct fixture *fixture, const char *content,
                     mode_t mode)
{
    assert_ok(sys_write_file(fixture->path, bytes_of_string(content)));
    assert_int_equal(chmod(fixture->path, mode), 0);
}

static void md5_agrees_with_rfc_1321(void **state)
{
    uint8_t digest[16];

    (void)state;
    sys_md5(bytes_of_string("message digest"), digest);
    assert_memory_equal(digest,
                        "\xf9\x6b\x69\x7d\x7c\xb7\x93\x8d"
                        "\x52\x5a\x2f\x31\xaa\xf1\x61\xd0",
                        16);
    sys_md5(bytes_of(NULL, 0), digest);
    assert_memory_equal(digest,
                        "\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04"
                        "\xe9\x80\x09\x98\xec\xf8\x42\x7e",
                        16);
}

static void random_bytes_differ(void **state)
{
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};

    (void)state;
    sys_random(a, sizeof(a));
    sys_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void a_written_file_reads_back_up_to_the_limit(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint8_t *data = (uint8_t *)malloc(FILE_SIZE);

    for (size_t i = 0; i < FILE_SIZE; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    assert_ok(sys_write_file(fixture->path, bytes_of(data, FILE_SIZE)));
    assert_ok(sys_read_file(fixture->path, FILE_SIZE, &fixture->content));
    assert_bytes(buf_bytes(&fixture->content), data, FILE_SIZE);
    assert_err(sys_read_file(fixture->path, FILE_SIZE - 1, &fixture->content),
               ERR_LIMIT);
    /* A failed read leaves what was there. */
    assert_int_equal(fixture->content.size, FILE_SIZE);
    free(data);
}

static void a_rewritten_file_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    char temporary[PATH_SIZE + 64];

    assert_ok(sys_write_file(fixture->path, bytes_of_string("a longer text")));
    assert_ok(sys_write_file(fixture->path, bytes_of_string("short")));
    assert_ok(sys_read_file(fixture->path, 100, &fixture->content));
    assert_bytes(buf_bytes(&fixture->content), "short", 5);
    (void)snprintf(temporary, sizeof(temporary), "%s.new", fixture->path);
    assert_int_not_equal(access(temporary, F_OK), 0);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    assert_err(sys_read_file(fixture->path, 100, &fixture->content),
               ERR_NOT_FOUND);
    assert_err(sys_read_file(fixture->dir, 100, &fixture->content), ERR_IO);
    assert_err(sys_write_file("/nowhere/at/all", bytes_of_string("x")), ERR_IO);
}

static void a_private_cookie_file_is_read_without_white_space(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    put_file(fixture, "SECRET COOKIE \r\n\n", 0400);
    assert_ok(
        sys_read_cookie(fixture->path, &fixture->content, &fixture->error));
    assert_bytes(buf_bytes(&fixture->content), "SECRET COOKIE", 13);
}

static void a_cookie_file_open_to_others_is_refused(void **state)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0602, 0666};
    struct fixture *fixture = (struct fixture *)*state;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        put_file(fixture, "cookie", modes[i]);
        buf_clear(&fixture->error);
        assert_err(
            sys_read_cookie(fixture->path, &fixture->content, &fixture->error),
            ERR_FORBIDDEN);
        assert_true(error_has(fixture, "chmod 600"));
    }
    assert_int_equal(fixture->content.size, 0);
}

static void an_empty_or_long_cookie_is_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    char text[300];

    put_file(fixture, " \n", 0600);
    assert_err(
        sys_read_cookie(fixture->path, &fixture->content, &fixture->error),
        ERR_BADARG);
    (void)memset(text, 'c', sizeof(text));
    text[256] = '\0';
    put_file(fixture, text, 0600);
    assert_err(
        sys_read_cookie(fixture->path, &fixture->content, &fixture->error),
        ERR_BADARG);
    text[255] = '\0';
    put_file(fixture, text, 0600);
    assert_ok(
        sys_read_cookie(fixture->path, &fixture->content, &fixture->error));
    assert_int_equal(fixture->content.size, 255);
    (void)unlink(fixture->path);
    assert_err(
        sys_read_cookie(fixture->path, &fixture->content, &fixture->error),
        ERR_NOT_FOUND);
}

static void a_directory_has_one_lock_and_names_its_holder(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct sys_lock lock = {.fd = -1};
    struct sys_lock other = {.fd = -1};
    char deep[PATH_SIZE + 64];
    char pid[32];
    struct stat status;

    (void)snprintf(deep, sizeof(deep), "%s/a/b", fixture->dir);
    assert_ok(sys_lock_dir(deep, &lock, &fixture->error));
    assert_int_equal(stat(deep, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_err(sys_lock_dir(deep, &other, &fixture->error), ERR_IN_USE);
    (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    assert_true(error_has(fixture, pid));
    sys_unlock_dir(&lock);
    sys_unlock_dir(&lock);
    assert_ok(sys_lock_dir(deep, &other, &fixture->error));
    sys_unlock_dir(&other);
    (void)snprintf(deep, sizeof(deep), "%s/a/b/lock", fixture->dir);
    assert_int_equal(unlink(deep), 0);
    (void)snprintf(deep, sizeof(deep), "%s/a/b", fixture->dir);
    assert_int_equal(rmdir(deep), 0);
    (void)snprintf(deep, sizeof(deep), "%s/a", fixture->dir);
    assert_int_equal(rmdir(deep), 0);
}

static void a_lock_ends_with_its_process(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct sys_lock lock = {.fd = -1};
    char path[PATH_SIZE + 64];
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int rv = sys_lock_dir(fixture->dir, &lock, &fixture->error);

        _exit(rv == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_ok(sys_lock_dir(fixture->dir, &lock, &fixture->error));
    sys_unlock_dir(&lock);
    (void)snprintf(path, sizeof(path), "%s/lock", fixture->dir);
    assert_int_equal(unlink(path), 0);
}

static void a_lock_that_is_about_to_end_is_waited_for(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct sys_lock lock = {.fd = -1};
    char path[PATH_SIZE + 64];
    char byte;
    int fds[2];
    int status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        int rv = sys_lock_dir(fixture->dir, &lock, &fixture->error);

        if (rv != 0 || write(fds[1], "x", 1) != 1) {
            _exit(1);
        }
        (void)usleep(100 * 1000);
        _exit(0);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_ok(sys_lock_dir(fixture->dir, &lock, &fixture->error));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    sys_unlock_dir(&lock);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)snprintf(path, sizeof(path), "%s/lock", fixture->dir);
    assert_int_equal(unlink(path), 0);
}

static void a_file_in_the_place_of_the_directory_is_told(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct sys_lock lock = {.fd = -1};

    put_file(fixture, "", 0600);
    assert_err(sys_lock_dir(fixture->path, &lock, &fixture->error), ERR_IO);
    assert_true(error_has(fixture, "Not a directory"));
}

static void this_process_has_memory_and_a_host(void **state)
{
    (void)state;
    assert_true(sys_resident_bytes() > 100 * 1000);
    assert_int_equal(strlen(host_boot_id()), 36);
    assert_int_equal(strncmp(host_pid_namespace(), "pid:[", 5), 0);
    assert_ptr_equal(host_boot_id(), host_boot_id());
}

/* What `write_lines` puts on standard error. */
static void capture(struct fixture *fixture, void (*write_lines)(void))
{
    int saved = dup(STDERR_FILENO);
    int fd = open(fixture->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(saved >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    write_lines();
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    (void)close(fd);
    assert_ok(sys_read_file(fixture->path, 1000 * 1000, &fixture->content));
}

static size_t count_lines(const struct fixture *fixture)
{
    size_t count = 0;

    for (size_t i = 0; i < fixture->content.size; i++) {
        count += fixture->content.data[i] == '\n' ? 1 : 0;
    }
    return count;
}

static void write_three(void)
{
    log_line(LOG_WARN, "thing_seen", "peer=%s n=%d", "a@b\n\x1b[0m", 7);
    log_line(LOG_DEBUG, "detail", "never=1");
    log_line(LOG_ERROR, "bare", "%s", "");
}

static void lines_have_time_level_event_and_no_controls(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const char *text;

    capture(fixture, write_three);
    assert_int_equal(count_lines(fixture), 2);
    text = (const char *)fixture->content.data;
    assert_int_equal(strncmp(text, "ts=20", 5), 0);
    assert_int_equal(strncmp(text + 30,
                             " level=warn event=thing_seen peer=a@b??[0m n=7\n",
                             47),
                     0);
    assert_non_null(
        memmem(text, fixture->content.size, " level=error event=bare\n", 24));
}

static void write_many(void)
{
    for (int i = 0; i < 100; i++) {
        log_line(LOG_INFO, "noisy", "i=%d", i);
    }
    log_line(LOG_INFO, "quiet", "i=1");
}

static void write_later(void)
{
    log_line(LOG_INFO, "noisy", "i=100");
}

static void a_noisy_event_is_suppressed_and_counted(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    capture(fixture, write_many);
    /* The second may change once while they are written. */
    assert_in_range(count_lines(fixture), 21, 41);
    assert_non_null(memmem(fixture->content.data, fixture->content.size,
                           "event=quiet", 11));
    do {
        capture(fixture, write_later);
    } while (count_lines(fixture) == 0);
    assert_non_null(memmem(fixture->content.data, fixture->content.size,
                           " i=100 suppressed=", 18));
}

static void new_file_never_replaces_one(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;

    assert_ok(sys_create_file(fixture->path, bytes_of_string("first")));
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_err(sys_create_file(fixture->path, bytes_of_string("second")),
               ERR_EXISTS);
    assert_ok(sys_read_file(fixture->path, FILE_SIZE, &fixture->content));
    assert_bytes(buf_bytes(&fixture->content), "first", 5);
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(symlink("/nonesuch/file", fixture->path), 0);
    assert_err(sys_create_file(fixture->path, bytes_of_string("third")),
               ERR_EXISTS);
    assert_err(sys_create_file("/nonesuch/file", bytes_of_string("x")), ERR_IO);
}

static void directories_are_made_with_their_parents(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    char inner[PATH_SIZE + 64];

    (void)snprintf(inner, sizeof(inner), "%s/inner", fixture->path);
    assert_ok(sys_make_dirs(inner));
    assert_ok(sys_make_dirs(inner));
    assert_ok(sys_sync_dir(inner));
    assert_int_equal(stat(inner, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(rmdir(inner), 0);
    assert_err(sys_sync_dir(inner), ERR_IO);
    assert_ok(sys_write_file(inner, bytes_of_string("a file")));
    assert_err(sys_make_dirs(inner), ERR_IO);
    assert_int_equal(unlink(inner), 0);
    assert_int_equal(rmdir(fixture->path), 0);
    assert_err(sys_make_dirs(""), ERR_BADARG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(md5_agrees_with_rfc_1321),
        TEST(random_bytes_differ),
        TEST(a_written_file_reads_back_up_to_the_limit),
        TEST(a_rewritten_file_leaves_nothing_behind),
        TEST(new_file_never_replaces_one),
        TEST(directories_are_made_with_their_parents),
        TEST(what_is_not_there_is_not_found),
        TEST(a_private_cookie_file_is_read_without_white_space),
        TEST(a_cookie_file_open_to_others_is_refused),
        TEST(an_empty_or_long_cookie_is_refused),
        TEST(a_directory_has_one_lock_and_names_its_holder),
        TEST(a_lock_ends_with_its_process),
        TEST(a_lock_that_is_about_to_end_is_waited_for),
        TEST(a_file_in_the_place_of_the_directory_is_told),
        TEST(this_process_has_memory_and_a_host),
        TEST(lines_have_time_level_event_and_no_controls),
        TEST(a_noisy_event_is_suppressed_and_counted),
    };
#undef TEST

    return cmocka_run_group_tests_name("io/sys", tests, NULL, NULL);
}
