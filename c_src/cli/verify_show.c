/* SPDX-License-Identifier: Apache-2.0
 * What a proof came to. The records of a finding are read again from their
 * files, so that all of each can be seen. */
#include "base/err.h"
#include "cli/json.h"
#include "cli/verify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
    OUTPUT_SIZE_MAX = 64 * 1024 * 1024, /* bytes */
    RECORD_SIZE_MAX = JOURNAL_RECORD_HEAD_SIZE + JOURNAL_FIELDS_SIZE_MAX,
};

enum field {
#define X(kind, name) FIELD_##name,
    JOURNAL_FIELDS(X)
#undef X
};

/* --- Records -------------------------------------------------------------- */

/* What people read: printable, and in one line. */
static void put_plain(struct buf *text, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];

        if (byte < ' ' || byte == 0x7f || byte == '\\') {
            buf_printf(text, "\\x%02x", byte);
        } else {
            buf_put_u8(text, byte);
        }
    }
}

static void put_hex(struct buf *text, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        buf_printf(text, "%02x", bytes.data[i]);
    }
}

/* What has names is shown by them; NULL: a number. */
static const char *word_of(const struct journal_record *record,
                           const char *name, uint64_t value,
                           const char **ret_key)
{
    *ret_key = name;
    if (strcmp(name, "code") == 0 && record->type != JOURNAL_OPEN) {
        *ret_key = "cause";
        return journal_cause_name((uint8_t)value);
    }
    return strcmp(name, "mode") == 0 ? journal_mode_name((uint8_t)value) : NULL;
}

static void put_number(struct buf *text, const struct journal_record *record,
                       const char *name, uint64_t value, bool is_json)
{
    const char *key;
    const char *word = word_of(record, name, value, &key);

    if (word == NULL) {
        buf_printf(text, is_json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, key,
                   value);
    } else {
        buf_printf(text, is_json ? ",\"%s\":\"%s\"" : " %s=%s", key, word);
    }
}

static void put_text(struct buf *text, const char *name, struct bytes value,
                     bool is_json)
{
    if (is_json) {
        buf_printf(text, ",\"%s\":", name);
        json_put_string(text, value);
    } else {
        buf_printf(text, " %s=", name);
        put_plain(text, value);
    }
}

static void put_run(struct buf *text, const char *name, struct bytes value,
                    bool is_json)
{
    buf_printf(text, is_json ? ",\"%s\":\"" : " %s=", name);
    put_hex(text, value);
    buf_printf(text, "%s", is_json ? "\"" : "");
}

static void put_fields(struct buf *text, const struct journal_record *record,
                       bool is_json)
{
#define PUT_u8(name)   put_number(text, record, #name, record->name, is_json)
#define PUT_u32(name)  put_number(text, record, #name, record->name, is_json)
#define PUT_u64(name)  put_number(text, record, #name, record->name, is_json)
#define PUT_text(name) put_text(text, #name, record->name, is_json)
#define PUT_run(name)  put_run(text, #name, record->name, is_json)
#define X(kind, name)                                    \
    if (journal_has_field(record->type, FIELD_##name)) { \
        PUT_##kind(name);                                \
    }
    JOURNAL_FIELDS(X)
#undef X
}

static bool read_record(const struct verify_file *file, uint64_t offset,
                        uint8_t bytes[RECORD_SIZE_MAX],
                        struct journal_record *ret_record)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    ssize_t size =
        fd < 0 ? -1 : pread(fd, bytes, RECORD_SIZE_MAX, (off_t)offset);
    size_t record_size;

    if (fd >= 0) {
        (void)close(fd); /* only read from */
    }
    return size > 0 &&
           journal_record_read(file->version, bytes_of(bytes, (size_t)size),
                               ret_record, &record_size) == 0;
}

static void put_record(const struct verify_show *show, struct buf *text,
                       struct proof_place place)
{
    const struct verify_file *file = &show->files[place.file];
    uint8_t bytes[RECORD_SIZE_MAX];
    struct journal_record record;
    bool is_there = read_record(file, place.offset, bytes, &record);

