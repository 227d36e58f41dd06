/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: inbox_receive with control_decode and all that looks into
 * messages, call_copy, call_reply, outbox_*.
 *
 * Byte 0 chooses the agreed flags and how calls are answered; the rest is one
 * frame. Whatever comes in, what goes out must be whole frames that our own
 * decoder takes; a frame that is refused has a cause and no answer. */
#include "base/ensure.h"
#include "base/err.h"
#include "dist/control.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/inbox.h"
#include "frames_out.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAGS_ALL DIST_FLAGS_OFFERED
#define FLAGS_OLD         \
    (DIST_FLAGS_OFFERED & \
     ~(DIST_FLAG_SEND_SENDER | DIST_FLAG_EXIT_PAYLOAD | DIST_FLAG_ALTACT_SIG))

enum { INPUT_MAX = 64 * 1024, OUT_MAX = 1024 * 1024 };

static void answer(struct inbox *inbox, struct inbox_peer *peer,
                   const struct call *call, uint8_t option, struct buf *out)
{
    struct call_result result = {.type = CALL_VALUE, .value = call->args};
    struct call *copy = call_copy(inbox, peer, call);

    ensure(copy != NULL);
    ensure(copy->from.size == call->from.size);
    if (option % 4 == 1) {
        result.type = CALL_ERROR;
    } else if (option % 4 == 2) {
        result = (struct call_result){.type = CALL_UNDEF};
    }
    call_reply(inbox, peer, option % 2 == 0 ? call : copy, &result, out);
    call_free(inbox, copy);
}

static void echo(struct inbox *inbox, struct inbox_peer *peer,
                 const struct inbox_event *event, struct buf *out)
{
    struct buf reference;
    size_t begin;

    if (event->from.size == 0) {
        return;
    }
    buf_init(&reference, 8192);
    begin = outbox_begin_pid(inbox, peer, event->from, "echo", out);
    buf_put_bytes(out, event->message);
    outbox_end(out, begin);
    outbox_send_name(inbox, "name", event->message, out);
    ensure(outbox_monitor(inbox, peer, event->from, out, &reference) == 0);
    outbox_demonitor(inbox, peer, buf_bytes(&reference), out);
    ensure(outbox_link(inbox, peer, event->from, out) == 0);
    outbox_unlink(inbox, peer, event->from, out);
    ensure(reference.size <= 600);
    buf_close(&reference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t flags[] = {FLAGS_OLD, FLAGS_ALL, DIST_FLAGS_MANDATORY,
                                     DIST_FLAGS_OFFERED & ~DIST_FLAG_ALIAS};
    struct inbox_peer peer = {.name = bytes_of_string("tester@127.0.0.1")};
    struct inbox_event event = {.type = INBOX_NONE};
    const char *cause = NULL;
    struct inbox inbox;
    struct buf out;
    int rv;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    peer.flags = flags[data[0] / 4 % 4];
    inbox_init(&inbox, bytes_of_string("quorate@127.0.0.1"), 7);
    buf_init(&out, OUT_MAX);
    rv = inbox_receive(&inbox, &peer, bytes_of(data + 1, size - 1), &out,
                       &event, &cause);
    if (rv != 0) {
        ensure(rv == ERR_MALFORMED || rv == ERR_LIMIT || rv == ERR_UNSUPPORTED);
        ensure(cause != NULL);
        ensure(out.size == 0);
    }
    if (rv == 0 && event.type == INBOX_CALL) {
        answer(&inbox, &peer, &event.call, data[0], &out);
    }
    if (rv == 0 && event.type == INBOX_MESSAGE) {
        ensure(event.message.size > 0);
        echo(&inbox, &peer, &event, &out);
    }
    if (rv == 0 && event.type == INBOX_DOWN) {
        ensure(event.reference.size > 0);
        ensure(event.reason.size > 0);
    }
    check_out(&out, OUT_MAX);
    while (inbox_next_lost(&inbox, &peer, &event)) {
    }
    inbox_close(&inbox);
    buf_close(&out);
    return 0;
}
