/* SPDX-License-Identifier: Apache-2.0
 * `quorate log inspect` and `quorate log verify`: read the log of a data
 * directory that no member uses, and change nothing. What is whole is shown,
 * also in front of what is damaged. */
#include "base/err.h"
#include "cli/local.h"
#include "cli/log_show.h"
#include "io/sys.h"
#include "store/snapshot_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    OUTPUT_SIZE_MAX = 256 * 1024 * 1024, /* bytes */
    ROWS_DEFAULT = 100
};

static int exit_code(int rv)
{
    return rv == ERR_CORRUPT || rv == ERR_UNSUPPORTED ? CLI_EXIT_DATAERR
                                                      : local_exit_code(rv);
}

/* Which snapshot the log goes on from, if there is one; `is_deep`: whether all
 * of it is whole. */
static int read_snapshot(struct wal_walk *walk, bool is_deep)
{
    struct snapshot_reader reader;
    struct bytes data;
    uint64_t index;
    int rv = snapshot_newest(walk->dir, UINT64_MAX, &index);

    walk->is_cover_known = rv == 0;
    if (rv != 0 || index == 0) {
        return rv;
    }
    snapshot_reader_init(&reader);
    rv = snapshot_reader_open(&reader, walk->dir_fd, walk->dir, index,
                              walk->error);
    if (rv != 0) {
        return rv;
    }
    while (rv == 0 && is_deep) {
        rv = snapshot_reader_next(&reader, &data);
    }
    if (rv == ERR_CORRUPT) {
        snapshot_reader_tell(&reader, walk->dir, walk->error);
    }
    walk->covered = index;
    snapshot_reader_close(&reader);
    return rv == ERR_NOT_FOUND ? 0 : rv;
}

static int walk_log(struct log_show *show, struct wal_walk *walk)
{
    struct wal_visitor visitor = {
        .file = log_show_file, .record = log_show_record, .arg = show};
    int rv;

    walk->dir_fd = open(walk->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (walk->dir_fd < 0) {
        buf_printf(walk->error, "cannot open %s: %s", walk->dir,
                   strerror(errno));
        return ERR_IO;
    }
    rv = read_snapshot(walk, show->limit == 0);
    if (rv == 0) {
        rv = wal_walk(walk, &visitor);
    }
    (void)close(walk->dir_fd); /* only read from */
    if (rv == 0 && walk->first_number == 0) {
        buf_printf(walk->error,
                   "there is no log in %s; give the data "
                   "directory of a member",
                   walk->dir);
        return ERR_NOT_FOUND;
    }
    if (rv == 0 && show->bad_index != 0) {
        buf_printf(walk->error,
                   "%s: entry %llu is whole, but not of a form that this "
                   "release knows; use the release that wrote it",
                   walk->dir, (unsigned long long)show->bad_index);
        return ERR_UNSUPPORTED;
    }
    if (rv != 0 && walk->error->size == 0) {
        buf_printf(walk->error, "cannot read the log in %s: %s", walk->dir,
                   err_text(rv));
    }
    return rv;
}

static bool print(const struct buf *text)
{
    return fwrite(text->data, 1, text->size, stdout) == text->size &&
           fflush(stdout) == 0;
}

/* Shows what was read; 0, or why that could not be. */
static int show_result(struct log_show *show, const struct wal_walk *walk,
                       const struct buf *error)
{
    struct buf text;
    int rv;

    buf_init(&text, OUTPUT_SIZE_MAX);
    rv = log_show_print(show, walk, buf_bytes(error), &text);
    if (rv == 0 && !print(&text)) {
        rv = ERR_IO; /* a closed pipe; there is nobody to tell */
    } else if (rv != 0) {
        (void)fprintf(stderr,
                      "quorate: cannot show the log: %s; give a "
                      "smaller --limit\n",
                      err_text(rv));
    }
    buf_close(&text);
    return rv;
}

static int run_locked(const struct options *options, struct buf *error)
{
    bool is_verify = options->command == OPTIONS_LOG_VERIFY;
    uint32_t limit =
        options->local.limit == 0 ? ROWS_DEFAULT : options->local.limit;
    struct wal_walk walk = {.dir = options->local.words[0], .error = error};
    struct log_show show;
    int shown = 0;
    int rv;

    log_show_init(&show, options->output, options->local.from,
                  is_verify ? 0 : limit);
    rv = walk_log(&show, &walk);
    if (rv == 0 || rv == ERR_CORRUPT || rv == ERR_UNSUPPORTED) {
        shown = show_result(&show, &walk, error);
    }
    if (rv == 0 && shown == 0 && is_verify &&
        options->output == OPTIONS_TABLE) {
        (void)printf("\nall of it is whole\n");
    }
    log_show_close(&show);
    return rv != 0 ? rv : shown;
}

int log_run(const struct options *options)
{
    struct sys_lock lock = {.fd = -1};
    struct buf error;
    int rv;

    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    rv = sys_lock_dir_to_read(options->local.words[0], &lock, &error);
    if (rv == 0) {
        rv = run_locked(options, &error);
        sys_unlock_dir(&lock);
    }
    if (rv != 0 && error.size > 0) {
        (void)fprintf(stderr, "quorate: %.*s\n", (int)error.size,
                      (const char *)error.data);
    }
    buf_close(&error);
    return exit_code(rv);
}
