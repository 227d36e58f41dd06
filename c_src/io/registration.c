/* SPDX-License-Identifier: Apache-2.0
 * Keeps our name registered with the epmd of this host: for as long as the
 * connection lives, and again, with growing pauses, whenever it is lost. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/epmd.h"
#include "dist/node_name.h"
#include "io/peers_internal.h"
#include "io/sys.h"

struct registration {
    struct peers *peers;
    struct epmd_client *client; /* NULL: between two attempts */
    bool is_registered;
    uint64_t started_ms; /* the attempt under way */
    uint64_t retry_ms;   /* when the next one is due */
    uint64_t pause_ms;   /* after the next failure */
    const char *told;    /* last logged reason; NULL: none */
};

/* The client is gone; the next attempt is due after a pause. */
static void lost(struct registration *registration, const char *reason)
{
    const struct peers *peers = registration->peers;
    uint64_t half_ms = registration->pause_ms / 2;
    uint64_t chance;

    sys_random(&chance, sizeof(chance));
    registration->client = NULL;
    registration->is_registered = false;
    /* Half of the pause is chance: all nodes of a host lose epmd together. */
    registration->retry_ms =
        loop_now_ms(peers->loop) + half_ms + chance % (half_ms + 1);
    registration->pause_ms *= 2;
    if (registration->pause_ms > peers->timing.epmd_retry_max_ms) {
        registration->pause_ms = peers->timing.epmd_retry_max_ms;
    }
    if (registration->told != reason) {
        registration->told = reason;
        log_line(LOG_WARN, "epmd_lost", "port=%u reason=\"%s\"",
                 (unsigned)peers->epmd_port, reason);
    }
}

static void on_epmd(void *arg, int status, struct bytes input)
{
    struct registration *registration = (struct registration *)arg;
    uint32_t creation;
    size_t used;
    int rv;

    if (status != 0) {
        lost(registration, status == ERR_REFUSED
                               ? "epmd cannot be reached"
                               : "epmd closed the connection");
        return;
    }
    if (registration->is_registered) {
        return; /* epmd says nothing more; if it does, it does not matter */
    }
    rv = epmd_decode_alive(input, &creation, &used);
    if (rv == ERR_TRUNCATED) {
        return;
    }
    if (rv != 0) {
        epmd_client_free(registration->client);
        lost(registration, rv == ERR_REFUSED
                               ? "the name is registered by another process"
                               : "the answer is malformed");
        return;
    }
    registration->is_registered = true;
    registration->told = NULL;
    registration->pause_ms = registration->peers->timing.epmd_retry_min_ms;
    log_line(LOG_INFO, "epmd_registered", "name=%.*s port=%u",
             (int)registration->peers->name.size,
             (const char *)registration->peers->name.data,
             (unsigned)registration->peers->port);
}

static void attempt(struct registration *registration)
{
    struct peers *peers = registration->peers;
    struct sockaddr_in address;
    const void *any = &address;
    struct bytes alive;
    struct bytes host;
    struct buf request;
    int rv;

    ensure(node_name_split(buf_bytes(&peers->name), &alive, &host) == 0);
    ensure(uv_ip4_addr("127.0.0.1", peers->epmd_port, &address) == 0);
    registration->started_ms = loop_now_ms(peers->loop);
    buf_init(&request, EPMD_RESPONSE_MAX);
    epmd_encode_alive(&request, alive, peers->port);
    rv = buf_error(&request);
    if (rv == 0) {
        rv = epmd_client_new(peers, (const struct sockaddr *)any,
                             buf_bytes(&request), on_epmd, registration,
                             &registration->client);
    }
    buf_close(&request);
    if (rv != 0) {
        lost(registration, "epmd cannot be reached");
    }
}

void registration_sweep(struct registration *registration, uint64_t now_ms)
{
    const struct peers_timing *timing = &registration->peers->timing;

    if (registration->client == NULL) {
        if (now_ms >= registration->retry_ms) {
            attempt(registration);
        }
    } else if (!registration->is_registered &&
               now_ms - registration->started_ms > timing->handshake_ms) {
        epmd_client_free(registration->client);
        lost(registration, "epmd does not answer");
    }
}

int registration_new(struct peers *peers,
                     struct registration **ret_registration)
{
    struct registration *registration = mem_alloc(sizeof(*registration));

    if (registration == NULL) {
        return ERR_NOMEM;
    }
    registration->peers = peers;
    registration->pause_ms = peers->timing.epmd_retry_min_ms;
    attempt(registration);
    *ret_registration = registration;
    return 0;
}

void registration_free(struct registration *registration)
{
    if (registration != NULL) {
        epmd_client_free(registration->client);
        mem_free(registration);
    }
}
