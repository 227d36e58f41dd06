/* SPDX-License-Identifier: Apache-2.0
 * One call to a member:
 *
 *   dial ──up──▶ {'$gen_call', {Self, Tag}, {Module, Function, Args}}
 *                          ◀── {Tag, Result}
 *
 * and one deadline for all of it. */
#include "cli/client.h"

#include "base/ensure.h"
#include "base/err.h"
#include "cli/json.h"
#include "cli/member.h"
#include "cli/render.h"
#include "dist/control.h"
#include "dist/frame.h"
#include "dist/inbox.h"
#include "dist/node_name.h"
#include "dist/signal.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "io/loop.h"
#include "io/peers.h"
#include "io/sys.h"
#include "io/tls.h"
#include "security/pattern.h"

#include <stdio.h>
#include <unistd.h>

enum {
    OUTPUT_SIZE_MAX = 256 * 1024 * 1024, /* bytes */
    REASON_SIZE_MAX = 1024,              /* bytes */
    HOST_SIZE_MAX = 128,                 /* bytes */
    TAG_WORDS = 3,
    TAG_WORD0_MASK = 0x3ffff, /* a virtual machine refuses more bits */
};

struct client {
    const struct options *options;
    struct loop *loop;
    struct peers *peers;
    struct tls *tls; /* NULL: the link is plain */
    struct inbox inbox;
    char name[NODE_NAME_SIZE_MAX + 1]; /* own */
    struct buf tag;                    /* raw reference */
    struct buf result;                 /* raw term */
    struct buf why;                    /* of a failure */
    bool is_up;
    int exit_code; /* of a failure */
    bool is_over;
};

/* --- Ends ----------------------------------------------------------------- */

static void end(struct client *client, int exit_code)
{
    if (!client->is_over) {
        client->is_over = true;
        client->exit_code = exit_code;
        loop_stop(client->loop);
    }
}

static void fail(struct client *client, int exit_code, const char *why)
{
    if (!client->is_over) {
        buf_printf(&client->why, "%s", why);
        end(client, exit_code);
    }
}

/* What went wrong, why, and what to do, in one line. */
static void tell_failure(const struct client *client)
{
    const struct options_target *target = &client->options->target;
    const char *advice = "is it running? see `quorate help start`";

    if (client->exit_code == CLI_EXIT_TEMPFAIL) {
        advice = "try again, or with a longer --timeout";
    } else if (memmem(client->why.data, client->why.size, "cookie", 6) !=
               NULL) {
        advice = "give the member's cookie with --cookie-file";
    }
    (void)fprintf(stderr, "quorate: no answer from %s%s%s: %.*s; %s\n",
                  target->name, target->has_address ? " at " : "",
                  target->has_address ? target->address.text : "",
                  (int)client->why.size, (const char *)client->why.data,
                  advice);
}

static void on_deadline(void *arg)
{
    struct client *client = (struct client *)arg;

    fail(client, CLI_EXIT_TEMPFAIL,
         client->is_up ? "it took too long to answer"
                       : "it took too long to connect");
}

/* --- The call ------------------------------------------------------------- */

static void put_tag(struct client *client)
{
    uint32_t words[TAG_WORDS];

    sys_random(words, sizeof(words));
    words[0] &= TAG_WORD0_MASK;
    etf_put_reference(&client->tag, bytes_of_string(client->name),
                      client->inbox.creation, words, TAG_WORDS);
}

static void put_question(struct buf *out, enum options_command command)
{
    bool is_report = command == OPTIONS_PARTITIONS;

    etf_put_tuple(out, 3);
    etf_put_atom(out, is_report ? "partition_detector" : "quorate");
    etf_put_atom(out, is_report ? "partition_report"
                                : options_command_name(command));
    etf_put_nil(out);
}

static void on_up(void *arg, struct peer *peer)
{
    struct client *client = (struct client *)arg;
    struct buf *out = peer_out(peer);
    size_t begin;

    client->is_up = true;
    put_tag(client);
    begin = signal_begin_send_name(&client->inbox, "quorate", out);
    etf_put_tuple(out, 3);
    etf_put_atom(out, "$gen_call");
    etf_put_tuple(out, 2);
    signal_put_self(&client->inbox, out);
    etf_put_raw(out, buf_bytes(&client->tag));
    if (member_is_command(client->options->command)) {
        member_put_call(out, client->options);
    } else {
        put_question(out, client->options->command);
    }
    frame_end(out, begin);
    if (buf_error(&client->tag) != 0) {
        fail(client, CLI_EXIT_SOFTWARE, "out of memory");
    }
}

