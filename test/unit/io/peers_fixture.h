/* SPDX-License-Identifier: Apache-2.0
 * Up to three nodes in one loop, and puppets: plain sockets, driven by a
 * thread, that may misbehave. A test waits for a condition, looked at in every
 * turn, and fails when that takes too long. */
#ifndef QUORATE_TEST_UNIT_IO_PEERS_FIXTURE_H
#define QUORATE_TEST_UNIT_IO_PEERS_FIXTURE_H

#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/handshake.h"
#include "io/peers_internal.h"
#include "io/sys.h"
#include "lib/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIDES = 3, TOO_LATE_MS = 20000, REASON_SIZE = 128, TRACE_SIZE = 256 };

struct fixture;

struct side {
    struct fixture *fixture;
    struct tls *tls; /* of the test; NULL: plain links */
    struct peers *peers;
    struct peer *peer; /* up last; NULL when it went down */
    int ups;
    int downs;
    int frames;
    int failures;
    size_t frame_bytes;
    uint64_t digest;   /* of all frames, in order */
    uint8_t last_byte; /* of the last frame */
    char down_reason[REASON_SIZE];
    char failed_reason[REASON_SIZE];
    char trace[TRACE_SIZE]; /* "up " and "down " in their order */
};

typedef bool condition(struct fixture *fixture);

struct fixture {
    struct loop *loop;
    struct side sides[SIDES];
    condition *is_done;
    bool is_late;
    pthread_t puppet;
    uint16_t port;     /* that the puppet connects to */
    int puppet_fd;     /* closed by the puppet or at the end */
    int puppet_result; /* of the script */
    _Atomic bool is_puppet_done;
};

/* FNV-1a, enough to tell order and content. */
static inline uint64_t digest_of(uint64_t digest, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        digest = (digest ^ bytes.data[i]) * 0x100000001b3U;
    }
    return (digest ^ bytes.size) * 0x100000001b3U;
}

static inline void trace(struct side *side, const char *word)
{
    size_t size = strlen(side->trace);

    (void)snprintf(side->trace + size, TRACE_SIZE - size, "%s ", word);
}

static inline void on_up(void *arg, struct peer *peer)
{
    struct side *side = (struct side *)arg;

    side->ups++;
    side->peer = peer;
    trace(side, "up");
    peer_set_data(peer, side);
}

static inline void on_frame(void *arg, struct peer *peer, struct bytes frame)
{
    struct side *side = (struct side *)arg;

    assert_ptr_equal(peer_data(peer), side);
    assert_true(frame.size > 0);
    side->frames++;
    side->frame_bytes += frame.size;
    side->digest = digest_of(side->digest, frame);
    side->last_byte = frame.data[frame.size - 1];
}

static inline void on_down(void *arg, struct peer *peer, const char *reason)
{
    struct side *side = (struct side *)arg;

    side->downs++;
    trace(side, "down");
    if (side->peer == peer) {
        side->peer = NULL;
    }
    (void)snprintf(side->down_reason, REASON_SIZE, "%s", reason);
}

static inline void on_dial_failed(void *arg, struct bytes name,
                                  const char *reason)
{
    struct side *side = (struct side *)arg;

    (void)name;
    side->failures++;
    (void)snprintf(side->failed_reason, REASON_SIZE, "%s", reason);
}

static inline void on_turn(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    if (fixture->is_done != NULL && fixture->is_done(fixture)) {
        loop_stop(fixture->loop);
    }
}

static inline void on_late(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    fixture->is_late = true;
    loop_stop(fixture->loop);
}

/* Runs the loop until the condition holds. */
static inline void wait_for(struct fixture *fixture, condition *is_done)
{
    fixture->is_done = is_done;
    loop_set_deadline(fixture->loop, loop_now_ms(fixture->loop) + TOO_LATE_MS);
    assert_ok(loop_run(fixture->loop));
    assert_false(fixture->is_late);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = (struct fixture *)calloc(1, sizeof(*fixture));
    const struct loop_config config = {
        .turn = on_turn, .timer = on_late, .arg = fixture};

    fixture->puppet_fd = -1;
    log_set_level(LOG_ERROR);
    *state = fixture;
    return loop_new(&config, &fixture->loop);
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    for (size_t i = 0; i < SIDES; i++) {
        peers_free(fixture->sides[i].peers);
    }
    loop_free(fixture->loop);
    if (fixture->puppet_fd >= 0) {
        (void)close(fixture->puppet_fd);
    }
    free(fixture);
    return 0;
}

static inline struct peers_config config_of(struct fixture *fixture,
                                            size_t index, const char *name)
{
    struct side *side = &fixture->sides[index];

    side->fixture = fixture;
    return (struct peers_config){.name = bytes_of_string(name),
                                 .cookie = bytes_of_string("secret"),
                                 .listen_address = "127.0.0.1",
                                 .tls = side->tls,
                                 .callbacks = {.up = on_up,
                                               .frame = on_frame,
                                               .down = on_down,
                                               .dial_failed = on_dial_failed},
                                 .arg = side};
}

