/* SPDX-License-Identifier: Apache-2.0 */
#include "store/journal_files.h"

#include "base/ensure.h"
#include "base/err.h"
#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 40, DIGITS_MIN = 8, DIGITS_MAX = 16 };

static const char prefix[] = "member-";
static const char suffix[] = ".ownership";

/* A file that is there. */
struct found {
    uint64_t number;
    uint64_t size;
};

static void name_of(uint64_t number, char name[NAME_SIZE])
{
    int size = snprintf(name, NAME_SIZE, "%s%0*llu%s", prefix, DIGITS_MIN,
                        (unsigned long long)number, suffix);

    ensure(size > 0 && size < NAME_SIZE);
}

/* The number in the name of a file, or 0: it is none of ours. */
static uint64_t number_of(const char *name)
{
    size_t size = strlen(name);
    size_t digits;
    uint64_t number = 0;

    if (size < sizeof(prefix) - 1 + sizeof(suffix) - 1 ||
        memcmp(name, prefix, sizeof(prefix) - 1) != 0 ||
        strcmp(name + size - (sizeof(suffix) - 1), suffix) != 0) {
        return 0;
    }
    digits = size - (sizeof(prefix) - 1) - (sizeof(suffix) - 1);
    if (digits < DIGITS_MIN || digits > DIGITS_MAX) {
        return 0;
    }
    name += sizeof(prefix) - 1;
    for (size_t i = 0; i < digits; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return 0;
        }
        number = 10 * number + (uint64_t)(name[i] - '0');
    }
    return number;
}

static int compare(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

/* All files, oldest first; of too many, the newest ones are left out, and
 * found once the oldest are gone. */
static int list(const struct journal_files *files, struct found *found,
                size_t *ret_count)
{
    int fd = openat(files->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    size_t count = 0;

    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd); /* only read from */
        }
        return ERR_IO;
    }
    while (count < JOURNAL_FILES_KNOWN_MAX && (entry = readdir(dir)) != NULL) {
        uint64_t number = number_of(entry->d_name);
        struct stat about;

        if (number != 0 && fstatat(files->dir_fd, entry->d_name, &about,
                                   AT_SYMLINK_NOFOLLOW) == 0) {
            found[count++] = (struct found){number, (uint64_t)about.st_size};
        }
    }
    (void)closedir(dir); /* only read from */
    qsort(found, count, sizeof(*found), compare);
    *ret_count = count;
    return 0;
}

/* Makes room for one more file. */
static int make_room(const struct journal_files *files)
{
    struct found found[JOURNAL_FILES_KNOWN_MAX];
    uint64_t room = files->size_max / JOURNAL_PARTS;
    uint64_t size = 0;
    size_t count;
    int rv = list(files, found, &count);

    if (rv != 0) {
        return rv;
    }
    for (size_t i = 0; i < count; i++) {
        size += found[i].size;
    }
    for (size_t i = 0; i < count && (size + room > files->size_max ||
                                     count - i >= JOURNAL_FILES_MAX);
         i++) {
        char name[NAME_SIZE];

        name_of(found[i].number, name);
        if (unlinkat(files->dir_fd, name, 0) != 0 && errno != ENOENT) {
            return ERR_IO;
        }
        size -= found[i].size;
    }
    return 0;
}

int journal_files_open(struct journal_files *files, const char *dir,
                       uint64_t size_max)
{
    struct found found[JOURNAL_FILES_KNOWN_MAX];
    size_t count;
    int rv;

    *files = (struct journal_files){
        .dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .fd = -1,
        .size_max = size_max};
    if (files->dir_fd < 0) {
        return ERR_IO;
    }
    rv = list(files, found, &count);
    if (rv != 0) {
        journal_files_close(files);
        return rv;
    }
    files->last = count == 0 ? 0 : found[count - 1].number;
    return 0;
}

static void close_file(struct journal_files *files)
{
    if (files->fd >= 0) {
        (void)close(files->fd); /* what was written is with the system */
        files->fd = -1;
    }
    files->size = 0;
}

void journal_files_close(struct journal_files *files)
{
    close_file(files);
    if (files->dir_fd >= 0) {
        (void)close(files->dir_fd); /* only read from */
        files->dir_fd = -1;
    }
}

static int error_of(int number)
{
    return number == ENOSPC || number == EDQUOT ? ERR_NO_SPACE : ERR_IO;
}

int journal_files_write(struct journal_files *files, struct bytes records)
{
    size_t done = 0;

    while (done < records.size) {
        ssize_t size = pwrite(files->fd, records.data + done,
                              records.size - done, (off_t)(files->size + done));

        if (size <= 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            int rv = error_of(errno);

            /* Half a record that stays is written over, or seen as torn. */
            return ftruncate(files->fd, (off_t)files->size) == 0 ? rv : ERR_IO;
        }
        done += (size_t)size;
    }
    files->size += records.size;
    return 0;
}

int journal_files_begin(struct journal_files *files, struct bytes head)
{
    char name[NAME_SIZE];
    int rv = make_room(files);

    close_file(files);
    if (rv != 0) {
        return rv;
    }
    /* A number that is taken all the same is none of those that were listed. */
    for (int i = 0; i < JOURNAL_FILES_KNOWN_MAX && files->fd < 0; i++) {
        files->last++;
        name_of(files->last, name);
        files->fd = openat(files->dir_fd, name,
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (files->fd < 0 && errno != EEXIST) {
            return error_of(errno);
        }
    }
    if (files->fd < 0) {
        return ERR_IO;
    }
    rv = journal_files_write(files, head);
    if (rv != 0) {
        close_file(files);
        /* An empty file says nothing; if it stays, it is seen as torn. */
        (void)unlinkat(files->dir_fd, name, 0);
    }
    return rv;
}
