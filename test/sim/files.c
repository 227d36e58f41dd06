/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/files.h"

#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BEGIN "simulated:"

static struct files_open opens[FILES_OPEN_MAX];

int files_add(struct storage *storage, int file, int flags)
{
    int place = 0;

    while (place < FILES_OPEN_MAX && opens[place].storage != NULL) {
        place++;
    }
    ensure(place < FILES_OPEN_MAX);
    opens[place] =
        (struct files_open){.storage = storage, .file = file, .flags = flags};
    return FILES_FD_FIRST + place;
}

int files_open_dir(struct storage *storage, char ret_path[FILES_PATH_SIZE])
{
    int fd = files_add(storage, -1, 0);

    (void)snprintf(ret_path, FILES_PATH_SIZE, PATH_BEGIN "%d", fd);
    return fd;
}

struct files_open *files_find(int fd)
{
    struct files_open *open;

    if (fd < FILES_FD_FIRST || fd >= FILES_FD_FIRST + FILES_OPEN_MAX) {
        return NULL;
    }
    open = &opens[fd - FILES_FD_FIRST];
    ensure(open->storage != NULL);
    return open;
}

struct files_open *files_find_dir(const char *path)
{
    if (strncmp(path, PATH_BEGIN, strlen(PATH_BEGIN)) != 0) {
        return NULL;
    }
    return files_find((int)strtol(path + strlen(PATH_BEGIN), NULL, 10));
}
