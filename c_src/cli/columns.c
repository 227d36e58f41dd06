/* SPDX-License-Identifier: Apache-2.0
 * Aligns cells. A character is what is not a continuation byte of UTF-8;
 * whether it is wide on a screen is not known here. */
#include "cli/columns.h"

#include "base/ensure.h"

enum {
    GAP = 2,       /* blanks between two columns */
    WIDTH_MIN = 8, /* narrower columns are not cut */
};

void columns_init(struct columns *columns, size_t count)
{
    ensure(count > 0 && count <= COLUMNS_MAX);
    columns->count = count;
    buf_init(&columns->text, COLUMNS_SIZE_MAX);
    buf_init(&columns->ends, COLUMNS_SIZE_MAX);
}

void columns_close(struct columns *columns)
{
    buf_close(&columns->text);
    buf_close(&columns->ends);
}

void columns_end_cell(struct columns *columns)
{
    buf_put_u32(&columns->ends, (uint32_t)columns->text.size);
}

void columns_put(struct columns *columns, const char *cell)
{
    buf_put_bytes(&columns->text, bytes_of_string(cell));
    columns_end_cell(columns);
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

static size_t width_of(struct bytes cell)
{
    size_t width = 0;

    for (size_t i = 0; i < cell.size; i++) {
        width += is_continuation(cell.data[i]) ? 0 : 1;
    }
    return width;
}

/* The next cell, from the cursor over `ends`; *begin goes to its end. */
static bool next_cell(const struct columns *columns, struct cursor *ends,
                      size_t *begin, struct bytes *ret_cell)
{
    uint32_t end;

    if (cursor_u32(ends, &end) != 0) {
        return false;
    }
    *ret_cell = bytes_of(columns->text.data + *begin, end - *begin);
    *begin = end;
    return true;
}

static void find_widths(const struct columns *columns, size_t *widths)
{
    struct cursor ends = cursor_of(buf_bytes(&columns->ends));
    struct bytes cell;
    size_t begin = 0;
    size_t total = GAP * (columns->count - 1);

    for (size_t i = 0; next_cell(columns, &ends, &begin, &cell);
         i = (i + 1) % columns->count) {
        size_t width = width_of(cell);

        widths[i] = width > widths[i] ? width : widths[i];
    }
    for (size_t i = 0; i < columns->count; i++) {
        total += widths[i];
    }
    while (total > COLUMNS_WIDTH) {
        size_t widest = 0;

        for (size_t i = 1; i < columns->count; i++) {
            widest = widths[i] > widths[widest] ? i : widest;
        }
        if (widths[widest] <= WIDTH_MIN) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

/* At most `width` characters. */
static void put_cell(struct buf *text, struct bytes cell, size_t width)
{
    bool is_cut = width_of(cell) > width;
    size_t left = is_cut ? width - 2 : width;

    for (size_t i = 0; i < cell.size; i++) {
        uint8_t c = cell.data[i];

        if (!is_continuation(c)) {
            if (left == 0) {
                break;
            }
            left--;
        }
        buf_put_u8(text, c < ' ' || c == 0x7f ? '?' : c);
    }
    if (is_cut) {
        buf_printf(text, "..");
    }
}

void columns_print(struct columns *columns, struct buf *text)
{
    struct cursor ends = cursor_of(buf_bytes(&columns->ends));
    size_t widths[COLUMNS_MAX] = {0};
    struct bytes cell;
    size_t begin = 0;

    if (buf_error(&columns->text) != 0 || buf_error(&columns->ends) != 0) {
        text->error = buf_error(&columns->text) != 0
                          ? buf_error(&columns->text)
                          : buf_error(&columns->ends);
        return;
    }
    find_widths(columns, widths);
    for (size_t i = 0; next_cell(columns, &ends, &begin, &cell);
         i = (i + 1) % columns->count) {
        size_t width = width_of(cell);

        put_cell(text, cell, widths[i]);
        if (i + 1 == columns->count) {
            buf_put_u8(text, '\n');
            continue;
        }
        for (; width < widths[i]; width++) {
            buf_put_u8(text, ' ');
        }
        buf_printf(text, "%*s", (int)GAP, "");
    }
}