    if (show->form == OPTIONS_JSON) {
        buf_printf(text, "{\"file\":");
        json_put_string(text, bytes_of_string(file->path));
        buf_printf(text, ",\"offset\":%" PRIu64 ",\"of\":", place.offset);
        json_put_string(text, bytes_of_string(file->name));
        if (is_there) {
            buf_printf(text, ",\"type\":\"%s\",\"clock\":%" PRIu64,
                       journal_type_name(record.type), record.clock);
            put_fields(text, &record, true);
        }
        buf_put_u8(text, '}');
        return;
    }
    buf_printf(text, "  %s:%" PRIu64 "\n    ", file->path, place.offset);
    put_plain(text, bytes_of_string(file->name));
    if (is_there) {
        buf_printf(text, " %" PRIu64 " %s", record.clock,
                   journal_type_name(record.type));
        put_fields(text, &record, false);
    }
    buf_put_u8(text, '\n');
}

/* --- Findings ------------------------------------------------------------- */

void verify_show_finding(void *arg, const struct proof_finding *finding)
{
    struct verify_show *show = arg;
    struct buf *text = &show->findings;
    size_t size = text->size;
    bool is_json = show->form == OPTIONS_JSON;
    bool is_one = finding->first.file == finding->second.file &&
                  finding->first.offset == finding->second.offset;

    if (show->shown[finding->kind] >= VERIFY_FINDINGS_MAX) {
        return;
    }
    show->shown[finding->kind]++;
    if (is_json) {
        buf_printf(text, "%s{\"kind\":\"%s\",\"rule\":\"%s\",\"sandbox\":",
                   size > 0 ? "," : "", proof_kind_name(finding->kind),
                   finding->rule);
        if (finding->sandbox.size == 0) {
            buf_printf(text, "null");
        } else {
            json_put_string(text, finding->sandbox);
        }
        buf_printf(text, ",\"reason\":");
        json_put_string(text, bytes_of_string(finding->reason));
        buf_printf(text, ",\"records\":[");
    } else {
        buf_printf(text, "\n%s (%s)%s", proof_kind_name(finding->kind),
                   finding->rule, finding->sandbox.size > 0 ? " " : "");
        put_plain(text, finding->sandbox);
        buf_printf(text, ": %s\n", finding->reason);
    }
    if (finding->first.offset != 0) {
        put_record(show, text, finding->first);
    }
    if (finding->second.offset != 0 && !is_one) {
        buf_printf(text, "%s",
                   is_json && finding->first.offset != 0 ? "," : "");
        put_record(show, text, finding->second);
    }
    buf_printf(text, "%s", is_json ? "]}" : "");
}

/* --- All ------------------------------------------------------------------ */

const char *verify_verdict(const struct proof_counts *counts)
{
    static const enum proof_kind order[] = {PROOF_VIOLATION, PROOF_UNDECIDED,
                                            PROOF_INCOMPLETE, PROOF_LATE};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (counts->findings[order[i]] > 0) {
            return proof_kind_name(order[i]);
        }
    }
    return "ok";
}

static uint64_t successions(const struct proof_counts *counts)
{
    uint64_t sum = 0;

    for (int i = 0; i < PROOF_BASES; i++) {
        sum += counts->bases[i];
    }
    return sum;
}

