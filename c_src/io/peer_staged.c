/* SPDX-License-Identifier: Apache-2.0
 * Output that the socket does not get as it was appended. It is the bytes of
 * `out` with inserts at some places,
 *
 *   out:      [ head of a frame | its end, other frames ... ]
 *   inserts:                    ^ a slice of a blob
 *
 * and is sealed, or gathered, a bounded piece in a turn: a big value costs no
 * turn more than a small one does. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/peers_internal.h"
#include "io/tls_link.h"

enum {
    SEAL_RECORD = 16 * 1024, /* RFC 8446, section 5.1: the most of a record */
};

struct insert {
    struct list link;
    size_t at; /* where in `out` it belongs: in front of that byte */
    struct bytes left;
    struct blob *blob; /* held */
};

static struct insert *first_insert(const struct peer *peer)
{
    return list_is_empty(&peer->inserts)
               ? NULL
               : LIST_ENTRY(peer->inserts.next, struct insert, link);
}

static void drop_insert(struct insert *insert)
{
    list_remove(&insert->link);
    blob_release(insert->blob);
    mem_free(insert);
}

void peer_drop_inserts(struct peer *peer)
{
    struct insert *insert;

    while ((insert = first_insert(peer)) != NULL) {
        drop_insert(insert);
    }
    peer->insert_bytes = 0;
}

void peer_out_shared(struct peer *peer, struct bytes bytes, struct blob *blob)
{
    struct insert *insert = mem_alloc(sizeof(*insert));

    peer_mark_dirty(peer);
    if (insert == NULL) {
        peer->out.error = ERR_NOMEM;
        return;
    }
    ensure(bytes.size > 0);
    insert->at = peer->out.size;
    insert->left = bytes;
    insert->blob = blob_hold(blob);
    list_init(&insert->link);
    list_append(&peer->inserts, &insert->link);
    peer->insert_bytes += bytes.size;
}

bool peer_has_unstaged(const struct peer *peer)
{
    return peer->out_staged < peer->out.size || peer->insert_bytes > 0;
}

bool peer_is_staged(const struct peer *peer)
{
    return peer->tls != NULL || peer->staged.size > 0 || peer->out_staged > 0 ||
           peer->insert_bytes > 0;
}

/* The next bytes that are in one place. */
static struct bytes next_run(const struct peer *peer)
{
    const struct insert *insert = first_insert(peer);
    size_t end = insert == NULL ? peer->out.size : insert->at;

    ensure(peer->out_staged <= end);
    if (peer->out_staged < end || insert == NULL) {
        return bytes_of(peer->out.data + peer->out_staged,
                        end - peer->out_staged);
    }
    return insert->left;
}

static void step_over(struct peer *peer, size_t size)
{
    struct insert *insert = first_insert(peer);

    if (insert == NULL || peer->out_staged < insert->at) {
        peer->out_staged += size;
        return;
    }
    insert->left = bytes_of(insert->left.data + size, insert->left.size - size);
    peer->insert_bytes -= size;
    if (insert->left.size == 0) {
        drop_insert(insert);
    }
}

/* Gives back what is staged; as many bytes are moved as that, at most. */
static void drop_staged(struct peer *peer)
{
    size_t gone = peer->out_staged;

    if (!peer_has_unstaged(peer)) {
        peer_trim_output(&peer->out);
        peer->out_staged = 0;
    } else if (gone > peer->out.size / 2) {
        buf_consume(&peer->out, gone);
        peer->out_staged = 0;
        LIST_FOREACH (node, &peer->inserts) {
            LIST_ENTRY(node, struct insert, link)->at -= gone;
        }
    }
}

/* Some of a run: 0 with the number of bytes, or an error. */
static int stage_run(struct peer *peer, struct bytes run, size_t *ret_size)
{
    int rv;

    if (peer->tls == NULL) {
        buf_put_bytes(&peer->staged, run);
        *ret_size = run.size;
        return buf_error(&peer->staged);
    }
    run.size = size_min(run.size, SEAL_RECORD);
    rv = tls_link_seal(peer->tls, run, ret_size);
    tls_link_take(peer->tls, &peer->staged);
    return rv;
}

int peer_stage(struct peer *peer)
{
    size_t left = PEERS_STAGE_MAX;
    size_t taken = 1;
    int rv = 0;

    while (rv == 0 && taken > 0 && left > 0 && peer_has_unstaged(peer)) {
        struct bytes run = next_run(peer);

        run.size = size_min(run.size, left);
        rv = stage_run(peer, run, &taken);
        step_over(peer, taken);
        left -= taken;
    }
    drop_staged(peer);
    return rv != 0 ? rv : buf_error(&peer->staged);
}
