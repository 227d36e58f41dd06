/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: journal_file_check, journal_record_read, journal_record_encode,
 * proof_file, proof_add, proof_check.
 *
 * Byte 0 chooses. Even: the input is a file. Odd: it is records without their
 * heads, type:8 size:8 fields, of version 2 if its second bit is set and else
 * of version 1, which get good checksums, so that the proof is reached; an OPEN
 * among them begins another file. What is read comes out the
 * same when it is written again, and no finding names a record that was not
 * added. */
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "journal/proof.h"
#include "journal/record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 32 * 1024, RECORD_MAX = 2048 };

struct story {
    struct proof *proof;
    uint16_t version;
    uint32_t files;
    uint64_t offset; /* of the last record */
    uint64_t found;
};

static void check_again(const struct journal_record *record, struct bytes bytes)
{
    struct buf buf;

    buf_init(&buf, RECORD_MAX);
    journal_record_encode(&buf, record);
    ensure(buf_error(&buf) == 0);
    ensure(bytes_equal(buf_bytes(&buf), bytes));
    buf_close(&buf);
}

static void take(struct story *story, const struct journal_record *record)
{
    int rv;

    story->offset++;
    if (record->type == JOURNAL_OPEN) {
        rv = proof_file(story->proof, record, story->offset);
        story->files += rv == 0;
        ensure(rv == 0 || rv == ERR_MALFORMED || rv == ERR_EXISTS ||
               rv == ERR_BADARG);
    } else if (story->files > 0) {
        rv = proof_add(story->proof, record, story->offset);
        ensure(rv == 0 || rv == ERR_MALFORMED);
    }
}

/* Whether there was a record. */
static bool read_one(struct story *story, struct bytes bytes, size_t *ret_size)
{
    struct journal_record record;
    int rv = journal_record_read(story->version, bytes, &record, ret_size);

    ensure(rv == 0 || rv == ERR_TRUNCATED || rv == ERR_CORRUPT ||
           rv == ERR_UNSUPPORTED || rv == ERR_MALFORMED);
    if (rv != 0) {
        return false;
    }
    ensure(*ret_size <= bytes.size);
    if (story->version == JOURNAL_VERSION) {
        check_again(&record, bytes_of(bytes.data, *ret_size));
    }
    take(story, &record);
    return true;
}

static void read_file(struct story *story, struct bytes bytes)
{
    size_t offset = JOURNAL_FILE_HEAD_SIZE;
    size_t size;

    if (journal_file_check(bytes, &story->version) != 0) {
        return;
    }
    while (offset < bytes.size &&
           read_one(story, bytes_of(bytes.data + offset, bytes.size - offset),
                    &size)) {
        offset += size;
    }
}

static void read_sealed(struct story *story, struct bytes bytes)
{
    struct cursor cursor = cursor_of(bytes);
    struct bytes fields;
    uint8_t type;
    uint8_t count;
    size_t size;

    while (cursor_u8(&cursor, &type) == 0 && cursor_u8(&cursor, &count) == 0 &&
           cursor_take(&cursor, count, &fields) == 0) {
        struct buf buf;

        buf_init(&buf, RECORD_MAX);
        buf_put_u32(&buf, 0);
        buf_put_u16(&buf, count);
        buf_put_u8(&buf, type);
        buf_put_u64(&buf, story->offset);
        buf_put_bytes(&buf, fields);
        ensure(buf_error(&buf) == 0);
        buf_patch_u32(&buf, 0, crc32c(0, bytes_of(buf.data + 4, buf.size - 4)));
        (void)read_one(story, buf_bytes(&buf), &size);
        buf_close(&buf);
    }
}

static void found(void *arg, const struct proof_finding *finding)
{
    struct story *story = arg;

    story->found++;
    ensure(finding->kind < PROOF_KINDS);
    ensure(strlen(finding->reason) > 0 && strlen(finding->rule) > 0);
    ensure(finding->first.file <= story->files);
    ensure(finding->first.offset <= story->offset);
    ensure(finding->second.offset <= story->offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story story = {.files = 0};
    struct proof_counts counts;
    struct bytes bytes;
    uint64_t sum = 0;
    int rv;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    bytes = bytes_of(data + 1, size - 1);
    rv = proof_new(1, &story.proof);
    ensure(rv == 0);
    if (data[0] % 2 == 0) {
        read_file(&story, bytes);
    } else {
        story.version = (data[0] & 2) != 0 ? JOURNAL_VERSION : 1;
        read_sealed(&story, bytes);
    }
    rv = proof_check(story.proof, found, &story);
    ensure(rv == 0);
    proof_counts(story.proof, &counts);
    for (int i = 0; i < PROOF_KINDS; i++) {
        sum += counts.findings[i];
    }
    ensure(sum == story.found);
    proof_free(story.proof);
    return 0;
}