/* Takes {Tag, Result}; other messages are none of ours. */
static void take_reply(struct client *client, struct bytes message)
{
    struct etf_reader reader = etf_reader_of(message);
    struct bytes tag;
    struct bytes result;

    if (client->is_over || etf_read_tuple_of(&reader, 2) != 0 ||
        etf_read_raw(&reader, &tag) != 0 ||
        !bytes_equal(tag, buf_bytes(&client->tag)) ||
        etf_read_raw(&reader, &result) != 0) {
        return;
    }
    buf_put_bytes(&client->result, result);
    if (buf_error(&client->result) != 0) {
        fail(client, CLI_EXIT_SOFTWARE, "out of memory");
    } else {
        end(client, CLI_EXIT_OK);
    }
}

static void on_frame(void *arg, struct peer *peer, struct bytes frame)
{
    struct client *client = (struct client *)arg;
    struct control control;
    const char *cause = "malformed frame";

    if (control_decode(frame, peer_flags(peer), &control, &cause) != 0) {
        fail(client, CLI_EXIT_UNAVAILABLE, cause);
        return;
    }
    if (control.op == CONTROL_SEND) {
        take_reply(client, control.payload);
    }
}

static void on_down(void *arg, struct peer *peer, const char *reason)
{
    (void)peer;
    fail((struct client *)arg, CLI_EXIT_UNAVAILABLE, reason);
}

static void on_dial_failed(void *arg, struct bytes name, const char *reason)
{
    (void)name;
    fail((struct client *)arg, CLI_EXIT_UNAVAILABLE, reason);
}

/* --- Setting up ----------------------------------------------------------- */

/* A name that nobody else has: NAME-cli-PID-RANDOM@HOST, by the name in the
 * certificate if there is one. */
static void make_name(struct client *client)
{
    char host[HOST_SIZE_MAX] = "";
    struct bytes own = bytes_of_string("");
    struct bytes alive;
    struct bytes own_host;
    uint64_t random;

    sys_random(&random, sizeof(random));
    if (client->tls != NULL) {
        own = tls_own_name(client->tls);
    }
    if (node_name_split(own, &alive, &own_host) == 0) {
        (void)snprintf(client->name, sizeof(client->name),
                       "%.*s" TLS_COMMAND_MARK "%ld-%016llx@%.*s",
                       (int)alive.size, alive.data, (long)getpid(),
                       (unsigned long long)random, (int)own_host.size,
                       own_host.data);
        return;
    }
    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    (void)snprintf(client->name, sizeof(client->name),
                   "quorate-cli-%ld-%016llx@%s", (long)getpid(),
                   (unsigned long long)random, host);
    if (!node_name_is_valid(bytes_of_string(client->name))) {
        (void)snprintf(client->name, sizeof(client->name),
                       "quorate-cli-%ld-%016llx@localhost", (long)getpid(),
                       (unsigned long long)random);
    }
}

/* The cookie that a member with these settings expects of a peer with our
 * name: with its own configuration a command gets in as anybody else. */
static const char *cookie_file(const struct client *client)
{
    const struct settings *settings = &client->options->settings;

    for (uint32_t i = 0; i < settings->peer_cookie_count; i++) {
        const struct settings_peer_cookie *row = &settings->peer_cookies[i];

        if (pattern_matches(bytes_of_string(row->pattern),
                            bytes_of_string(client->name))) {
            return row->file;
        }
    }
    return settings->cookie_file;
}

