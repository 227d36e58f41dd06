/* SPDX-License-Identifier: Apache-2.0
 * Cells of text in aligned columns. */
#ifndef QUORATE_CLI_COLUMNS_H
#define QUORATE_CLI_COLUMNS_H

#include "base/buf.h"
#include "base/bytes.h"

#include <stddef.h>

enum {
    COLUMNS_MAX = 8,
    COLUMNS_WIDTH = 80,                  /* of a line at most */
    COLUMNS_SIZE_MAX = 64 * 1024 * 1024, /* bytes of all cells */
};

struct columns {
    size_t count;
    struct buf text; /* of all cells, one after the other */
    struct buf ends; /* of each cell in `text`, as 32-bit numbers */
};

void columns_init(struct columns *columns, size_t count);
void columns_close(struct columns *columns);

/* A cell is what is appended to `text` before this; controls in it come out
 * as '?'. Cells fill rows from left to right. */
void columns_end_cell(struct columns *columns);
void columns_put(struct columns *columns, const char *cell);

/* Appends the lines. Columns that are too wide for a line are cut, the widest
 * ones first; a cut cell ends with "..". Errors are the buffers'. */
void columns_print(struct columns *columns, struct buf *text);

#endif
