/* SPDX-License-Identifier: Apache-2.0
 * `quorate verify`: finds the journals, brings them into the order that the
 * proof wants, and reads one file at a time. */
#include "cli/verify.h"

#include "base/err.h"
#include "base/mem.h"
#include "cli/local.h"
#include "io/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX (UINT64_C(1) << 32)

enum { HEAD_MAX = 4096, PATH_SIZE_MAX = 4096 };

static const char suffix[] = ".ownership";

struct verify {
    struct verify_file *files; /* owned; those that have an OPEN */
    size_t count;
    size_t capacity;
    struct buf *error;
};

static void close_files(struct verify *verify)
{
    for (size_t i = 0; i < verify->count; i++) {
        mem_free(verify->files[i].path);
    }
    mem_free(verify->files);
}

/* --- Which files ---------------------------------------------------------- */

static int add_room(struct verify *verify)
{
    size_t capacity = verify->capacity == 0 ? 64 : 2 * verify->capacity;
    void *files;

    if (verify->count < verify->capacity) {
        return 0;
    }
    if (verify->count >= VERIFY_FILES_MAX) {
        buf_printf(verify->error, "there are more than %d files",
                   VERIFY_FILES_MAX);
        return ERR_LIMIT;
    }
    files = mem_realloc(verify->files, capacity * sizeof(*verify->files));
    if (files == NULL) {
        return ERR_NOMEM;
    }
    verify->files = files;
    verify->capacity = capacity;
    return 0;
}

static int cannot(const struct verify *verify, const char *path, int number)
{
    buf_printf(verify->error, "cannot read %s: %s", path, strerror(number));
    return number == ENOENT ? ERR_NOT_FOUND : ERR_IO;
}

static int damaged(const struct verify *verify, const char *path,
                   uint64_t offset, int rv)
{
    buf_printf(verify->error, "%s is damaged at byte %llu: %s", path,
               (unsigned long long)offset, err_text(rv));
    return ERR_CORRUPT;
}

/* What a file begins with. One that was cut off before that says nothing. */
static int read_head(struct verify *verify, const char *path,
                     struct bytes bytes)
{
    struct verify_file *file = &verify->files[verify->count];
    struct journal_record open;
    uint16_t version;
    size_t size;
    int rv = journal_file_check(bytes, &version);

    if (rv == ERR_TRUNCATED) {
        return 0;
    }
    if (rv != 0) {
        buf_printf(verify->error,
                   rv == ERR_UNSUPPORTED
                       ? "%s is of another version of the format"
                       : "%s is no ownership journal",
                   path);
        return rv == ERR_UNSUPPORTED ? rv : ERR_CORRUPT;
    }
    rv = journal_record_read(version,
                             bytes_of(bytes.data + JOURNAL_FILE_HEAD_SIZE,
                                      bytes.size - JOURNAL_FILE_HEAD_SIZE),
                             &open, &size);
    if (rv == ERR_TRUNCATED) {
        return 0;
    }
    if (rv != 0 || open.type != JOURNAL_OPEN) {
        return damaged(verify, path, JOURNAL_FILE_HEAD_SIZE,
                       rv == 0 ? ERR_MALFORMED : rv);
    }
    *file = (struct verify_file){.version = version,
                                 .role = open.code,
                                 .first = open.first,
                                 .first_clock = open.clock,
                                 .last_clock = open.clock,
                                 .head = JOURNAL_FILE_HEAD_SIZE + size};
    memcpy(file->run, open.run.data, sizeof(file->run));
    memcpy(file->name, open.worker.data, open.worker.size);
    file->path = mem_copy(path, strlen(path) + 1);
    if (file->path == NULL) {
        return ERR_NOMEM;
    }
    verify->count++;
    return 0;
}

static int add_file(struct verify *verify, const char *path)
{
    uint8_t bytes[HEAD_MAX];
    ssize_t size;
    int fd;
    int rv = add_room(verify);

    if (rv != 0) {
        return rv;
    }
    /* A pipe that somebody named so must not keep us waiting. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return cannot(verify, path, errno);
    }
    size = read(fd, bytes, sizeof(bytes));
    rv = size < 0 ? cannot(verify, path, errno) : 0;
    (void)close(fd); /* only read from */
    return rv == 0 ? read_head(verify, path, bytes_of(bytes, (size_t)size))
                   : rv;
}

static bool is_journal(const char *name)
{
    size_t size = strlen(name);

    return size > sizeof(suffix) - 1 &&
           strcmp(name + size - (sizeof(suffix) - 1), suffix) == 0;
}

/* All journals in a directory. */
static int add_dir(struct verify *verify, const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    size_t before = verify->count;
    int rv = 0;

    if (dir == NULL) {
        return cannot(verify, path, errno);
    }
    while (rv == 0 && (entry = readdir(dir)) != NULL) {
        char name[PATH_SIZE_MAX];
        int size = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);

        if (is_journal(entry->d_name) && size > 0 &&
            (size_t)size < sizeof(name)) {
            rv = add_file(verify, name);
        }
    }
    (void)closedir(dir); /* only read from */
    if (rv == 0 && verify->count == before) {
        buf_printf(verify->error, "there is no ownership journal in %s", path);
        return ERR_NOT_FOUND;
    }
    return rv;
}

static int add_word(struct verify *verify, const char *path)
{
    struct stat about;

    if (stat(path, &about) != 0) {
        return cannot(verify, path, errno);
    }
    return S_ISDIR(about.st_mode) ? add_dir(verify, path)
                                  : add_file(verify, path);
}

