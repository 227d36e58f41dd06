/* SPDX-License-Identifier: Apache-2.0
 * The folder of a test, which is gone when the test is over. */
#ifndef QUORATE_TEST_LIB_DIR_H
#define QUORATE_TEST_LIB_DIR_H

#include "lib/test.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

/* Removes the files in it; a folder in it is a failure. */
static inline void dir_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *file;

    assert_non_null(dir);
    while ((file = readdir(dir)) != NULL) {
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0) {
            assert_int_equal(unlinkat(dirfd(dir), file->d_name, 0), 0);
        }
    }
    (void)closedir(dir);
}

static inline void dir_remove(const char *path)
{
    dir_empty(path);
    assert_int_equal(rmdir(path), 0);
}

#endif
