/* SPDX-License-Identifier: Apache-2.0
 * Asks the kernel by TCP_INFO. Its own header has fields that that of the C
 * library lacks, and the two do not go together: hence a file for it. */
#include "io/sys.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

bool sys_tcp_traffic(int fd, struct sys_tcp_traffic *ret_traffic)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    /* A kernel that is older gives less: then these would be missing. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_notsent_bytes)) {
        return false;
    }
    *ret_traffic =
        (struct sys_tcp_traffic){.packets = info.tcpi_segs_in,
                                 .received = info.tcpi_bytes_received,
                                 .acked = info.tcpi_bytes_acked};
    return true;
}
