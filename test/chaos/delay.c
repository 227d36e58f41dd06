/* SPDX-License-Identifier: Apache-2.0 */
/* A long road for the packets of some hosts, where the kernel has none
 * (netem): what the router sends into the interface tun0 comes out of it again
 * later. `HOST MS' on standard input, one a line, says how late the packets
 * from and to 10.77.HOST.2 are; end of file ends it.
 *
 * Packets of one host stay in order, since all of them wait as long. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 256,
    PACKET_SIZE_MAX = 65536,
    PACKETS_MAX = 16384, /* that wait; more are lost, as on a real road */
    SOURCE_AT = 12,      /* in the header of IPv4 */
    DESTINATION_AT = 16
};

struct packet {
    struct packet *next;
    uint64_t due_ms;
    size_t size;
    uint8_t bytes[];
};

struct road {
    struct packet *first;
    struct packet *last;
    uint32_t delay_ms;
};

static struct road roads[HOSTS_MAX];
static size_t waiting;

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The slower one of the two hosts decides. */
static struct road *road_of(const uint8_t *bytes)
{
    struct road *from = &roads[bytes[SOURCE_AT + 2]];
    struct road *to = &roads[bytes[DESTINATION_AT + 2]];

    return from->delay_ms >= to->delay_ms ? from : to;
}

static void take(int tun)
{
    static uint8_t bytes[PACKET_SIZE_MAX];
    ssize_t size = read(tun, bytes, sizeof bytes);
    struct packet *packet;
    struct road *road;

    if (size < DESTINATION_AT + 4 || bytes[0] >> 4 != 4 ||
        waiting == PACKETS_MAX) {
        return;
    }
    packet = malloc(sizeof *packet + (size_t)size);
    if (packet == NULL) {
        return;
    }
    road = road_of(bytes);
    packet->next = NULL;
    packet->due_ms = now_ms() + road->delay_ms;
    packet->size = (size_t)size;
    memcpy(packet->bytes, bytes, packet->size);
    if (road->first == NULL) {
        road->first = packet;
    } else {
        road->last->next = packet;
    }
    road->last = packet;
    waiting++;
}

/* How long until the next one, or -1. */
static int give(int tun)
{
    uint64_t now = now_ms();
    int wait = -1;

    for (size_t i = 0; i < HOSTS_MAX; i++) {
        struct packet *packet;

        while ((packet = roads[i].first) != NULL && packet->due_ms <= now) {
            (void)!write(tun, packet->bytes, packet->size); /* or it is lost */
            roads[i].first = packet->next;
            waiting--;
            free(packet);
        }
        if (packet != NULL &&
            (wait < 0 || packet->due_ms - now < (uint64_t)wait)) {
            wait = (int)(packet->due_ms - now);
        }
    }
    return wait;
}

/* 0 at the end of standard input. */
static int obey(void)
{
    static char text[4096];
    ssize_t size = read(STDIN_FILENO, text, sizeof text - 1);
    char *line;
    char *rest;

    if (size <= 0) {
        return size < 0 && errno == EINTR;
    }
    text[size] = '\0';
    for (line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *end;
        unsigned long host = strtoul(line, &end, 10);
        unsigned long ms = strtoul(end, NULL, 10);

        if (host < HOSTS_MAX && ms <= 60000) {
            roads[host].delay_ms = (uint32_t)ms;
        }
    }
    return 1;
}

int main(void)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "tun0");
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) != 0) {
        perror("tun0");
        return 1;
    }
    puts("ready");
    (void)fflush(stdout);
    for (;;) {
        struct pollfd fds[] = {{.fd = tun, .events = POLLIN},
                               {.fd = STDIN_FILENO, .events = POLLIN}};

        if (poll(fds, 2, give(tun)) < 0 && errno != EINTR) {
            perror("poll");
            return 1;
        }
        if (fds[0].revents != 0) {
            take(tun);
        }
        if (fds[1].revents != 0 && obey() == 0) {
            return 0;
        }
    }
}