static void put_json(const struct verify_show *show,
                     const struct proof_counts *counts, struct buf *text)
{
    buf_printf(
        text,
        "{\"schema\":\"quorate.verify/1\",\"verdict\":\"%s\","
        "\"records\":%" PRIu64 ",\"runs\":%" PRIu64 ",\"unclosed\":%" PRIu64
        ",\"sandboxes\":%" PRIu64 ",\"claims\":%" PRIu64
        ",\"intervals\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"unseen\":%" PRIu64
        ",\"unread\":%" PRIu64 ",\"together\":%" PRIu64
        ",\"maybe_together\":%" PRIu64 ",\"provisional\":%" PRIu64
        ",\"proven\":{",
        verify_verdict(counts), counts->records, counts->runs, counts->unclosed,
        counts->sandboxes, counts->claims, counts->intervals, counts->writes,
        counts->unseen, counts->unread, counts->together,
        counts->maybe_together, counts->provisional);
    for (int i = 0; i < PROOF_BASES; i++) {
        buf_printf(text, "%s\"%s\":%" PRIu64, i > 0 ? "," : "",
                   proof_basis_name((enum proof_basis)i), counts->bases[i]);
    }
    buf_printf(text, "},\"found\":{");
    for (int i = 0; i < PROOF_KINDS; i++) {
        buf_printf(text, "%s\"%s\":%" PRIu64, i > 0 ? "," : "",
                   proof_kind_name((enum proof_kind)i), counts->findings[i]);
    }
    buf_printf(text, "},\"files\":[");
    for (size_t i = 0; i < show->file_count; i++) {
        const struct verify_file *file = &show->files[i];

        buf_printf(text, "%s{\"file\":", i > 0 ? "," : "");
        json_put_string(text, bytes_of_string(file->path));
        buf_printf(text, ",\"of\":");
        json_put_string(text, bytes_of_string(file->name));
        buf_printf(text,
                   ",\"role\":\"%s\",\"first\":%" PRIu64 ",\"records\":%" PRIu64
                   ",\"first_clock\":%" PRIu64 ",\"last_clock\":%" PRIu64
                   ",\"torn_bytes\":%zu}",
                   file->role == JOURNAL_MEMBER ? "member" : "worker",
                   file->first, file->records, file->first_clock,
                   file->last_clock, file->torn);
    }
    buf_printf(text, "],\"findings\":[");
    buf_put_bytes(text, buf_bytes(&show->findings));
    buf_printf(text, "]}\n");
}

static void put_people(const struct verify_show *show,
                       const struct proof_counts *counts, struct buf *text)
{
    uint64_t torn = 0;

    for (size_t i = 0; i < show->file_count; i++) {
        torn += show->files[i].torn > 0;
    }
    buf_printf(text,
               "%zu files of %" PRIu64 " runs, %" PRIu64 " records; %" PRIu64
               " runs were not closed, %" PRIu64 " files are torn at the end\n",
               show->file_count, counts->runs, counts->records,
               counts->unclosed, torn);
    buf_printf(text,
               "%" PRIu64 " sandboxes, %" PRIu64 " ownerships granted, %" PRIu64
               " run by workers, %" PRIu64 " state writes\n",
               counts->sandboxes, counts->claims, counts->intervals,
               counts->writes);
    buf_printf(text, "%" PRIu64 " owners ended before the next one began:",
               successions(counts));
    for (int i = 0; i < PROOF_BASES; i++) {
        buf_printf(text, "%s %" PRIu64 " by %s", i > 0 ? "," : "",
                   counts->bases[i], proof_basis_name((enum proof_basis)i));
    }
    buf_put_u8(text, '\n');
    if (counts->together + counts->maybe_together > 0) {
        buf_printf(text,
                   "available sandboxes: %" PRIu64 " owners went on beside the "
                   "next one, %" PRIu64 " may have\n",
                   counts->together, counts->maybe_together);
    }
    if (counts->provisional > 0) {
        buf_printf(text,
                   "provisional starts, without a majority: %" PRIu64 "\n",
                   counts->provisional);
    }
    if (counts->unseen + counts->unread > 0) {
        buf_printf(text,
                   "not looked at: %" PRIu64 " ownerships from before the "
                   "journals of their workers, %" PRIu64
                   " grants from before those of members\n",
                   counts->unseen, counts->unread);
    }
    buf_put_bytes(text, buf_bytes(&show->findings));
    for (int i = 0; i < PROOF_KINDS; i++) {
        if (counts->findings[i] > show->shown[i]) {
            buf_printf(text, "\n%" PRIu64 " more of %s are not shown\n",
                       counts->findings[i] - show->shown[i],
                       proof_kind_name((enum proof_kind)i));
        }
    }
    buf_printf(text, "\nverdict: %s\n", verify_verdict(counts));
}

int verify_show_print(struct verify_show *show,
                      const struct proof_counts *counts)
{
    struct buf text;
    int rv;

    buf_init(&text, OUTPUT_SIZE_MAX);
    if (show->form == OPTIONS_JSON) {
        put_json(show, counts, &text);
    } else {
        put_people(show, counts, &text);
    }
    rv = buf_error(&show->findings);
    rv = rv != 0 ? rv : buf_error(&text);
    if (rv == 0 && (fwrite(text.data, 1, text.size, stdout) != text.size ||
                    fflush(stdout) != 0)) {
        rv = ERR_IO;
    }
    buf_close(&text);
    return rv;
}
