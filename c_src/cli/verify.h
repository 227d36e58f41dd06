/* SPDX-License-Identifier: Apache-2.0
 * `quorate verify`: the journals that are read, and what is shown of them.
 * This header is private to the folder. */
#ifndef QUORATE_CLI_VERIFY_H
#define QUORATE_CLI_VERIFY_H

#include "base/attr.h"
#include "base/buf.h"
#include "cli/options.h"
#include "journal/proof.h"

#include <stddef.h>
#include <stdint.h>

enum {
    VERIFY_FILES_MAX = PROOF_FILES_MAX,
    VERIFY_FINDINGS_MAX = 100, /* shown of each kind */
};

struct verify_file {
    char *path; /* owned */
    uint8_t run[JOURNAL_RUN_SIZE];
    uint16_t version;     /* of the format */
    uint8_t role;         /* enum journal_role */
    uint64_t first;       /* number of its first record */
    uint64_t records;     /* behind its OPEN */
    uint64_t first_clock; /* ms */
    uint64_t last_clock;
    size_t torn; /* bytes of half a record at its end */
    size_t head; /* bytes in front of the records */
    char name[JOURNAL_TEXT_SIZE_MAX + 1];
};

struct verify_show {
    enum options_output form;
    const struct verify_file *files; /* as the proof counts them */
    size_t file_count;
    struct buf findings; /* as text or as JSON, without what is around */
    uint64_t shown[PROOF_KINDS];
};

/* A finding of the proof; `arg` is a verify_show. */
void verify_show_finding(void *arg, const struct proof_finding *finding);

/* All of it to standard output; 0, ERR_IO, ERR_NOMEM, ERR_LIMIT. */
int verify_show_print(struct verify_show *show,
                      const struct proof_counts *counts) MUST_USE;

/* "ok", or the worst that was found. */
const char *verify_verdict(const struct proof_counts *counts);

#endif
