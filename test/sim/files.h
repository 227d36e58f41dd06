/* SPDX-License-Identifier: Apache-2.0
 * Descriptors of simulated files: numbers that the system never gives out. */
#ifndef QUORATE_TEST_SIM_FILES_H
#define QUORATE_TEST_SIM_FILES_H

#include "sim/storage.h"

enum { FILES_OPEN_MAX = 1024, FILES_FD_FIRST = 1 << 28, FILES_PATH_SIZE = 32 };

struct files_open {
    struct storage *storage; /* NULL: free */
    int file;                /* -1: the directory */
    int flags;               /* that it was opened with */
};

/* A descriptor for the directory, and a path that stands for it. */
int files_open_dir(struct storage *storage, char ret_path[FILES_PATH_SIZE]);

/* A descriptor for a file that storage_open() has opened. */
int files_add(struct storage *storage, int file, int flags);

/* NULL: it is not one of ours. */
struct files_open *files_find(int fd);
struct files_open *files_find_dir(const char *path);

#endif
