/* SPDX-License-Identifier: Apache-2.0
 * Which boot of which machine, and which pid namespace, this process is in:
 * an agent with the same two has pids that mean the same to us. */
#include "io/loop.h"
#include "io/sys.h"

#include <ctype.h>
#include <unistd.h>

enum { TEXT_MAX = 128 }; /* bytes */

const char *host_boot_id(void)
{
    static char text[TEXT_MAX];
    struct buf content;

    if (text[0] != '\0') {
        return text;
    }
    buf_init(&content, 0);
    if (sys_read_file("/proc/sys/kernel/random/boot_id", TEXT_MAX - 1,
                      &content) == 0) {
        size_t size = content.size;

        while (size > 0 && isspace(content.data[size - 1]) != 0) {
            size--;
        }
        if (size > 0) {
            memcpy(text, content.data, size);
        }
        text[size] = '\0';
    }
    buf_close(&content);
    return text;
}

const char *host_pid_namespace(void)
{
    static char text[TEXT_MAX];
    ssize_t size;

    if (text[0] == '\0') {
        size = readlink("/proc/self/ns/pid", text, sizeof(text) - 1);
        text[size < 0 ? 0 : size] = '\0';
    }
    return text;
}