/* Each run's files one after the other, members first. */
static int compare(const void *a, const void *b)
{
    const struct verify_file *x = a;
    const struct verify_file *y = b;
    int result = (int)x->role - (int)y->role;

    result = result != 0 ? result : memcmp(x->run, y->run, JOURNAL_RUN_SIZE);
    if (result == 0) {
        result = x->first < y->first ? -1 : x->first > y->first;
    }
    return result;
}

/* --- What is in them ------------------------------------------------------ */

static bool is_zero(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] != 0) {
            return false;
        }
    }
    return true;
}

static int refuse(const struct verify *verify, const struct verify_file *file,
                  uint64_t offset, int rv)
{
    if (rv == ERR_EXISTS) {
        buf_printf(verify->error,
                   "%s has records that another file has too; give each once",
                   file->path);
        return ERR_BADARG;
    }
    if (rv == ERR_BADARG || rv == ERR_MALFORMED) {
        return damaged(verify, file->path, offset, ERR_MALFORMED);
    }
    return rv;
}

static int read_records(const struct verify *verify, struct verify_file *file,
                        struct proof *proof, struct bytes bytes)
{
    struct journal_record record;
    size_t offset = JOURNAL_FILE_HEAD_SIZE;
    size_t size;
    int rv = 0;

    while (rv == 0 && offset < bytes.size) {
        struct bytes left = bytes_of(bytes.data + offset, bytes.size - offset);

        rv = journal_record_read(file->version, left, &record, &size);
        if (rv == ERR_TRUNCATED || (rv != 0 && is_zero(left))) {
            file->torn = left.size;
            return 0;
        }
        if (rv != 0) {
            return damaged(verify, file->path, offset, rv);
        }
        rv = offset == JOURNAL_FILE_HEAD_SIZE
                 ? proof_file(proof, &record, offset)
                 : proof_add(proof, &record, offset);
        if (rv != 0) {
            return refuse(verify, file, offset, rv);
        }
        file->records += offset > JOURNAL_FILE_HEAD_SIZE;
        file->last_clock = record.clock;
        offset += size;
    }
    return rv;
}

static int read_all(const struct verify *verify, struct proof *proof)
{
    struct buf bytes;
    int rv = 0;

    buf_init(&bytes, FILE_SIZE_MAX);
    for (size_t i = 0; rv == 0 && i < verify->count; i++) {
        struct verify_file *file = &verify->files[i];

        buf_clear(&bytes);
        rv = sys_read_file(file->path, FILE_SIZE_MAX, &bytes);
        if (rv != 0) {
            buf_printf(verify->error, "cannot read %s: %s", file->path,
                       err_text(rv));
        } else {
            rv = read_records(verify, file, proof, buf_bytes(&bytes));
        }
    }
    buf_close(&bytes);
    return rv;
}

/* --- The command ---------------------------------------------------------- */

static int exit_code(const struct proof_counts *counts)
{
    if (counts->findings[PROOF_VIOLATION] > 0) {
        return CLI_EXIT_VIOLATION;
    }
    if (counts->findings[PROOF_UNDECIDED] > 0 ||
        counts->findings[PROOF_INCOMPLETE] > 0) {
        return CLI_EXIT_UNDECIDED;
    }
    return counts->findings[PROOF_LATE] > 0 ? CLI_EXIT_LATE : CLI_EXIT_OK;
}

static int check(const struct options *options, struct verify *verify,
                 struct proof *proof, int *ret_code)
{
    struct verify_show show = {.form = options->output,
                               .files = verify->files,
                               .file_count = verify->count};
    struct proof_counts counts;
    int rv;

    buf_init(&show.findings, (size_t)SETTINGS_FILE_SIZE_MAX * 64);
    rv = proof_check(proof, verify_show_finding, &show);
    if (rv == 0) {
        proof_counts(proof, &counts);
        rv = verify_show_print(&show, &counts);
        *ret_code = exit_code(&counts);
    }
    buf_close(&show.findings);
    return rv;
}

static int run(const struct options *options, struct verify *verify,
               int *ret_code)
{
    struct proof *proof;
    uint64_t seed;
    int rv = 0;

    for (size_t i = 0; rv == 0 && i < options->local.word_count; i++) {
        rv = add_word(verify, options->local.words[i]);
    }
    if (rv != 0) {
        return rv;
    }
    if (verify->count == 0) {
        buf_printf(verify->error, "there is no record in what was given");
        return ERR_NOT_FOUND;
    }
    qsort(verify->files, verify->count, sizeof(*verify->files), compare);
    sys_random(&seed, sizeof(seed));
    rv = proof_new(seed, &proof);
    if (rv != 0) {
        return rv;
    }
    rv = read_all(verify, proof);
    rv = rv == 0 ? check(options, verify, proof, ret_code) : rv;
    proof_free(proof);
    return rv;
}

int verify_run(const struct options *options)
{
    struct buf error;
    struct verify verify = {.error = &error};
    int code = CLI_EXIT_OK;
    int rv;

    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    rv = run(options, &verify, &code);
    close_files(&verify);
    if (rv != 0) {
        if (error.size == 0) {
            buf_printf(&error, "%s", err_text(rv));
        }
        (void)fprintf(stderr, "quorate: %.*s\n", (int)error.size,
                      (const char *)error.data);
        code = rv == ERR_CORRUPT || rv == ERR_UNSUPPORTED ? CLI_EXIT_DATAERR
                                                          : local_exit_code(rv);
    }
    buf_close(&error);
    return code;
}