static inline struct peers *start_side(struct fixture *fixture, size_t index,
                                       const char *name)
{
    struct peers_config config = config_of(fixture, index, name);
    struct side *side = &fixture->sides[index];

    assert_ok(peers_new(fixture->loop, &config, &side->peers));
    return side->peers;
}

/* Makes `from` dial `to` by its address. */
static inline void dial(struct fixture *fixture, size_t from, size_t to)
{
    const struct peers *target = fixture->sides[to].peers;

    assert_ok(peers_dial(fixture->sides[from].peers, buf_bytes(&target->name),
                         "127.0.0.1", peers_port(target)));
}

static inline bool both_are_up(struct fixture *fixture)
{
    return fixture->sides[0].peer != NULL && fixture->sides[1].peer != NULL;
}

/* Two nodes with a link. */
static inline void link_two(struct fixture *fixture)
{
    (void)start_side(fixture, 0, "a@127.0.0.1");
    (void)start_side(fixture, 1, "b@127.0.0.1");
    dial(fixture, 0, 1);
    wait_for(fixture, both_are_up);
}

static inline void send_frame(struct side *side, struct bytes frame)
{
    struct buf *out = peer_out(side->peer);
    size_t begin = frame_begin(out);

    buf_put_bytes(out, frame);
    frame_end(out, begin);
}

/* Times short enough for a test. */
static inline void hurry(struct peers *peers)
{
    const struct peers_timing timing = {.tick_ms = 20,
                                        .probe_ms = 100,
                                        .silence_ms = 300,
                                        .quiet_ms = 900,
                                        .handshake_ms = 300,
                                        .connect_ms = 300,
                                        .epmd_retry_min_ms = 20,
                                        .epmd_retry_max_ms = 40,
                                        .sweep_ms = 10};

    peers_set_timing(peers, &timing);
}

/* --- Puppets -------------------------------------------------------------- */

static inline int puppet_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)(const void *)&address,
                sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static inline struct bytes puppet_cookie(void *arg, struct bytes peer_name)
{
    (void)arg;
    (void)peer_name;
    return bytes_of_string("secret");
}

/* Connects as `name` and shakes hands; -1 if that does not succeed. */
static inline int puppet_shake(uint16_t port, const char *name,
                               const char *peer_name)
{
    const struct handshake_config config = {.is_initiator = true,
                                            .name = bytes_of_string(name),
                                            .cookie = puppet_cookie,
                                            .peer_name =
                                                bytes_of_string(peer_name),
                                            .flags = DIST_FLAGS_OFFERED,
                                            .creation = 77,
                                            .challenge = 1234,
                                            .digest = sys_md5};
    struct handshake handshake;
    struct buf out;
    struct buf input;
    int fd = puppet_connect(port);
    int rv;

    buf_init(&out, 4096);
    buf_init(&input, 4096);
    rv = handshake_init(&handshake, &config, &out);
    while (fd >= 0 && rv == 0 && handshake.state != HANDSHAKE_DONE) {
        uint8_t byte;
        size_t used;

        if (write(fd, out.data, out.size) != (ssize_t)out.size) {
            break;
        }
        buf_clear(&out);
        if (read(fd, &byte, 1) != 1) {
            break;
        }
        buf_put_u8(&input, byte);
        rv = handshake_input(&handshake, buf_bytes(&input), &out, &used);
        buf_consume(&input, used);
    }
    buf_close(&out);
    buf_close(&input);
    if (fd >= 0 && handshake.state != HANDSHAKE_DONE) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

typedef void *puppet_script(void *arg);

static inline void start_puppet(struct fixture *fixture, puppet_script *script)
{
    fixture->port = peers_port(fixture->sides[0].peers);
    fixture->is_puppet_done = false;
    assert_int_equal(pthread_create(&fixture->puppet, NULL, script, fixture),
                     0);
}

/* What every script ends with. */
static inline void *end_puppet(struct fixture *fixture, int result)
{
    fixture->puppet_result = result;
    fixture->is_puppet_done = true;
    loop_wake(fixture->loop);
    return NULL;
}

static inline bool is_puppet_done(struct fixture *fixture)
{
    return fixture->is_puppet_done;
}

static inline void join_puppet(struct fixture *fixture)
{
    wait_for(fixture, is_puppet_done);
    assert_int_equal(pthread_join(fixture->puppet, NULL), 0);
    assert_int_equal(fixture->puppet_result, 0);
}

/* 0 once the other side has closed; what comes before that is thrown away. */
static inline int await_close(int fd)
{
    char rubbish[4096];
    ssize_t size;

    do {
        size = read(fd, rubbish, sizeof(rubbish));
    } while (size > 0);
    return 0;
}

#endif
