/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: json_put_term, json_put_plain, json_put_string.
 *
 * The input is one raw term from a member, validated as at the gate. What
 * comes out is valid UTF-8 without control characters, and its brackets and
 * quotes pair. */
#include "base/ensure.h"
#include "base/err.h"
#include "cli/json.h"
#include "etf/utf8.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 * 1024, OUT_MAX = 4 * 1024 * 1024, DEPTH_MAX = 4096 };

static void check_json(struct bytes text)
{
    static char open[DEPTH_MAX];
    size_t depth = 0;
    size_t chars = 0;
    bool is_string = false;

    ensure(utf8_count(text, &chars) == 0);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        ensure(c >= ' ');
        if (is_string && c == '\\') {
            i++;
            ensure(i < text.size);
            ensure(strchr("\"\\/bfnrtu", text.data[i]) != NULL);
        } else if (c == '"') {
            is_string = !is_string;
        } else if (!is_string && (c == '[' || c == '{')) {
            ensure(depth < DEPTH_MAX);
            open[depth++] = (char)(c + 2);
        } else if (!is_string && (c == ']' || c == '}')) {
            ensure(depth > 0);
            ensure(open[--depth] == (char)c);
        }
    }
    ensure(depth == 0 && !is_string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct etf_limits limits = etf_limits_default(INPUT_MAX);
    struct bytes input = bytes_of(data, size);
    struct etf_reader reader;
    struct buf text;
    size_t term_size = 0;
    int rv;

    if (size > INPUT_MAX) {
        return 0;
    }
    buf_init(&text, OUT_MAX);
    json_put_string(&text, input);
    ensure(buf_error(&text) == 0);
    check_json(buf_bytes(&text));
    buf_clear(&text);
    if (etf_validate(input, &limits, &term_size) == 0) {
        rv = json_put_term(&text, bytes_of(data, term_size));
        if (rv == 0) {
            check_json(buf_bytes(&text));
        }
        reader = etf_reader_of(bytes_of(data, term_size));
        rv = json_put_plain(&text, &reader);
        ensure(rv != 0 || etf_at_end(&reader));
    }
    buf_close(&text);
    return 0;
}
