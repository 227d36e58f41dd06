/* SPDX-License-Identifier: Apache-2.0
 * A connection to epmd that sends one request and gives what comes back. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/epmd.h"
#include "io/peers_internal.h"

struct epmd_client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct peers *peers;
    epmd_client_cb *cb;
    void *arg;
    bool is_over;
    struct buf request;
    struct buf input;
    char room[EPMD_RESPONSE_MAX];
};

static uv_stream_t *stream_of(struct epmd_client *client)
{
    void *tcp = &client->tcp;

    return (uv_stream_t *)tcp;
}

static void on_close(uv_handle_t *handle)
{
    struct epmd_client *client = (struct epmd_client *)handle->data;
    struct peers *peers = client->peers;

    buf_close(&client->request);
    buf_close(&client->input);
    mem_free(client);
    peers_release(peers);
}

void epmd_client_free(struct epmd_client *client)
{
    if (client != NULL && !client->is_over) {
        client->is_over = true;
        uv_close((uv_handle_t *)&client->tcp, on_close);
    }
}

static void fail(struct epmd_client *client, int error)
{
    if (!client->is_over) {
        epmd_client_free(client);
        client->cb(client->arg, error, bytes_of(NULL, 0));
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
    struct epmd_client *client = (struct epmd_client *)handle->data;

    (void)size;
    *ret_buf = uv_buf_init(client->room, sizeof(client->room));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct epmd_client *client = (struct epmd_client *)stream->data;

    if (client->is_over || size == 0) {
        return;
    }
    if (size < 0) {
        fail(client, ERR_CLOSED);
        return;
    }
    buf_put(&client->input, buf->base, (size_t)size);
    if (buf_error(&client->input) != 0) {
        fail(client, ERR_MALFORMED);
        return;
    }
    client->cb(client->arg, 0, buf_bytes(&client->input));
}

static void on_written(uv_write_t *write, int status)
{
    struct epmd_client *client = (struct epmd_client *)write->data;

    if (status != 0) {
        fail(client, ERR_CLOSED);
    }
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct epmd_client *client = (struct epmd_client *)connect->data;
    uv_buf_t request = uv_buf_init((char *)client->request.data,
                                   (unsigned)client->request.size);

    if (client->is_over) {
        return;
    }
    client->write.data = client;
    if (status != 0 ||
        uv_read_start(stream_of(client), on_alloc, on_read) != 0 ||
        uv_write(&client->write, stream_of(client), &request, 1, on_written) !=
            0) {
        fail(client, ERR_REFUSED);
    }
}

int epmd_client_new(struct peers *peers, const struct sockaddr *address,
                    struct bytes request, epmd_client_cb *cb, void *arg,
                    struct epmd_client **ret_client)
{
    struct epmd_client *client = mem_alloc(sizeof(*client));

    if (client == NULL) {
        return ERR_NOMEM;
    }
    if (uv_tcp_init(loop_uv(peers->loop), &client->tcp) != 0) {
        mem_free(client);
        return ERR_IO;
    }
    client->tcp.data = client;
    client->connect.data = client;
    client->peers = peers;
    client->cb = cb;
    client->arg = arg;
    buf_init(&client->request, EPMD_RESPONSE_MAX);
    buf_init(&client->input, EPMD_RESPONSE_MAX);
    buf_put_bytes(&client->request, request);
    peers->reference_count++;
    if (buf_error(&client->request) != 0 ||
        uv_tcp_connect(&client->connect, &client->tcp, address, on_connect) !=
            0) {
        epmd_client_free(client);
        return ERR_IO;
    }
    *ret_client = client;
    return 0;
}