static int open_peers(struct client *client)
{
    const struct options *options = client->options;
    struct peers_config config = {.callbacks = {.up = on_up,
                                                .frame = on_frame,
                                                .down = on_down,
                                                .dial_failed = on_dial_failed},
                                  .arg = client};
    struct buf cookie;
    int rv;

    buf_init(&cookie, 0);
    rv = tls_open(&options->settings, &client->tls, &client->why);
    if (rv == 0) {
        make_name(client);
        if (cookie_file(client)[0] == '\0') {
            (void)fprintf(stderr, "quorate: no cookie is known; give one with "
                                  "--cookie-file FILE\n");
            return CLI_EXIT_CONFIG;
        }
        rv = sys_read_cookie(cookie_file(client), &cookie, &client->why);
    }
    if (rv != 0) {
        buf_wipe(&cookie);
        (void)fprintf(stderr, "quorate: %.*s\n", (int)client->why.size,
                      (const char *)client->why.data);
        return CLI_EXIT_CONFIG;
    }
    config.name = bytes_of_string(client->name);
    config.cookie = buf_bytes(&cookie);
    config.tls = client->tls;
    rv = peers_new(client->loop, &config, &client->peers);
    buf_wipe(&cookie);
    return rv == 0 ? CLI_EXIT_OK : CLI_EXIT_SOFTWARE;
}

static int call(struct client *client)
{
    const struct options_target *target = &client->options->target;
    int rv;

    inbox_init(&client->inbox, bytes_of_string(client->name),
               peers_creation(client->peers));
    loop_set_deadline(client->loop,
                      loop_now_ms(client->loop) + client->options->timeout_ms);
    rv = peers_dial(client->peers, bytes_of_string(target->name),
                    target->has_address ? target->address.host : NULL,
                    target->has_address ? target->address.port : 0);
    if (rv != 0) {
        buf_printf(&client->why, "%s", err_text(rv));
        client->exit_code = CLI_EXIT_UNAVAILABLE;
    } else {
        rv = loop_run(client->loop);
        ensure(rv == 0);
    }
    if (client->exit_code != CLI_EXIT_OK) {
        tell_failure(client);
    }
    return client->exit_code;
}

/* --- The answer ----------------------------------------------------------- */

/* {error, Reason} instead of what was asked for. */
static bool is_error(struct bytes result)
{
    struct etf_reader reader = etf_reader_of(result);

    return etf_read_tuple_of(&reader, 2) == 0 &&
           etf_take_atom(&reader, "error");
}

static int print(const struct client *client)
{
    const struct options *options = client->options;
    struct bytes result = buf_bytes(&client->result);
    struct buf text;
    int rv;

    buf_init(&text, OUTPUT_SIZE_MAX);
    if (is_error(result)) {
        enum cli_exit code = CLI_EXIT_TEMPFAIL;
        const char *advice = member_is_command(options->command)
                                 ? member_advice(result, &code)
                                 : "try again";

        rv = json_put_term(&text, result);
        (void)fprintf(stderr, "quorate: %s answered %.*s; %s\n",
                      options->target.name, rv == 0 ? (int)text.size : 0,
                      (const char *)text.data, advice);
        buf_close(&text);
        return (int)code;
    }
    rv = member_is_command(options->command)
             ? member_render(&text, options->output, result)
             : render(&text, options->command, options->output, result);
    if (rv != 0) {
        (void)fprintf(stderr,
                      "quorate: the answer of %s is not understood (%s); is it "
                      "a member of this version?\n",
                      options->target.name, err_text(rv));
    } else if (fwrite(text.data, 1, text.size, stdout) != text.size ||
               fflush(stdout) != 0) {
        rv = ERR_IO; /* a closed pipe; there is nobody to tell */
    }
    buf_close(&text);
    return rv == 0 ? CLI_EXIT_OK : CLI_EXIT_SOFTWARE;
}

int client_run(const struct options *options)
{
    struct client client = {.options = options};
    const struct loop_config config = {.timer = on_deadline, .arg = &client};
    int code = CLI_EXIT_SOFTWARE;

    buf_init(&client.tag, REASON_SIZE_MAX);
    buf_init(&client.result, FRAME_SIZE_MAX);
    buf_init(&client.why, SETTINGS_ERROR_SIZE_MAX);
    if (loop_new(&config, &client.loop) == 0) {
        code = open_peers(&client);
        if (code == CLI_EXIT_OK) {
            code = call(&client);
        }
        if (code == CLI_EXIT_OK) {
            code = print(&client);
        }
        peers_free(client.peers);
        tls_free(client.tls);
        loop_free(client.loop);
    }
    buf_close(&client.tag);
    buf_close(&client.result);
    buf_close(&client.why);
    return code;
}
