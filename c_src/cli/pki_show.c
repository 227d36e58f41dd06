/* SPDX-License-Identifier: Apache-2.0
 * `quorate pki show`: one block of lines, or one object, for each certificate.
 * Times are UTC as in RFC 3339. */
#include "base/ensure.h"
#include "base/err.h"
#include "cli/columns.h"
#include "cli/json.h"
#include "cli/local.h"
#include "io/pki.h"

#include <stdio.h>
#include <time.h>

enum {
    OUTPUT_SIZE_MAX = 64 * 1024 * 1024, /* bytes */
    TIME_SIZE = 32,                     /* bytes */
    DAY_S = 24 * 60 * 60,
    PAIR = 2, /* columns: what, and its value */
};

struct output {
    struct buf text;
    enum options_output form;
    int64_t now_s;
    size_t count;
};

static const char *validity_text(enum pki_validity validity)
{
    switch (validity) {
    case PKI_VALID:
        return "valid";
    case PKI_NOT_YET:
        return "not_yet_valid";
    case PKI_EXPIRED:
        return "expired";
    }
    return "";
}

static void format_time(int64_t time_s, char ret_text[TIME_SIZE])
{
    const time_t time = (time_t)time_s;
    struct tm fields;

    if (gmtime_r(&time, &fields) == NULL ||
        strftime(ret_text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &fields) == 0) {
        (void)snprintf(ret_text, TIME_SIZE, "%lld", (long long)time_s);
    }
}

/* Whole days until the end; after it, how long it is over. */
static int64_t days_left(const struct output *output,
                         const struct pki_certificate *certificate)
{
    return (certificate->not_after_s - output->now_s) / DAY_S;
}

/* --- For people ----------------------------------------------------------- */

static void put_pair(struct columns *columns, const char *key,
                     const char *value)
{
    columns_put(columns, key);
    columns_put(columns, value);
}

static void put_table(struct output *output,
                      const struct pki_certificate *certificate)
{
    enum pki_validity validity = pki_validity_at(certificate, output->now_s);
    struct cursor sans = cursor_of(buf_bytes(&certificate->sans));
    struct columns columns;
    struct bytes san;
    char text[TIME_SIZE];

    columns_init(&columns, PAIR);
    put_pair(&columns, "file", certificate->path);
    put_pair(&columns, "subject", certificate->subject);
    put_pair(&columns, "issuer", certificate->issuer);
    if (certificate->is_authority) {
        put_pair(&columns, "authority", "yes");
    } else {
        put_pair(&columns, "role",
                 certificate->role[0] == '\0' ? "-" : certificate->role);
    }
    while (cursor_left(&sans) > 0 && cursor_block(&sans, &san) == 0) {
        columns_put(&columns, "name");
        buf_put_bytes(&columns.text, san);
        columns_end_cell(&columns);
    }
    format_time(certificate->not_before_s, text);
    put_pair(&columns, "not_before", text);
    format_time(certificate->not_after_s, text);
    put_pair(&columns, "not_after", text);
    columns_put(&columns, "validity");
    buf_printf(&columns.text,
               validity == PKI_EXPIRED ? "EXPIRED" : "%s, %lld days left",
               validity == PKI_VALID ? "valid" : "NOT YET VALID",
               (long long)days_left(output, certificate));
    columns_end_cell(&columns);
    put_pair(&columns, "serial", certificate->serial);
    put_pair(&columns, "sha256", certificate->fingerprint);
    if (output->count > 0) {
        buf_put_u8(&output->text, '\n');
    }
    columns_print(&columns, &output->text);
    columns_close(&columns);
}

/* --- For programs --------------------------------------------------------- */

static void put_member(struct buf *text, const char *key, const char *value)
{
    buf_printf(text, ",\"%s\":", key);
    json_put_string(text, bytes_of_string(value));
}

static void put_json(struct output *output,
                     const struct pki_certificate *certificate)
{
    struct buf *text = &output->text;
    struct cursor sans = cursor_of(buf_bytes(&certificate->sans));
    bool is_first = true;
    struct bytes san;
    char time_text[TIME_SIZE];

    buf_printf(text, "%s{\"file\":", output->count > 0 ? "," : "");
    json_put_string(text, bytes_of_string(certificate->path));
    put_member(text, "subject", certificate->subject);
    put_member(text, "issuer", certificate->issuer);
    buf_printf(text, ",\"authority\":%s,\"names\":[",
               certificate->is_authority ? "true" : "false");
    while (cursor_left(&sans) > 0 && cursor_block(&sans, &san) == 0) {
        buf_printf(text, "%s", is_first ? "" : ",");
        json_put_string(text, san);
        is_first = false;
    }
    buf_put_u8(text, ']');
    if (certificate->role[0] == '\0') {
        buf_printf(text, ",\"role\":null");
    } else {
        put_member(text, "role", certificate->role);
    }
    format_time(certificate->not_before_s, time_text);
    put_member(text, "not_before", time_text);
    format_time(certificate->not_after_s, time_text);
    put_member(text, "not_after", time_text);
    put_member(text, "validity",
               validity_text(pki_validity_at(certificate, output->now_s)));
    buf_printf(text, ",\"days_left\":%lld",
               (long long)days_left(output, certificate));
    put_member(text, "serial", certificate->serial);
    put_member(text, "sha256", certificate->fingerprint);
    buf_put_u8(text, '}');
}

static void put(void *arg, const struct pki_certificate *certificate)
{
    struct output *output = (struct output *)arg;

    if (output->form == OPTIONS_JSON) {
        put_json(output, certificate);
    } else {
        put_table(output, certificate);
    }
    output->count++;
}

int pki_show_run(const struct options *options, int64_t now_s)
{
    const char *path = options->local.words[0];
    struct output output = {.form = options->output, .now_s = now_s};
    struct buf error;
    int rv;

    ensure(path != NULL);
    buf_init(&output.text, OUTPUT_SIZE_MAX);
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    if (output.form == OPTIONS_JSON) {
        buf_printf(&output.text,
                   "{\"schema\":\"quorate.pki/1\",\"certificates\":[");
    }
    rv = pki_show(path, &error, &output, put);
    if (output.form == OPTIONS_JSON) {
        buf_printf(&output.text, "]}\n");
    }
    if (rv == 0 && buf_error(&output.text) != 0) {
        rv = buf_error(&output.text);
        buf_printf(&error, "cannot show %s: %s", path, err_text(rv));
    }
    if (rv != 0) {
        (void)fprintf(stderr, "quorate: %.*s\n", (int)error.size,
                      (const char *)error.data);
    } else if (fwrite(output.text.data, 1, output.text.size, stdout) !=
                   output.text.size ||
               fflush(stdout) != 0) {
        rv = ERR_IO; /* a closed pipe; there is nobody to tell */
    }
    buf_close(&output.text);
    buf_close(&error);
    return local_exit_code(rv);
}
